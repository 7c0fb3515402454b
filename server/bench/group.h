/* What each group of metrics costs beside a forward and backward pass that measures nothing inside.
 *
 * A group is measured alone, at the sites a job measures that does not say where: its default
 * metrics, or all of them where none is. In every round the plain pass and then each group, one
 * thread, processor time; so that whatever else the machine does hits all of them alike. Groups
 * share work (moments, geometry and fit read one pass over a site), so their shares do not add up
 * to that of the default set, the last row.
 */
#ifndef SERVER_BENCH_GROUP_H
#define SERVER_BENCH_GROUP_H

#include "server/bench/pass.h"
#include "server/job/job.h"
#include "server/text/json_out.h"

#include <stdio.h>

enum { BENCH_GROUPS = GROUP_COUNT + 1 };

typedef struct bench_group {
    const char *name; /* "defaults" for the whole default set */
    bool is_default;
    double predicted; /* its share by the estimate (core/run/metric_cost.h) */
    bench_times times;
} bench_group;

typedef struct bench_groups {
    char job[JOB_NAME];
    bench_times plain;
    bench_group rows[BENCH_GROUPS];
    int n;
} bench_groups;

/* The first run of j. only: a group, or "defaults"; NULL: all of them. ERR_NOT_FOUND: no such
 * group. Large: on the heap. */
err_code
bench_group_measure(bench_groups *out, const job *j, const char *only, int rounds, error *err);

/* Time above the plain pass over the plain pass: of the least times of all rounds, and the median
 * of the rounds. */
double bench_group_share(const bench_groups *all, const bench_group *g);
double bench_group_median(const bench_groups *all, const bench_group *g);

void bench_print_groups(FILE *to, const bench_groups *all);
void bench_json_groups(json_out *o, const bench_groups *all); /* an object */

#endif
