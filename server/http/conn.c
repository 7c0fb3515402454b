#include "server/http/conn.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct conn {
    int fd;
    conn_state state;
    bool fresh; /* no request has begun on it */
    bool cut;   /* shutdown was called: it only waits for the library */
    int64_t since_ms;
    uint64_t bytes;
    conn *prev, *next;
};

struct conn_table {
    conn_limits limits;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t reaper;
    bool stop;
    int count, cut, streams;
    conn *head;
};

enum {
    SLOW_READER_MS = 2000,
    SILENT_MS = 200, /* a new connection without a request line for so long has nothing to ask */
    DRAIN_TICK_MS = 10
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void cut(conn_table *t, conn *c)
{
    if (c->cut) return;
    c->cut = true;
    t->cut++;
    shutdown(c->fd, SHUT_RDWR);
}

static int64_t transfer_ms(const conn_limits *l, uint64_t bytes)
{
    return (int64_t)(bytes / (uint64_t)l->bytes_per_s * 1000);
}

/* Time allowed in the state, or -1 for no limit. */
static int64_t allowed_ms(const conn_limits *l, const conn *c)
{
    switch (c->state) {
    case CONN_IDLE:
        return c->fresh ? l->header_ms : l->idle_ms;
    case CONN_HEADER:
        return l->header_ms;
    case CONN_BODY:
        return l->body_ms + transfer_ms(l, c->bytes);
    case CONN_REPLY: {
        int64_t allowed = l->body_ms + transfer_ms(l, c->bytes);
        return allowed < l->reply_max_ms ? allowed : l->reply_max_ms;
    }
    case CONN_HANDLER:
    case CONN_STREAM:
        break;
    }
    return -1;
}

static void reap(conn_table *t)
{
    int64_t now = now_ms();
    for (conn *c = t->head; c; c = c->next) {
        int64_t allowed = allowed_ms(&t->limits, c);
        if (allowed >= 0 && now - c->since_ms > allowed) cut(t, c);
    }
}

static void *reaper_main(void *arg)
{
    conn_table *t = arg;
    int tick_ms = t->limits.header_ms / 20 + 1;
    if (tick_ms > 250) tick_ms = 250;
    pthread_mutex_lock(&t->mutex);
    while (!t->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)tick_ms * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&t->wake, &t->mutex, &until);
        reap(t);
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

conn_table *conn_table_new(const conn_limits *limits)
{
    conn_table *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->limits = *limits;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&t->mutex, NULL);
    if (pthread_create(&t->reaper, NULL, reaper_main, t) != 0) {
        pthread_cond_destroy(&t->wake);
        pthread_mutex_destroy(&t->mutex);
        free(t);
        return NULL;
    }
    return t;
}

void conn_table_free(conn_table *t)
{
    if (!t) return;
    pthread_mutex_lock(&t->mutex);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    pthread_join(t->reaper, NULL);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mutex);
    free(t);
}

static bool under_way(const conn *c, int64_t now)
{
    if (c->cut || c->state == CONN_STREAM) return false;
    return c->state != CONN_IDLE || (c->fresh && now - c->since_ms < SILENT_MS);
}

static bool any_under_way(conn_table *t)
{
    int64_t now = now_ms();
    pthread_mutex_lock(&t->mutex);
    conn *c = t->head;
    while (c && !under_way(c, now)) c = c->next;
    pthread_mutex_unlock(&t->mutex);
    return c != NULL;
}

void conn_drain(conn_table *t, int ms)
{
    const struct timespec tick = {.tv_nsec = DRAIN_TICK_MS * 1000000};
    int64_t until = now_ms() + ms;
    do
        nanosleep(&tick,
                  NULL); /* first of all, for what has been accepted and is not in the table yet */
    while (any_under_way(t) && now_ms() < until);
}

/* How willingly a connection is given up: 2 for an incomplete request, 1 for a slow reader. */
static int expendable(const conn *c, int64_t now)
{
    if (c->cut) return 0;
    if (c->state == CONN_IDLE || c->state == CONN_HEADER || c->state == CONN_BODY) return 2;
    return c->state == CONN_REPLY && now - c->since_ms > SLOW_READER_MS;
}

static void make_room(conn_table *t, const conn *newcomer)
{
    int64_t now = now_ms();
    conn *victim = NULL;
    int rank = 0;
    for (conn *c = t->head; c; c = c->next) {
        int r = c == newcomer ? 0 : expendable(c, now);
        if (r == 0 || r < rank) continue;
        if (r > rank || c->since_ms <= victim->since_ms) victim = c, rank = r;
    }
    if (victim) cut(t, victim);
}

conn *conn_open(conn_table *t, int fd)
{
    conn *c = calloc(1, sizeof *c);
    if (!c) {
        shutdown(fd, SHUT_RDWR);
        return NULL;
    }
    c->fd = fd;
    c->fresh = true;
    c->since_ms = now_ms();
    pthread_mutex_lock(&t->mutex);
    c->next = t->head;
    if (t->head) t->head->prev = c;
    t->head = c;
    t->count++;
    if ((int64_t)(t->count - t->cut) * 5 > (int64_t)t->limits.connections * 4) make_room(t, c);
    pthread_mutex_unlock(&t->mutex);
    return c;
}

void conn_close(conn_table *t, conn *c)
{
    if (!c) return;
    pthread_mutex_lock(&t->mutex);
    if (c->prev)
        c->prev->next = c->next;
    else
        t->head = c->next;
    if (c->next) c->next->prev = c->prev;
    t->count--;
    if (c->cut) t->cut--;
    if (c->state == CONN_STREAM) t->streams--;
    pthread_mutex_unlock(&t->mutex);
    free(c);
}

void conn_enter(conn_table *t, conn *c, conn_state state, uint64_t bytes)
{
    if (!c) return;
    pthread_mutex_lock(&t->mutex);
    if (c->state == CONN_STREAM) t->streams--;
    if (state == CONN_STREAM) t->streams++;
    /* The headers of a new connection are due from its birth on, not from its request line on. */
    if (!(c->fresh && state == CONN_HEADER)) c->since_ms = now_ms();
    c->fresh = false;
    c->state = state;
    c->bytes = bytes;
    pthread_mutex_unlock(&t->mutex);
}

void conn_bytes(conn_table *t, conn *c, uint64_t bytes)
{
    if (!c) return;
    pthread_mutex_lock(&t->mutex);
    c->bytes = bytes;
    pthread_mutex_unlock(&t->mutex);
}

bool conn_stream(conn_table *t, conn *c)
{
    if (!c) return false;
    pthread_mutex_lock(&t->mutex);
    bool room = t->streams < t->limits.streams;
    if (room) {
        c->state = CONN_STREAM;
        c->since_ms = now_ms();
        t->streams++;
    }
    pthread_mutex_unlock(&t->mutex);
    return room;
}

bool conn_gone(conn *c)
{
    if (!c) return false;
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}
