/* The job resource: submit, list, read, cancel, delete, estimate. */
#include "server/api.h"

#include "server/reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_COLUMNS                                                                                \
    "SELECT j.id, j.hash, j.name, j.state, j.created_at, j.started_at, j.finished_at, "            \
    "j.runs_total, j.error_json, j.resolved, "                                                     \
    "(SELECT count(*) FROM runs r WHERE r.job_id = j.id AND r.state = 'done'), "                   \
    "(SELECT count(*) FROM runs r WHERE r.job_id = j.id AND r.state = 'failed') FROM jobs j "

enum {
    COL_ID,
    COL_HASH,
    COL_NAME,
    COL_STATE,
    COL_CREATED,
    COL_STARTED,
    COL_FINISHED,
    COL_RUNS,
    COL_ERROR,
    COL_RESOLVED,
    COL_DONE,
    COL_FAILED
};

static bool has_ended(const char *state)
{
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

/* Progress of a job that the scheduler does not know: from its counts. */
static job_progress stored_progress(sqlite3_stmt *s, const char *state)
{
    job_progress p = {.eta_s = NAN};
    int total = sqlite3_column_int(s, COL_RUNS);
    int ended = sqlite3_column_int(s, COL_DONE) + sqlite3_column_int(s, COL_FAILED);
    p.fraction = strcmp(state, "done") == 0 || total == 0 ? 1 : (double)ended / total;
    if (has_ended(state)) p.eta_s = 0;
    return p;
}

static void write_links(json_out *o, int64_t id)
{
    json_key(o, "links");
    json_begin_object(o);
    api_link(o, "self", "/api/v1/jobs/{id}", id);
    api_link(o, "runs", "/api/v1/jobs/{id}/runs", id);
    api_link(o, "series", "/api/v1/jobs/{id}/series", id);
    api_link(o, "steps", "/api/v1/jobs/{id}/steps", id);
    api_link(o, "chart", "/api/v1/jobs/{id}/chart", id);
    api_link(o, "events", "/api/v1/jobs/{id}/events", id);
    json_end(o);
}

/* One row of JOB_COLUMNS. The list leaves the resolved text out. */
static void write_job(json_out *o, http *h, sqlite3_stmt *s, bool existing, bool whole)
{
    int64_t id = sqlite3_column_int64(s, COL_ID);
    const char *state = (const char *)sqlite3_column_text(s, COL_STATE);
    job_progress p;
    if (!state) state = "";
    if (has_ended(state) || !api_progress(h, id, &p)) p = stored_progress(s, state);
    json_begin_object(o);
    api_member(o, "id", s, COL_ID);
    api_member(o, "hash", s, COL_HASH);
    api_member(o, "name", s, COL_NAME);
    api_member(o, "state", s, COL_STATE);
    json_key(o, "existing");
    json_bool(o, existing);
    api_member(o, "created_at", s, COL_CREATED);
    api_member(o, "started_at", s, COL_STARTED);
    api_member(o, "finished_at", s, COL_FINISHED);
    api_member(o, "runs_total", s, COL_RUNS);
    api_member(o, "runs_done", s, COL_DONE);
    api_member(o, "runs_failed", s, COL_FAILED);
    json_key(o, "queue_position");
    json_integer(o, has_ended(state) ? 0 : p.queue_position);
    json_key(o, "progress");
    json_begin_object(o);
    api_write_progress(o, &p);
    json_end(o);
    if (whole) api_member_json(o, "resolved", s, COL_RESOLVED);
    api_member_json(o, "error", s, COL_ERROR);
    write_links(o, id);
    json_end(o);
}

void api_job_reply(request *r, reply *out, int status, int64_t id, bool existing)
{
    api_query q;
    if (!api_query_open(&q, r, out, JOB_COLUMNS "WHERE j.id = ?")) return;
    sqlite3_bind_int64(q.stmt, 1, id);
    int row = sqlite3_step(q.stmt);
    if (row == SQLITE_ROW) {
        json_out o = {0};
        write_job(&o, r->http, q.stmt, existing, true);
        reply_json(out, status, &o);
    } else if (row == SQLITE_DONE) {
        api_not_found(out, "job", id);
    } else {
        api_store_failed(out, q.db);
    }
    api_query_close(&q, r);
}

void api_jobs_get(request *r, reply *out)
{
    int64_t id;
    if (request_capture_id(r, 0, &id)) api_job_reply(r, out, MHD_HTTP_OK, id, false);
}

static bool known_state(request *r, const char *state)
{
    static const char *const states[] = {"queued", "running", "done", "failed", "cancelled"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(state, states[i]) == 0) return true;
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, "state",
                  "\"%.40s\" is not one of queued, running, done, failed, cancelled", state);
    return false;
}

