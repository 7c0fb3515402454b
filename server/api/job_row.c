#include "server/api/job_row.h"

#include "server/api/api.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_HASH,
    TEXT_NAME,
    TEXT_STATE,
    TEXT_CREATED,
    TEXT_STARTED,
    TEXT_FINISHED,
    TEXT_ERROR,
    TEXT_RESOLVED,
    TEXT_VERDICT,
    TEXT_SENTENCE
};

/* Texts first, in the order of the enum. */
#define JOB_COLUMNS                                                                                \
    "SELECT j.hash, j.name, j.state, j.created_at, j.started_at, j.finished_at, j.error_json, "    \
    "j.resolved, j.verdict, j.sentence, j.id, j.runs_total, "                                      \
    "(SELECT count(*) FROM runs r WHERE r.job_id = j.id AND r.state = 'done'), "                   \
    "(SELECT count(*) FROM runs r WHERE r.job_id = j.id AND r.state = 'failed'), "                 \
    "(SELECT count(*) FROM runs r WHERE r.job_id = j.id AND r.state = 'skipped') FROM jobs j "

static bool has_ended(const char *state)
{
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

void job_row_free(job_row *rows, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < JOB_ROW_TEXTS; k++) free(rows[i].text[k]);
}

static bool copy_row(job_row *row, sqlite3_stmt *s)
{
    bool whole = true;
    *row = (job_row){.id = sqlite3_column_int64(s, JOB_ROW_TEXTS),
                     .runs_total = sqlite3_column_int(s, JOB_ROW_TEXTS + 1),
                     .done = sqlite3_column_int(s, JOB_ROW_TEXTS + 2),
                     .failed = sqlite3_column_int(s, JOB_ROW_TEXTS + 3),
                     .skipped = sqlite3_column_int(s, JOB_ROW_TEXTS + 4)};
    for (int k = 0; k < JOB_ROW_TEXTS; k++) {
        if (sqlite3_column_type(s, k) == SQLITE_NULL) continue;
        const char *text = (const char *)sqlite3_column_text(s, k);
        row->text[k] = text ? strdup(text) : NULL;
        whole = whole && row->text[k];
    }
    return whole;
}

bool job_row_read(job_row *rows,
                  int max,
                  int *n,
                  request *r,
                  reply *out,
                  const char *conditions,
                  int64_t first,
                  int64_t second,
                  const char *third)
{
    api_query q;
    char sql[1024];
    int row;
    bool memory = true;
    *n = 0;
    snprintf(sql, sizeof sql, "%s%s", JOB_COLUMNS, conditions);
    if (!api_query_open(&q, r, out, sql)) return false;
    sqlite3_bind_int64(q.stmt, 1, first);
    sqlite3_bind_int64(q.stmt, 2, second);
    sqlite3_bind_text(q.stmt, 3, third, -1, SQLITE_STATIC);
    while ((row = sqlite3_step(q.stmt)) == SQLITE_ROW && *n < max && memory)
        memory = copy_row(&rows[(*n)++], q.stmt);
    bool ok = memory && (row == SQLITE_ROW || row == SQLITE_DONE);
    if (!memory)
        reply_error(out, &(error){.code = ERR_MEMORY, .message = "no memory for the jobs"});
    else if (!ok)
        api_store_failed(out, q.db);
    api_query_close(&q, r);
    if (!ok) job_row_free(rows, *n);
    return ok;
}

/* Progress of a job that the scheduler does not know: from its counts. */
static job_progress stored_progress(const job_row *j, const char *state)
{
    job_progress p = {.eta_s = has_ended(state) ? 0 : NAN};
    bool all = strcmp(state, "done") == 0 || j->runs_total == 0;
    p.fraction = all ? 1 : (double)(j->done + j->failed + j->skipped) / j->runs_total;
    return p;
}

static void write_links(json_out *o, int64_t id)
{
    json_object_member(o, "links");
    api_link(o, "self", "/api/v1/jobs/{id}", id);
    api_link(o, "runs", "/api/v1/jobs/{id}/runs", id);
    api_link(o, "series", "/api/v1/jobs/{id}/series", id);
    api_link(o, "steps", "/api/v1/jobs/{id}/steps", id);
    api_link(o, "chart", "/api/v1/jobs/{id}/chart", id);
    api_link(o, "verdict", "/api/v1/jobs/{id}/verdict", id);
    api_link(o, "predictions", "/api/v1/jobs/{id}/predictions", id);
    api_link(o, "ranking", "/api/v1/jobs/{id}/ranking", id);
    api_link(o, "events", "/api/v1/jobs/{id}/events", id);
    json_end(o);
}

void job_row_write(json_out *o, http *h, const job_row *j, bool existing, const job *echo)
{
    const char *state = j->text[TEXT_STATE] ? j->text[TEXT_STATE] : "";
    job_progress p;
    if (has_ended(state) || !api_progress(h, j->id, &p)) p = stored_progress(j, state);
    json_begin_object(o);
    json_integer_member(o, "id", j->id);
    json_string_member(o, "hash", j->text[TEXT_HASH]);
    json_string_member(o, "name", j->text[TEXT_NAME]);
    json_string_member(o, "state", state);
    json_bool_member(o, "existing", existing);
    json_string_member(o, "created_at", j->text[TEXT_CREATED]);
    json_string_member(o, "started_at", j->text[TEXT_STARTED]);
    json_string_member(o, "finished_at", j->text[TEXT_FINISHED]);
    json_integer_member(o, "runs_total", j->runs_total);
    json_integer_member(o, "runs_done", j->done);
    json_integer_member(o, "runs_failed", j->failed);
    json_integer_member(o, "runs_skipped", j->skipped);
    json_integer_member(o, "queue_position", has_ended(state) ? 0 : p.queue_position);
    json_object_member(o, "progress");
    api_write_progress(o, &p);
    json_end(o);
    if (echo) {
        json_raw_member(o, "resolved", j->text[TEXT_RESOLVED]);
        json_raw_member(o, "coverage", echo->coverage);
        json_raw_member(o, "notes", echo->notes ? echo->notes : "[]");
    }
    json_string_member(o, "verdict", j->text[TEXT_VERDICT]);
    json_string_member(o, "sentence", j->text[TEXT_SENTENCE]);
    json_raw_member(o, "error", j->text[TEXT_ERROR]);
    write_links(o, j->id);
    json_end(o);
}
