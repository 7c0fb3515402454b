/* A small team of threads that share fixed pieces of work.
 *
 * team_run calls work(context, task, worker) once for each task in 0..n_tasks-1 and returns when
 * all are done; the caller takes part as worker 0. Tasks are handed out in order, to whichever
 * worker is free, so a task must not depend on who runs it: results are bit-identical for any team
 * size. Idle workers sleep; nothing spins. A team of one starts no thread at all. One team_run at a
 * time per team. team_start: ERR_MEMORY or ERR_RANGE (1 <= size <= TEAM_MAX).
 */
#ifndef CORE_BASE_TEAM_H
#define CORE_BASE_TEAM_H

#include "core/base/error.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TEAM_MAX = 64 };

typedef void team_work(void *context, int task, int worker);

typedef struct team {
    int size;
    pthread_t threads[TEAM_MAX];
    pthread_mutex_t lock;
    pthread_cond_t work_ready, work_done;
    unsigned generation;
    int running; /* workers that have not yet finished this generation */
    int stop;
    team_work *work;
    void *context;
    int n_tasks;
    atomic_int next;
} team;

err_code team_start(team *t, int size, error *err);
void team_stop(team *t);
void team_run(team *t, team_work *work, void *context, int n_tasks);

#endif
