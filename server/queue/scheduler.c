/* The scheduler as others see it. Its thread is in loop.c. */
#include "server/machine/machine.h"
#include "server/queue/internal.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void wake(scheduler *s)
{
    const uint64_t one = 1;
    /* It can only fail when the counter is full, and then the thread is awake. */
    if (write(s->wake_fd, &one, sizeof one) < 0) return;
}

/* -- start and stop -- */

static err_code fill_defaults(scheduler_options *o, error *err)
{
    if (o->threads <= 0) o->threads = 1;
    if (o->workers <= 0) o->workers = machine_cores() / o->threads;
    if (o->workers <= 0) o->workers = 1;
    if (o->queue_runs <= 0) o->queue_runs = 16384;
    if (o->memory_bytes == 0)
        o->memory_bytes = limits_default().peak_bytes / 2 * 3; /* it is half */
    if (!(o->hang_s > 0)) o->hang_s = 60;
    if (o->threads > TEAM_MAX)
        return error_set(err, ERR_RANGE, "", "%d threads; at most %d", o->threads, TEAM_MAX);
    if (o->workers > SLOTS_MAX)
        return error_set(err, ERR_RANGE, "", "%d workers; at most %d", o->workers, SLOTS_MAX);
    return ERR_OK;
}

static err_code load_jobs(scheduler *s, error *err)
{
    job_state *jobs;
    size_t n;
    err_code code = store_recover(s->store, err);
    if (code == ERR_OK) code = store_active_jobs(s->store, &jobs, &n, err);
    if (code != ERR_OK) return code;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = live_reserve(&s->live, err);
        if (code == ERR_OK) live_add(&s->live, &jobs[i]);
    }
    free(jobs);
    return code;
}

/* Signals are main's; one that goes to a dead worker's pipe is an error of write here. */
static err_code start_thread(scheduler *s, error *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&s->thread, NULL, scheduler_thread, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) return error_set(err, ERR_MEMORY, "", "cannot start a thread: %s", strerror(rc));

    pthread_mutex_lock(&s->lock);
    while (!s->started) pthread_cond_wait(&s->ready, &s->lock);
    error failed = s->start_error;
    pthread_mutex_unlock(&s->lock);
    if (failed.code == ERR_OK) return ERR_OK;
    if (err) *err = failed;
    return failed.code;
}

static void dispose(scheduler *s)
{
    proc_command_deinit(&s->command);
    live_deinit(&s->live);
    if (s->wake_fd >= 0) close(s->wake_fd);
    pthread_cond_destroy(&s->ready);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->submit);
    free(s);
}

err_code scheduler_start(scheduler **out, store *st, const scheduler_options *o, error *err)
{
    *out = NULL;
    scheduler *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_MEMORY, "", "no memory for the scheduler");
    s->store = st;
    s->o = *o;
    live_init(&s->live);
    pthread_mutex_init(&s->submit, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ready, NULL);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err_code code = s->wake_fd < 0 ? error_set(err, ERR_IO, "", "no descriptor left") : ERR_OK;
    if (code == ERR_OK) code = fill_defaults(&s->o, err);
    if (code == ERR_OK) code = proc_command_init(&s->command, o->worker_command, err);
    if (code == ERR_OK) code = load_jobs(s, err);
    if (code != ERR_OK) {
        dispose(s);
        return code;
    }
    s->n_slots = s->o.workers;
    for (int i = 0; i < s->n_slots; i++) proc_init(&s->slots[i].p);
    s->sign_ms = live_clock_ms();
    code = start_thread(s, err);
    if (code != ERR_OK) {
        if (s->started)
            scheduler_stop(s);
        else
            dispose(s);
        return code;
    }
    *out = s;
    return ERR_OK;
}

void scheduler_stop(scheduler *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    wake(s);
    pthread_join(s->thread, NULL);
    dispose(s);
}

/* -- jobs -- */

