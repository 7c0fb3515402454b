/* How far a job is, for people who wait for it. */
#ifndef SERVER_QUEUE_PROGRESS_H
#define SERVER_QUEUE_PROGRESS_H

#include <stdint.h>

typedef struct job_progress {
    char state[16];     /* as in the store */
    int queue_position; /* runs ahead of its first queued run; 0 when running or ended */
    int runs_total, runs_done, runs_failed;
    int step, steps, layer, layers; /* of the run that reported last */
    double fraction;                /* of the job, by cost */
    double eta_s;                   /* NaN while unknown */
    uint64_t version;               /* grows with every change: SSE sends only what is new */
} job_progress;

#endif
