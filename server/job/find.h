/* "find": the deepest network that does not fail, by bisection.
 *
 *   {"find": {"max_depth": 256, "min_depth": 4}}     or "find": "max_depth", with depth the largest
 *
 * The depths to try are all integers from min_depth (4 by default, or max_depth where that is less)
 * to max_depth, or where those are more than FIND_CANDIDATES, so many in geometric progression.
 * They become an axis before those of the sweep, in the order of a bisection, breadth first: the
 * middle, then the middles of both halves, and so on. When all seeds of one depth have ended, its
 * verdict makes the runs of all smaller depths (it does not fail) or of all larger ones (it fails)
 * unnecessary: they are skipped. So at most 1 + log2(FIND_CANDIDATES) depths are computed one after
 * the other, and a few more where several run at once; a restart goes on where it was.
 */
#ifndef SERVER_JOB_FIND_H
#define SERVER_JOB_FIND_H

#include "server/job/draft.h"
#include "server/job/sweep.h"
#include "server/text/json_out.h"
#include "server/verdict/rule.h"

enum { FIND_CANDIDATES = 32, FIND_MIN_DEPTH = 4 };

typedef struct find {
    bool wanted, short_form;
    int min, max; /* 0: not given */
} find;

/* Error pointers are from the value. */
err_code find_read(find *out, const struct cJSON *value, int depth_max, error *err);
/* The candidates in the order in which they are tried. Returns how many. */
int find_depths(int out[FIND_CANDIDATES], int min, int max);
/* Resolves the short form by depth (0: none was given), and puts the axis before the others.
 * Pointers are from the document. */
err_code find_expand(find *f, sweep *s, int depth, error *err);
/* What an arm {"depth":12,…} of such a job has but for the depth; points into arm. */
const char *find_others(const char *arm);
/* Is a depth of no matter any more when one with these others had this level? */
bool find_settles(int depth, int judged_depth, verdict_level judged);
void find_write(json_out *o, const find *f);
void find_schema(json_out *o);

#endif