void api_jobs_list(request *r, reply *out)
{
    int64_t limit = 50, before = INT64_MAX;
    const char *state = request_param_text(r, "state");
    if (!request_param_integer(r, "limit", 1, 200, &limit) ||
        !request_param_integer(r, "before", 1, INT64_MAX, &before) ||
        (state && !known_state(r, state)))
        return;
    api_query q;
    const char *sql = state ? JOB_COLUMNS
                          "WHERE j.id < ?1 AND j.state = ?3 ORDER BY j.id DESC LIMIT ?2"
                            : JOB_COLUMNS "WHERE j.id < ?1 ORDER BY j.id DESC LIMIT ?2";
    if (!api_query_open(&q, r, out, sql)) return;
    sqlite3_bind_int64(q.stmt, 1, before);
    sqlite3_bind_int64(q.stmt, 2, limit + 1);
    if (state) sqlite3_bind_text(q.stmt, 3, state, -1, SQLITE_STATIC);
    json_out o = {0};
    json_begin_object(&o);
    json_key(&o, "jobs");
    json_begin_array(&o);
    int64_t last = 0, n = 0;
    int row;
    while ((row = sqlite3_step(q.stmt)) == SQLITE_ROW && n < limit) {
        last = sqlite3_column_int64(q.stmt, COL_ID);
        write_job(&o, r->http, q.stmt, false, false);
        n++;
    }
    json_end(&o);
    json_key(&o, "next");
    if (row == SQLITE_ROW)
        json_integer(&o, last);
    else
        json_null(&o);
    json_end(&o);
    if (row == SQLITE_ROW || row == SQLITE_DONE) {
        reply_json(out, MHD_HTTP_OK, &o);
    } else {
        json_deinit(&o);
        api_store_failed(out, q.db);
    }
    api_query_close(&q, r);
}

static void submit(request *r, reply *out, const char *text, size_t n)
{
    error e = {0};
    job j;
    int64_t id = 0;
    bool existing = false;
    job_init(&j);
    err_code code = reader_job(text, n, &r->http->options.limits, &j, &e);
    if (code == ERR_OK && !r->http->scheduler)
        code = error_set(&e, ERR_FULL, "", "this server takes no jobs");
    if (code == ERR_OK) code = scheduler_submit(r->http->scheduler, &j, text, &id, &existing, &e);
    job_deinit(&j);
    if (code != ERR_OK) {
        reply_error(out, &e);
        return;
    }
    api_job_reply(r, out, existing ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED, id, existing);
    snprintf(out->location, sizeof out->location, "/api/v1/jobs/%lld", (long long)id);
}

void api_jobs_create(request *r, reply *out)
{
    submit(r, out, r->body ? r->body : "", r->body_n);
}

void api_jobs_demo(request *r, reply *out)
{
    const char *demo = r->http->options.demo_job;
    if (demo) {
        submit(r, out, demo, strlen(demo));
        return;
    }
    error e;
    error_set(&e, ERR_NOT_FOUND, "", "this server was started without a demo study");
    reply_error(out, &e);
}

void api_jobs_cancel(request *r, reply *out)
{
    int64_t id;
    error e = {0};
    bool was_active = false;
    if (!request_capture_id(r, 0, &id)) return;
    err_code code = r->http->scheduler ? scheduler_cancel(r->http->scheduler, id, &was_active, &e)
                                       : store_cancel_job(r->http->store, id, &was_active, &e);
    if (code != ERR_OK)
        reply_error(out, &e);
    else
        api_job_reply(r, out, MHD_HTTP_OK, id, false);
}

void api_jobs_delete(request *r, reply *out)
{
    int64_t id;
    error e = {0};
    bool was_active = false;
    if (!request_capture_id(r, 0, &id)) return;
    err_code code = r->http->scheduler ? scheduler_cancel(r->http->scheduler, id, &was_active, &e)
                                       : store_cancel_job(r->http->store, id, &was_active, &e);
    if (code == ERR_OK && was_active) {
        api_job_reply(r, out, MHD_HTTP_OK, id, false);
        return;
    }
    if (code == ERR_OK) code = store_delete_job(r->http->store, id, &e);
    if (code != ERR_OK)
        reply_error(out, &e);
    else
        reply_empty(out, MHD_HTTP_NO_CONTENT);
}

static void write_estimate(json_out *o, const job *j)
{
    double flops = 0, measurements = 0;
    uint64_t parameters = 0, peak = 0;
    for (int i = 0; i < j->n_runs; i++) {
        const estimate *c = &j->runs[i].cost;
        flops += c->flops;
        measurements += (double)c->measurements;
        if (c->parameters > parameters) parameters = c->parameters;
        if (c->peak_bytes > peak) peak = c->peak_bytes;
    }
    json_begin_object(o);
    json_key(o, "runs");
    json_integer(o, j->n_runs);
    json_key(o, "parameters");
    json_unsigned(o, parameters);
    json_key(o, "flops");
    json_double(o, flops);
    json_key(o, "peak_bytes");
    json_unsigned(o, peak);
    json_key(o, "measurements");
    json_double(o, measurements);
    json_key(o, "resolved");
    json_raw(o, j->resolved);
    json_key(o, "hash");
    json_string(o, j->hash);
    json_end(o);
}

void api_jobs_estimate(request *r, reply *out)
{
    error e = {0};
    job j;
    job_init(&j);
    if (reader_job(r->body ? r->body : "", r->body_n, &r->http->options.limits, &j, &e) == ERR_OK) {
        json_out o = {0};
        write_estimate(&o, &j);
        reply_json(out, MHD_HTTP_OK, &o);
    } else {
        reply_error(out, &e);
    }
    job_deinit(&j);
}
