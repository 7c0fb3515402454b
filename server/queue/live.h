/* The jobs that are queued or running, as seen from memory: what event streams and health read.
 *
 * The store stays the truth; every change here follows a committed one there. A job that ended is
 * gone from here. All functions from any thread. Functions that name a job return false when it is
 * not here (any more).
 */
#ifndef SERVER_QUEUE_LIVE_H
#define SERVER_QUEUE_LIVE_H

#include "server/queue/progress.h"
#include "server/store/store.h"

#include <pthread.h>

typedef struct live_job {
    int64_t id;
    int total, queued, running, done, failed;
    double flops, flops_ended, flops_now; /* now: of running runs, their share that is computed */
    double fraction_start;                /* when this process first took a run of it */
    int64_t started_ms;                   /* monotonic; 0: not yet */
    progress last;
    uint64_t version;
} live_job;

typedef struct live {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    live_job *jobs; /* by id, ascending */
    size_t n, cap;
    int queued, running;    /* runs, over all jobs */
    uint64_t version;       /* of the newest change */
    uint64_t queue_version; /* of the newest change of anybody's place in the queue */
} live;

typedef enum live_end { LIVE_DONE, LIVE_FAILED, LIVE_REQUEUED } live_end;

void live_init(live *l);
void live_deinit(live *l);

/* Room for one more job, so that live_add cannot fail after the store has committed. */
err_code live_reserve(live *l, error *err);
void live_add(live *l, const job_state *j);
bool live_has(live *l, int64_t job_id);
int live_pending(live *l); /* queued and running runs */

bool live_claimed(live *l, int64_t job_id);
/* delta: floating-point operations of the run since it reported last. */
bool live_progress(live *l, int64_t job_id, const progress *p, double delta);
/* flops: of the run; reported: what live_progress was told of it so far. */
bool live_ended(live *l, int64_t job_id, live_end how, double flops, double reported);
/* Queued runs that are not needed any more; before live_ended of the run that showed it. */
void live_skipped(live *l, int64_t job_id, int n, double flops);
void live_remove(live *l, int64_t job_id);

/* As scheduler_progress and scheduler_wait, for jobs that are here. *version: of the newest change.
 */
bool live_read(live *l, int64_t job_id, job_progress *out, uint64_t *version);
bool live_wait(
    live *l, int64_t job_id, uint64_t seen, int timeout_ms, job_progress *out, uint64_t *version);

int64_t live_clock_ms(void); /* monotonic */

#endif
