/* The scheduler: takes queued runs in order of arrival, gives each to a worker process, and writes
 * what comes back. One thread; it owns the workers (spawned with `normscope worker`, watched and
 * killed through pidfds, so that a reused pid can never be hit).
 *
 *   queued -> running   store_claim_run, when a worker is free and memory allows
 *   running -> done     DONE frame, store_finish_run
 *   running -> failed   FAILED frame, or the second death of a worker on this run
 *   running -> queued   first death of a worker on this run; or the daemon stops (not counted)
 *   queued -> skipped     the end of another run of a job that looks for a depth ("find")
 *   queued, running -> cancelled   scheduler_cancel: the worker is killed and replaced
 *
 * Deaths: the process ended, closed its pipe, sent garbage, sent more rows than its run can have,
 * or gave no sign of life for hang_s (longer for runs whose single block takes long). Runs start in
 * order; one that does not fit into memory_bytes beside those that run waits, and nothing overtakes
 * it, but alone it is always started. A result that cannot be written because the disk is full is
 * kept and tried again every second, and nothing new is started meanwhile.
 */
#ifndef SERVER_QUEUE_SCHEDULER_H
#define SERVER_QUEUE_SCHEDULER_H

#include "server/queue/progress.h"
#include "server/store/store.h"

typedef struct scheduler scheduler;

typedef struct scheduler_options {
    const char *worker_command; /* words split at spaces; NULL: this program with "worker" */
    int workers;                /* 0: one per core that this process may use */
    int threads;                /* engine threads per worker; 0: one */
    int queue_runs;             /* bound on queued + running runs, beyond it ERR_FULL; 0: 16384 */
    uint64_t memory_bytes; /* sum of peak bytes of running runs stays below; 0: 3/4 of memory */
    double hang_s;         /* a busy worker silent for so long is killed; 0: 60 */
    void (*log)(const char *line); /* what happens to workers; from one thread; NULL: nobody asks */
} scheduler_options;

err_code scheduler_start(scheduler **out, store *s, const scheduler_options *o, error *err);
void scheduler_stop(scheduler *s); /* running runs are queued again; returns within 5 s */

/* Adds the job (store_add_job) unless the queue has no room. */
err_code scheduler_submit(
    scheduler *s, const job *j, const char *request, int64_t *id, bool *existing, error *err);
err_code scheduler_cancel(scheduler *s, int64_t job_id, bool *was_active, error *err);

/* Live state, from memory, for SSE and health. Jobs that ended are read from the store. */
bool scheduler_progress(scheduler *s, int64_t job_id, job_progress *out); /* false: no such job */
/* Waits until version of the job exceeds seen, or timeout. */
bool scheduler_wait(scheduler *s, int64_t job_id, uint64_t seen, int timeout_ms, job_progress *out);

typedef struct scheduler_health {
    int workers_alive, workers_busy, runs_queued, runs_running;
    bool probe_ok; /* a worker answered a PING, or finished a frame, in the last 10 s */
    double probe_age_s;
} scheduler_health;

void scheduler_health_get(scheduler *s, scheduler_health *out);

#endif
