/* What the runs of a job cost, against the limits of this server.
 *
 * An estimate takes time in proportion to the depth, and a job may have thousands of combinations:
 * runs that differ only in fields that cost nothing (field.free) share one, and the blocks of those
 * that remain are limited, so that no job text keeps its reader busy for more than seconds.
 */
#ifndef SERVER_JOB_COST_H
#define SERVER_JOB_COST_H

#include "server/job/job.h"

typedef struct cost_memo {
    const limits *lim;
    struct cost_slot *slots; /* open addressing, by digest of the spec without its free fields */
    size_t n_slots;
    double blocks;
} cost_memo;

err_code cost_memo_init(cost_memo *m, const limits *lim, int n_arms, error *err);
void cost_memo_deinit(cost_memo *m);

/* Checks run `index` of the job with the engine and fills its cost. ERR_LIMIT with the figures. */
err_code cost_run(cost_memo *m, job *j, int index, error *err);

/* The arithmetic of all runs together. */
err_code cost_check_job(const job *j, const limits *lim, error *err);

#endif
