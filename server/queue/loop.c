/* The scheduler's thread: waits for workers, commands and deadlines, and does what is due. */
#include "server/queue/internal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FDS_PER_SLOT = 3, READ_FD = 0, WRITE_FD = 1, PID_FD = 2 };

/* -- giving out runs -- */

static uint64_t memory_left(const scheduler *s)
{
    uint64_t held = 0;
    for (int i = 0; i < s->n_slots; i++) held += s->slots[i].held_bytes;
    if (held == 0) return UINT64_MAX; /* alone, any run that was accepted is started */
    return held < s->o.memory_bytes ? s->o.memory_bytes - held : 0;
}

/* The store committed the claim. A job that is not in live was either cancelled just now, or its
 * submission is between its commit and live_add, which the submit lock waits for. */
static bool is_wanted(scheduler *s, const claimed_run *run)
{
    if (live_claimed(&s->live, run->job_id)) return true;
    pthread_mutex_lock(&s->submit);
    pthread_mutex_unlock(&s->submit);
    return live_claimed(&s->live, run->job_id);
}

/* False when there is nothing more to give now. */
static bool give_next(scheduler *s, slot *t)
{
    claimed_run run;
    bool found;
    error err = {0};
    if (store_claim_run(s->store, memory_left(s), &run, &found, &err) != ERR_OK) {
        scheduler_log(s, "%s", err.message);
        s->retry_ms = live_clock_ms() + RETRY_MS;
        return false;
    }
    if (!found) return false;
    if (is_wanted(s, &run))
        slot_give(s, t, &run);
    else
        store_requeue_run(s->store, run.run_id, false, NULL); /* refused: it is cancelled */
    if (t->state == SLOT_IDLE) s->again = true;
    claimed_run_deinit(&run);
    return true;
}

static bool queue_is_empty(scheduler *s)
{
    pthread_mutex_lock(&s->live.lock);
    bool empty = s->live.queued == 0;
    pthread_mutex_unlock(&s->live.lock);
    return empty;
}

static void give_out(scheduler *s, int64_t now)
{
    s->again = false;
    if (!store_healthy(s->store) || s->stuck) return;
    for (int i = 0; i < s->n_slots; i++) {
        slot *t = &s->slots[i];
        if (t->state != SLOT_IDLE || now < s->retry_ms) continue;
        if (queue_is_empty(s) || !give_next(s, t)) return;
        s->idle_ms = 0;
    }
}

/* -- deadlines -- */

static void drop_cancelled(scheduler *s)
{
    for (int i = 0; i < s->n_slots; i++) {
        slot *t = &s->slots[i];
        if (t->state == SLOT_BUSY && !live_has(&s->live, t->run.job_id)) slot_drop(t);
    }
}

static void ping(slot *t, int64_t now)
{
    if (t->pinged_ms || now - t->seen_ms < PING_MS) return;
    if (proc_send(&t->p, FRAME_PING, NULL, 0, NULL, NULL) != ERR_OK) return;
    t->pinged_ms = now;
    slot_write(t);
}

static void watch(scheduler *s, slot *t, int64_t now)
{
    char why[PROC_WHY];
    if (t->state == SLOT_EMPTY && now >= t->spawn_ms) slot_spawn(s, t);
    if (t->state == SLOT_IDLE) ping(t, now);
    if (t->state == SLOT_IDLE && t->pinged_ms && now - t->pinged_ms > PONG_MS)
        slot_kill(s, t, "did not answer a ping");
    if ((t->state == SLOT_BUSY || t->state == SLOT_STARTING) && now - t->seen_ms > t->silence_ms) {
        snprintf(why, sizeof why, "gave no sign of life for %.3g s", (double)t->silence_ms / 1000);
        slot_kill(s, t, why);
    }
    if (t->eof_ms && now - t->eof_ms > EOF_MS) slot_kill(s, t, "closed its pipe");
}

static void sooner(int64_t *next, int64_t at)
{
    if (at < *next) *next = at;
}

static int time_to_wait(scheduler *s, int64_t now)
{
    int64_t next = s->again ? now : now + PING_MS;
    for (int i = 0; i < s->n_slots; i++) {
        const slot *t = &s->slots[i];
        if (t->state == SLOT_EMPTY) sooner(&next, t->spawn_ms);
        if (t->state == SLOT_IDLE)
            sooner(&next, (t->pinged_ms ? t->pinged_ms + PONG_MS : t->seen_ms + PING_MS) + 1);
        if (t->state == SLOT_BUSY || t->state == SLOT_STARTING)
            sooner(&next, t->seen_ms + t->silence_ms + 1);
        if (t->eof_ms && t->state != SLOT_DYING) sooner(&next, t->eof_ms + EOF_MS + 1);
    }
    if (s->n_endings || (s->retry_ms > now && !queue_is_empty(s))) sooner(&next, s->retry_ms);
    if (s->idle_ms) sooner(&next, s->idle_ms);
    return next > now ? (int)(next - now) : 0;
}

