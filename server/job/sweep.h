/* The axes of a job: field paths with lists of values. Read once, one draft per value; an arm is
 * one value of each axis, the last axis fastest.
 */
#ifndef SERVER_JOB_SWEEP_H
#define SERVER_JOB_SWEEP_H

#include "server/job/draft.h"
#include "server/text/json_out.h"

enum { SWEEP_VALUES = 4096 };

typedef struct axis_value {
    draft given;
    char *text;     /* canonical JSON; heap */
    bool is_object; /* a group's object, not a bare value */
} axis_value;

typedef struct axis {
    char path[FIELD_PATH];
    int n;
    axis_value *values;
    bool hidden; /* made by "find": the text has that in its place */
} axis;

typedef struct sweep {
    axis *axes;
    int n;
} sweep;

/* Reads the value of "sweep"; errors have pointers from there. ERR_RANGE when a list is empty or
 * has a value twice, ERR_LIMIT when all lists together have more than SWEEP_VALUES. The caller
 * calls sweep_deinit also after an error. */
err_code sweep_read(sweep *s, const struct cJSON *value, int depth_max, error *err);
void sweep_deinit(sweep *s);

/* Arms; when arms times seeds exceed limit: ERR_LIMIT with the product. Expands nothing. */
err_code sweep_count(const sweep *s, int n_seeds, int limit, int *n_arms, error *err);

/* An arm as an index into the values of each axis. A path is given at most once, so there are fewer
 * axes than SWEEP_AXES. */
enum { SWEEP_AXES = FIELD_COUNT + 16 };
typedef struct sweep_arm {
    int value[SWEEP_AXES];
} sweep_arm;
void sweep_find_arm(sweep_arm *out, const sweep *s, int number);
void sweep_overlay(draft *to, const sweep *s, const sweep_arm *arm);
/* Does any value of any axis give this field? */
bool sweep_gives(const sweep *s, int id);

/* {"depth":6,"strategy":"pre_ln"} */
void sweep_arm_text(json_out *o, const sweep *s, const sweep_arm *arm);
/* {"depth":[6,12]}, without hidden axes; their number is sweep_shown */
int sweep_shown(const sweep *s);
void sweep_text(json_out *o, const sweep *s);

#endif
