/* The job resource: submit, list, read, cancel, delete, estimate. */
#include "server/api/api.h"

#include "server/api/job_row.h"
#include "server/job/field.h"
#include "server/job/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 200 };

void api_job_reply(request *r, reply *out, int status, int64_t id, bool existing, const job *echo)
{
    job_row row;
    int n;
    if (!job_row_read(&row, 1, &n, r, out, "WHERE j.id = ?1", id, 0, NULL)) return;
    if (n == 0) {
        api_not_found(out, "job", id);
        return;
    }
    json_out o = {0};
    job_row_write(&o, r->http, &row, existing, echo);
    job_row_free(&row, n);
    reply_json(out, status, &o);
}

/* The request of a job, where something was said about it when it was read; heap, else NULL. */
static char *noted_request(request *r, reply *out, int64_t id)
{
    api_query q;
    char *text = NULL;
    if (!api_query_open(&q, r, out,
                        "SELECT request FROM jobs WHERE id = ?1 AND "
                        "(instr(request, 'hf_config') OR instr(request, 'width_scale'))"))
        return NULL;
    sqlite3_bind_int64(q.stmt, 1, id);
    if (sqlite3_step(q.stmt) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(q.stmt, 0);
        text = column ? strdup(column) : NULL;
    }
    api_query_close(&q, r);
    return text;
}

/* The reply on a job that was submitted earlier: it is read again for what was said about it. */
static void reply_on(request *r, reply *out, int64_t id)
{
    job echo;
    char *text = noted_request(r, out, id);
    job_init(&echo);
    if (text) reader_echo(text, strlen(text), &r->http->options.limits, &echo, NULL);
    api_job_reply(r, out, MHD_HTTP_OK, id, false, &echo);
    job_deinit(&echo);
    free(text);
}

void api_jobs_get(request *r, reply *out)
{
    int64_t id;
    if (request_capture_id(r, 0, &id)) reply_on(r, out, id);
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

static void write_page(json_out *o, http *h, const job_row *rows, int n, int64_t limit)
{
    json_begin_object(o);
    json_array_member(o, "jobs");
    for (int i = 0; i < n && i < limit; i++) job_row_write(o, h, &rows[i], false, NULL);
    json_end(o);
    json_key(o, "next");
    if (n > limit)
        json_integer(o, rows[limit - 1].id);
    else
        json_null(o);
    json_end(o);
}

void api_jobs_list(request *r, reply *out)
{
    int64_t limit = 50, before = INT64_MAX;
    const char *state = request_param_text(r, "state");
    if (!request_param_integer(r, "limit", 1, LIST_MAX, &limit) ||
        !request_param_integer(r, "before", 1, INT64_MAX, &before) ||
        (state && !known_state(r, state)))
        return;
    job_row rows[LIST_MAX + 1];
    int n;
    /* One more than the page: is there another? */
    if (!job_row_read(rows, (int)limit + 1, &n, r, out,
                      state ? "WHERE j.id < ?1 AND j.state = ?3 ORDER BY j.id DESC LIMIT ?2"
                            : "WHERE j.id < ?1 ORDER BY j.id DESC LIMIT ?2",
                      before, limit + 1, state))
        return;
    json_out o = {0};
    write_page(&o, r->http, rows, n, limit);
    job_row_free(rows, n);
    reply_json(out, MHD_HTTP_OK, &o);
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
    if (code != ERR_OK)
        reply_error(out, &e);
    else
        api_job_reply(r, out, existing ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED, id, existing, &j);
    job_deinit(&j);
    if (code != ERR_OK) return;
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
        reply_on(r, out, id);
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
        reply_on(r, out, id);
        return;
    }
    if (code == ERR_OK) code = store_delete_job(r->http->store, id, &e);
    if (code != ERR_OK)
        reply_error(out, &e);
    else
        reply_empty(out, MHD_HTTP_NO_CONTENT);
}

/* Fields that no run has a use for. */
static void write_unused(json_out *o, const job *j)
{
    use_set uses = 0;
    for (int i = 0; i < j->n_runs; i++) uses |= engine_f32.uses(&j->runs[i].spec);
    json_begin_array(o);
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        char path[FIELD_PATH];
        if (!f->use || uses & f->use) continue;
        field_path(path, f);
        json_begin_object(o);
        json_string_member(o, "path", path);
        json_string_member(o, "needs", field_needs(f));
        json_end(o);
    }
    json_end(o);
}

/* Groups of metrics by what they add to the passes that are measured: the factor of the job is the
 * mean over its runs, by what their passes cost. */
static void write_metric_costs(json_out *o, const job *j)
{
    double measured = 0;
    for (int i = 0; i < j->n_runs; i++) measured += j->runs[i].cost.measured_flops;
    json_begin_array(o);
    for (int k = 0; k < GROUP_COUNT; k++) {
        double flops = 0, time = 0;
        bool wanted = false;
        for (int i = 0; i < j->n_runs; i++) {
            const estimate *c = &j->runs[i].cost;
            wanted |= c->metrics[k].wanted;
            flops += c->metrics[k].flops;
            time += c->metrics[k].factor * c->measured_flops;
        }
        if (!wanted) continue;
        json_begin_object(o);
        json_string_member(o, "group", j->runs[0].cost.metrics[k].group);
        json_number_member(o, "flops", flops);
        json_number_member(o, "share", measured > 0 ? flops / measured : 0);
        json_number_member(o, "factor",
                           measured > 0 ? time / measured : j->runs[0].cost.metrics[k].factor);
        json_end(o);
    }
    json_end(o);
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
    json_integer_member(o, "runs", j->n_runs);
    json_key(o, "parameters");
    json_unsigned(o, parameters);
    json_number_member(o, "flops", flops);
    json_key(o, "peak_bytes");
    json_unsigned(o, peak);
    json_number_member(o, "measurements", measurements);
    json_key(o, "metrics");
    write_metric_costs(o, j);
    json_key(o, "unused");
    write_unused(o, j);
    json_raw_member(o, "resolved", j->resolved);
    json_string_member(o, "hash", j->hash);
    json_raw_member(o, "coverage", j->coverage);
    json_raw_member(o, "notes", j->notes ? j->notes : "[]");
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
