/* Progress of a job as server-sent events, in the connection's own thread: it waits for the
 * scheduler in short turns, so that a client that left, or a daemon that stops, is noticed within
 * half a second. */
#include "server/api/api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURN_MS = 500, HEARTBEAT_S = 10 };

typedef struct events {
    http *http;
    conn *conn;
    int64_t job_id;
    uint64_t seen;
    time_t spoken; /* monotonic seconds of the last byte */
    bool ended;
    json_out out;
    size_t sent;
} events;

static time_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* Of the event that says that the job has ended. */
static void write_verdict(events *e, json_out *o)
{
    sqlite3 *db = store_reader(e->http->store, NULL);
    sqlite3_stmt *s = NULL;
    bool there = db &&
                 sqlite3_prepare_v2(db, "SELECT verdict, sentence FROM jobs WHERE id = ?", -1, &s,
                                    NULL) == SQLITE_OK &&
                 sqlite3_bind_int64(s, 1, e->job_id) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    json_string_member(o, "verdict", there ? (const char *)sqlite3_column_text(s, 0) : NULL);
    json_string_member(o, "sentence", there ? (const char *)sqlite3_column_text(s, 1) : NULL);
    sqlite3_finalize(s);
    store_release(e->http->store, db);
}

static void write_event(events *e, const char *kind, const job_progress *p)
{
    json_out *o = &e->out;
    json_text(o, "event: ");
    json_text(o, kind);
    json_text(o, "\ndata: ");
    json_begin_object(o);
    json_integer_member(o, "id", e->job_id);
    json_string_member(o, "state", p->state);
    json_integer_member(o, "queue_position", p->queue_position);
    json_integer_member(o, "runs_total", p->runs_total);
    json_integer_member(o, "runs_done", p->runs_done);
    json_integer_member(o, "runs_failed", p->runs_failed);
    json_object_member(o, "progress");
    api_write_progress(o, p);
    json_end(o);
    if (strcmp(kind, "end") == 0) write_verdict(e, o);
    json_end(o);
    json_text(o, "\n\n");
}

static bool has_ended(const job_progress *p)
{
    return strcmp(p->state, "queued") != 0 && strcmp(p->state, "running") != 0;
}

/* Waits until there is something to say. false: nobody listens any more. */
static bool next(events *e)
{
    job_progress p;
    while (e->out.n == 0) {
        if (atomic_load(&e->http->stopping) || conn_gone(e->conn)) return false;
        if (scheduler_wait(e->http->scheduler, e->job_id, e->seen, TURN_MS, &p)) {
            e->seen = p.version;
            write_event(e, "progress", &p);
            e->ended = has_ended(&p);
            if (e->ended) write_event(e, "end", &p);
        } else if (!scheduler_progress(e->http->scheduler, e->job_id, &p)) {
            e->ended = true; /* deleted: the client asks again and gets 404 */
            return true;
        } else if (now_s() - e->spoken >= HEARTBEAT_S) {
            json_text(&e->out, ":\n\n");
        }
    }
    e->spoken = now_s();
    return !e->out.failed;
}

static ssize_t events_read(void *ctx, char *out, size_t max)
{
    events *e = ctx;
    if (e->sent == e->out.n) {
        e->sent = e->out.n = 0;
        if (e->ended) return 0;
        if (!next(e)) return -1;
    }
    size_t n = e->out.n - e->sent;
    if (n > max) n = max;
    if (n) memcpy(out, e->out.text + e->sent, n);
    e->sent += n;
    return (ssize_t)n;
}

static void events_close(void *ctx)
{
    events *e = ctx;
    json_deinit(&e->out);
    free(e);
}

void api_events(request *r, reply *out)
{
    int64_t id;
    job_progress p;
    if (!request_capture_id(r, 0, &id)) return;
    if (!api_progress(r->http, id, &p)) {
        api_not_found(out, "job", id);
        return;
    }
    if (!conn_stream(r->http->conns, r->conn)) {
        reply_problem(out, PROBLEM_BUSY, NULL,
                      "too many event streams are open; poll GET /api/v1/jobs/{id} instead");
        return;
    }
    events *e = calloc(1, sizeof *e);
    if (!e) {
        reply_error(out, &(error){.code = ERR_MEMORY, .message = "no memory for the event stream"});
        return;
    }
    e->http = r->http;
    e->conn = r->conn;
    e->job_id = id;
    e->spoken = now_s();
    write_event(e, "progress", &p);
    e->seen = p.version;
    e->ended = has_ended(&p);
    if (e->ended) write_event(e, "end", &p);
    reply_stream(out, "text/event-stream", (stream){events_read, events_close, e});
    out->events = true;
}
