#include "core/base/team.h"

#include <string.h>

static void take_tasks(team *t, team_work *work, void *context, int n_tasks, int worker)
{
    for (;;) {
        int task = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (task >= n_tasks) return;
        work(context, task, worker);
    }
}

struct start {
    team *team;
    int worker;
};

static void *worker_main(void *argument)
{
    struct start start = *(struct start *)argument;
    team *t = start.team;
    pthread_mutex_lock(&t->lock);
    unsigned seen = 0;
    t->running--; /* tells team_start that start has been copied */
    pthread_cond_signal(&t->work_done);
    for (;;) {
        while (!t->stop && t->generation == seen) pthread_cond_wait(&t->work_ready, &t->lock);
        if (t->stop) break;
        seen = t->generation;
        team_work *work = t->work;
        void *context = t->context;
        int n_tasks = t->n_tasks;
        pthread_mutex_unlock(&t->lock);
        take_tasks(t, work, context, n_tasks, start.worker);
        pthread_mutex_lock(&t->lock);
        if (--t->running == 0) pthread_cond_signal(&t->work_done);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

err_code team_start(team *t, int size, error *err)
{
    memset(t, 0, sizeof *t);
    if (size < 1 || size > TEAM_MAX)
        return error_set(err, ERR_RANGE, "", "threads is %d; allowed are 1 to %d", size, TEAM_MAX);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work_ready, NULL);
    pthread_cond_init(&t->work_done, NULL);
    t->size = 1;
    for (int i = 1; i < size; i++) {
        struct start start = {t, i};
        pthread_mutex_lock(&t->lock);
        t->running = 1;
        int failed = pthread_create(&t->threads[i], NULL, worker_main, &start);
        while (!failed && t->running) pthread_cond_wait(&t->work_done, &t->lock);
        t->running = 0;
        pthread_mutex_unlock(&t->lock);
        if (failed) {
            team_stop(t);
            return error_set(err, ERR_MEMORY, "", "cannot start thread %d of %d", i + 1, size);
        }
        t->size = i + 1;
    }
    return ERR_OK;
}

void team_stop(team *t)
{
    if (!t->size) return;
    pthread_mutex_lock(&t->lock);
    t->stop = 1;
    pthread_cond_broadcast(&t->work_ready);
    pthread_mutex_unlock(&t->lock);
    for (int i = 1; i < t->size; i++) pthread_join(t->threads[i], NULL);
    pthread_cond_destroy(&t->work_done);
    pthread_cond_destroy(&t->work_ready);
    pthread_mutex_destroy(&t->lock);
    t->size = 0;
}

void team_run(team *t, team_work *work, void *context, int n_tasks)
{
    if (t->size == 1 || n_tasks == 1) {
        for (int task = 0; task < n_tasks; task++) work(context, task, 0);
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->work = work;
    t->context = context;
    t->n_tasks = n_tasks;
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    t->running = t->size - 1;
    t->generation++;
    pthread_cond_broadcast(&t->work_ready);
    pthread_mutex_unlock(&t->lock);
    take_tasks(t, work, context, n_tasks, 0);
    pthread_mutex_lock(&t->lock);
    while (t->running) pthread_cond_wait(&t->work_done, &t->lock);
    pthread_mutex_unlock(&t->lock);
}
