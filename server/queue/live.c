#include "server/queue/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t live_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void live_init(live *l)
{
    pthread_condattr_t attr;
    *l = (live){.version = 1, .queue_version = 1};
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void live_deinit(live *l)
{
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l->jobs);
    l->jobs = NULL;
}

/* -- inside the lock -- */

/* Index of the job, or where it belongs. */
static size_t place(const live *l, int64_t id)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (l->jobs[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static live_job *find(live *l, int64_t id)
{
    size_t i = place(l, id);
    return i < l->n && l->jobs[i].id == id ? &l->jobs[i] : NULL;
}

static void touch(live *l, live_job *j, bool queue_moved)
{
    l->version++;
    if (j) j->version = l->version;
    if (queue_moved) l->queue_version = l->version;
    pthread_cond_broadcast(&l->changed);
}

static double fraction(const live_job *j)
{
    if (!(j->flops > 0)) return 0;
    double f = (j->flops_ended + j->flops_now) / j->flops;
    return f < 0 ? 0 : f > 1 ? 1 : f;
}

static double eta(const live_job *j, double f)
{
    double gained = f - j->fraction_start;
    if (j->started_ms == 0 || !(gained > 0)) return NAN;
    double elapsed = (double)(live_clock_ms() - j->started_ms) / 1000;
    return elapsed * (1 - f) / gained;
}

static void fill(const live *l, const live_job *j, job_progress *out)
{
    bool started = j->running > 0 || j->queued + j->running < j->total;
    double f = fraction(j);
    *out = (job_progress){.runs_total = j->total,
                          .runs_done = j->done,
                          .runs_failed = j->failed,
                          .step = j->last.step,
                          .steps = j->last.steps,
                          .layer = j->last.layer,
                          .layers = j->last.layers,
                          .fraction = f,
                          .eta_s = eta(j, f),
                          .version = j->version};
    memcpy(out->state, started ? "running" : "queued", started ? 8 : 7);
    if (j->running > 0) return;
    for (const live_job *k = l->jobs; k < j; k++) out->queue_position += k->queued;
    if (l->queue_version > out->version) out->version = l->queue_version;
}

static void erase(live *l, live_job *j)
{
    l->queued -= j->queued;
    l->running -= j->running;
    l->n--;
    memmove(j, j + 1, (size_t)(l->jobs + l->n - j) * sizeof *j);
    touch(l, NULL, true);
}

/* -- changes -- */

err_code live_reserve(live *l, error *err)
{
    err_code code = ERR_OK;
    pthread_mutex_lock(&l->lock);
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        live_job *grown = realloc(l->jobs, cap * sizeof *grown);
        if (grown) {
            l->jobs = grown;
            l->cap = cap;
        } else
            code = error_set(err, ERR_MEMORY, "", "no memory for another job");
    }
    pthread_mutex_unlock(&l->lock);
    return code;
}

void live_add(live *l, const job_state *j)
{
    pthread_mutex_lock(&l->lock);
    if (l->n < l->cap && !find(l, j->id)) {
        size_t i = place(l, j->id);
        memmove(&l->jobs[i + 1], &l->jobs[i], (l->n - i) * sizeof *l->jobs);
        l->jobs[i] = (live_job){.id = j->id,
                                .total = j->runs_total,
                                .queued = j->queued + j->running,
                                .done = j->done,
                                .failed = j->failed,
                                .flops = j->flops,
                                .flops_ended = j->flops_ended};
        l->n++;
        l->queued += l->jobs[i].queued;
        touch(l, &l->jobs[i], false);
    }
    pthread_mutex_unlock(&l->lock);
}

bool live_has(live *l, int64_t job_id)
{
    pthread_mutex_lock(&l->lock);
    bool here = find(l, job_id) != NULL;
    pthread_mutex_unlock(&l->lock);
    return here;
}

int live_pending(live *l)
{
    pthread_mutex_lock(&l->lock);
    int n = l->queued + l->running;
    pthread_mutex_unlock(&l->lock);
    return n;
}

bool live_claimed(live *l, int64_t job_id)
{
    pthread_mutex_lock(&l->lock);
    live_job *j = find(l, job_id);
    if (j) {
        j->queued--, l->queued--;
        j->running++, l->running++;
        if (j->started_ms == 0) {
            j->started_ms = live_clock_ms();
            j->fraction_start = fraction(j);
        }
        touch(l, j, true);
    }
    pthread_mutex_unlock(&l->lock);
    return j != NULL;
}

bool live_progress(live *l, int64_t job_id, const progress *p, double delta)
{
    pthread_mutex_lock(&l->lock);
    live_job *j = find(l, job_id);
    if (j) {
        j->last = *p;
        j->flops_now += delta;
        touch(l, j, false);
    }
    pthread_mutex_unlock(&l->lock);
    return j != NULL;
}

bool live_ended(live *l, int64_t job_id, live_end how, double flops, double reported)
{
    pthread_mutex_lock(&l->lock);
    live_job *j = find(l, job_id);
    bool here = j != NULL;
    if (here) {
        j->flops_now -= reported;
        j->running--, l->running--;
        if (how == LIVE_REQUEUED)
            j->queued++, l->queued++;
        else
            j->flops_ended += flops;
        j->done += how == LIVE_DONE;
        j->failed += how == LIVE_FAILED;
        if (j->queued + j->running == 0)
            erase(l, j);
        else
            touch(l, j, how == LIVE_REQUEUED);
    }
    pthread_mutex_unlock(&l->lock);
    return here;
}

void live_skipped(live *l, int64_t job_id, int n, double flops)
{
    pthread_mutex_lock(&l->lock);
    live_job *j = n ? find(l, job_id) : NULL;
    if (j) {
        j->queued -= n, l->queued -= n;
        j->flops_ended += flops;
        touch(l, j, true);
    }
    pthread_mutex_unlock(&l->lock);
}

void live_remove(live *l, int64_t job_id)
{
    pthread_mutex_lock(&l->lock);
    live_job *j = find(l, job_id);
    if (j) erase(l, j);
    pthread_mutex_unlock(&l->lock);
}

/* -- reading -- */

bool live_read(live *l, int64_t job_id, job_progress *out, uint64_t *version)
{
    return live_wait(l, job_id, 0, 0, out, version);
}

bool live_wait(
    live *l, int64_t job_id, uint64_t seen, int timeout_ms, job_progress *out, uint64_t *version)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (int64_t)timeout_ms * 1000000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;

    pthread_mutex_lock(&l->lock);
    live_job *j;
    int waited = timeout_ms > 0 ? 0 : -1;
    while ((j = find(l, job_id)) != NULL) {
        fill(l, j, out);
        if (out->version > seen || waited != 0) break;
        waited = pthread_cond_timedwait(&l->changed, &l->lock, &until);
    }
    *version = l->version;
    pthread_mutex_unlock(&l->lock);
    return j != NULL;
}