static err_code refuse_full(scheduler *s, const job *j, error *err)
{
    if (j->n_runs > s->o.queue_runs)
        return error_set(err, ERR_LIMIT, "", "the job has %d runs; the queue holds at most %d",
                         j->n_runs, s->o.queue_runs);
    return error_set(err, ERR_FULL, "",
                     "%d runs are waiting; the queue holds at most %d and the job has %d",
                     live_pending(&s->live), s->o.queue_runs, j->n_runs);
}

static err_code
submit(scheduler *s, const job *j, const char *request, int64_t *id, bool *existing, error *err)
{
    err_code code = live_reserve(&s->live, err);
    if (code != ERR_OK) return code;
    if (live_pending(&s->live) > s->o.queue_runs - j->n_runs) {
        code = store_find_job(s->store, j, id, existing, err);
        return code != ERR_OK || *existing ? code : refuse_full(s, j, err);
    }
    code = store_add_job(s->store, j, request, id, existing, err);
    if (code != ERR_OK || *existing) return code;
    job_state state = {.id = *id, .runs_total = j->n_runs, .queued = j->n_runs};
    for (int i = 0; i < j->n_runs; i++) state.flops += j->runs[i].cost.flops;
    live_add(&s->live, &state);
    return ERR_OK;
}

err_code scheduler_submit(
    scheduler *s, const job *j, const char *request, int64_t *id, bool *existing, error *err)
{
    *existing = false;
    pthread_mutex_lock(&s->submit);
    err_code code = submit(s, j, request, id, existing, err);
    pthread_mutex_unlock(&s->submit);
    if (code == ERR_OK && !*existing) wake(s);
    return code;
}

err_code scheduler_cancel(scheduler *s, int64_t job_id, bool *was_active, error *err)
{
    err_code code = store_cancel_job(s->store, job_id, was_active, err);
    if (code != ERR_OK || !*was_active) return code;
    /* A submission that has committed but is not in live yet would put it there afterwards. */
    pthread_mutex_lock(&s->submit);
    live_remove(&s->live, job_id);
    pthread_mutex_unlock(&s->submit);
    wake(s);
    return ERR_OK;
}

/* -- progress -- */

static bool from_store(scheduler *s, int64_t job_id, uint64_t version, job_progress *out)
{
    job_state state;
    if (store_job_state(s->store, job_id, &state, NULL) != ERR_OK) return false;
    int ended = state.done + state.failed + state.cancelled + state.skipped;
    *out = (job_progress){.runs_total = state.runs_total,
                          .runs_done = state.done,
                          .runs_failed = state.failed,
                          .fraction = state.flops > 0 ? state.flops_ended / state.flops : 0,
                          .eta_s = ended == state.runs_total ? 0 : NAN,
                          .version = version};
    memcpy(out->state, state.state, sizeof out->state);
    return true;
}

bool scheduler_progress(scheduler *s, int64_t job_id, job_progress *out)
{
    uint64_t version;
    return live_read(&s->live, job_id, out, &version) || from_store(s, job_id, version, out);
}

bool scheduler_wait(scheduler *s, int64_t job_id, uint64_t seen, int timeout_ms, job_progress *out)
{
    uint64_t version;
    return live_wait(&s->live, job_id, seen, timeout_ms, out, &version) ||
           from_store(s, job_id, version, out);
}

void scheduler_health_get(scheduler *s, scheduler_health *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->health;
    out->probe_age_s = (double)(live_clock_ms() - s->sign_ms) / 1000;
    pthread_mutex_unlock(&s->lock);
    /* Workers that are all busy in one long block each say nothing and are well: silence beyond
     * what the block may take gets them killed. */
    bool all_busy = out->workers_busy > 0 && out->workers_busy == out->workers_alive;
    out->probe_ok = out->workers_alive > 0 && (out->probe_age_s < PROBE_S || all_busy);
    pthread_mutex_lock(&s->live.lock);
    out->runs_queued = s->live.queued;
    out->runs_running = s->live.running;
    pthread_mutex_unlock(&s->live.lock);
}