/* -- health -- */

static void publish(scheduler *s)
{
    scheduler_health h = {0};
    for (int i = 0; i < s->n_slots; i++) {
        h.workers_alive += s->slots[i].state == SLOT_IDLE || s->slots[i].state == SLOT_BUSY;
        h.workers_busy += s->slots[i].state == SLOT_BUSY;
    }
    pthread_mutex_lock(&s->lock);
    s->health = h;
    pthread_mutex_unlock(&s->lock);
}

static void tidy(scheduler *s, int64_t now)
{
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].state == SLOT_BUSY) return;
    if (s->idle_ms == 0)
        s->idle_ms = now + IDLE_MS;
    else if (now >= s->idle_ms) {
        store_idle(s->store);
        s->idle_ms = now + 60 * IDLE_MS;
    }
}

/* -- the loop -- */

static int fill_fds(scheduler *s, struct pollfd *fds)
{
    fds[0] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
    for (int i = 0; i < s->n_slots; i++) {
        const slot *t = &s->slots[i];
        struct pollfd *f = fds + 1 + FDS_PER_SLOT * i;
        bool readable = t->state != SLOT_EMPTY && t->state != SLOT_DYING && t->eof_ms == 0;
        f[READ_FD] = (struct pollfd){.fd = readable ? t->p.out_fd : -1, .events = POLLIN};
        bool writable = proc_wants_write(&t->p) && t->eof_ms == 0;
        f[WRITE_FD] = (struct pollfd){.fd = writable ? t->p.in_fd : -1, .events = POLLOUT};
        f[PID_FD] = (struct pollfd){.fd = t->p.pidfd, .events = POLLIN};
    }
    return 1 + FDS_PER_SLOT * s->n_slots;
}

static void serve_slot(scheduler *s, slot *t, const struct pollfd *f)
{
    if (f[WRITE_FD].revents) slot_write(t);
    if (f[READ_FD].revents) slot_read(s, t);
    if (!f[PID_FD].revents) return;
    /* It may have finished its run, and then ended: read what is left before judging. */
    while (slot_read(s, t)) continue;
    slot_reap(s, t);
}

static bool is_stopping(scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

static void announce(scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    s->started = true;
    pthread_cond_broadcast(&s->ready);
    pthread_mutex_unlock(&s->lock);
}

/* Running runs are queued again, uncounted; what cannot be written now is recovered at the start.
 */
static void wind_down(scheduler *s)
{
    char how[PROC_WHY];
    for (int i = 0; i < s->n_slots; i++) {
        slot *t = &s->slots[i];
        if (t->state == SLOT_BUSY) ending_add(s, t, ENDING_REQUEUE, NULL);
        slot_drop(t);
    }
    ending_write_all(s);
    int64_t until = live_clock_ms() + STOP_MS;
    for (int i = 0; i < s->n_slots; i++) {
        proc *p = &s->slots[i].p;
        while (p->pid != 0 && !proc_reap(p, how) && live_clock_ms() < until) {
            struct pollfd f = {.fd = p->pidfd, .events = POLLIN};
            poll(&f, 1, 100);
        }
    }
    for (int i = 0; i < s->n_endings; i++) {
        claimed_run_deinit(&s->endings[i].run);
        intake_free(&s->endings[i].in);
    }
    proc_text_unref(s->text);
}

void *scheduler_thread(void *arg)
{
    scheduler *s = arg;
    struct pollfd fds[1 + FDS_PER_SLOT * SLOTS_MAX];
    for (bool first = true; !is_stopping(s); first = false) {
        int64_t now = live_clock_ms();
        drop_cancelled(s);
        for (int i = 0; i < s->n_slots; i++) watch(s, &s->slots[i], now);
        if (first) announce(s);
        give_out(s, now);
        if (s->n_endings && (!s->stuck || now >= s->retry_ms)) ending_write_all(s);
        tidy(s, now);
        publish(s);

        int n = fill_fds(s, fds);
        if (poll(fds, (nfds_t)n, time_to_wait(s, live_clock_ms())) < 0) continue;
        uint64_t count;
        if (fds[0].revents && read(s->wake_fd, &count, sizeof count) < 0) continue;
        for (int i = 0; i < s->n_slots; i++)
            serve_slot(s, &s->slots[i], fds + 1 + FDS_PER_SLOT * i);
    }
    wind_down(s);
    return NULL;
}
