/* The scheduler: takes queued runs in order of arrival, gives each to a worker process, and writes
 * what comes back. One thread; it owns the workers (fork + exec of `normscope worker`).
 *
 *   queued -> running   store_claim_run, when a worker is free and memory allows
 *   running -> done     DONE frame, store_finish_run
 *   running -> failed   FAILED frame, or the second death of a worker on this run
 *   running -> queued   first death of a worker on this run; or the daemon stops
 *   queued, running -> cancelled   scheduler_cancel: the worker is killed (by pidfd) and replaced
 */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "server/store.h"

typedef struct scheduler scheduler;

typedef struct scheduler_options {
    const char *worker_command; /* NULL: this program with argument "worker" */
    int workers;                /* default: one per core */
    int threads;                /* engine threads per worker, default 1 */
    int queue_runs;             /* bound on queued + running runs; a job that does not fit: ERR_FULL */
    uint64_t memory_bytes;      /* sum of peak bytes of running runs stays below */
} scheduler_options;

err_code scheduler_start(scheduler **out, store *s, const scheduler_options *o, error *err);
void scheduler_stop(scheduler *s); /* running runs are queued again; returns within 5 s */

/* Adds the job (store_add_job) unless the queue has no room. */
err_code scheduler_submit(scheduler *s, const job *j, const char *request, int64_t *id, bool *existing,
                          error *err);
err_code scheduler_cancel(scheduler *s, int64_t job_id, bool *was_active, error *err);

/* Live state, from memory, for SSE and health. */
typedef struct job_progress {
    char state[16];           /* as in the store */
    int queue_position;       /* runs ahead of its first queued run; 0 when running or ended */
    int runs_total, runs_done, runs_failed;
    int step, steps, layer, layers; /* of the run that reported last */
    double fraction;          /* of the job, by cost */
    double eta_s;             /* NaN while unknown */
    uint64_t version;         /* grows with every change: SSE sends only what is new */
} job_progress;

bool scheduler_progress(scheduler *s, int64_t job_id, job_progress *out); /* false: no such job */
/* Waits until version of the job exceeds seen, or timeout. */
bool scheduler_wait(scheduler *s, int64_t job_id, uint64_t seen, int timeout_ms, job_progress *out);

typedef struct scheduler_health {
    int workers_alive, workers_busy, runs_queued, runs_running;
    bool probe_ok;        /* a worker answered a PING, or finished a frame, in the last 10 s */
    double probe_age_s;
} scheduler_health;

void scheduler_health_get(scheduler *s, scheduler_health *out);

#endif
