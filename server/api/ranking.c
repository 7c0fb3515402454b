/* The arms of a job ranked by metrics of the initial network. */
#include "server/verdict/ranking.h"
#include "server/api/api.h"

#include <stdio.h>

static bool find_job(request *r, reply *out, int64_t id, bool csv, char state[16])
{
    api_query q;
    const char *weights = request_param_text(r, "weights");
    char form[512];
    if (!api_query_row(&q, r, out, "job", id,
                       "SELECT state, hash, finished_at FROM jobs WHERE id = ?"))
        return false;
    snprintf(state, 16, "%s", (const char *)sqlite3_column_text(q.stmt, 0));
    snprintf(form, sizeof form, "ranking %s %.480s", csv ? "csv" : "json", weights ? weights : "");
    api_tag_ended(r, out, (const char *)sqlite3_column_text(q.stmt, 1),
                  (const char *)sqlite3_column_text(q.stmt, 2), form);
    api_query_close(&q, r);
    return true;
}

/* Rows of step 0 of one run, by the primary key. */
static bool read_rows(ranking *k, sqlite3_stmt *s, int64_t run_id)
{
    int row;
    sqlite3_bind_int64(s, 1, run_id);
    while ((row = sqlite3_step(s)) == SQLITE_ROW) {
        const char *metric_name = (const char *)sqlite3_column_text(s, 2);
        const char *site_name = (const char *)sqlite3_column_text(s, 1);
        int m = metric_name ? registry_find(&metric_registry, metric_name) : -1;
        int where = site_name ? registry_find(&site_registry, site_name) : -1;
        if (m < 0 || where < 0 || !ranking_uses(k, m)) continue;
        ranking_measure(k, 0, sqlite3_column_int(s, 0), (site)where, (metric)m,
                        sqlite3_column_double(s, 3),
                        reason_find((const char *)sqlite3_column_text(s, 4)));
    }
    sqlite3_reset(s);
    return row == SQLITE_DONE;
}

/* All finished runs, a reader's page each. The rows of a finished run never change. */
static bool read_run(request *r, reply *out, ranking *k, int64_t job_id, int64_t *idx, bool *more)
{
    api_query q;
    error err;
    if (!api_query_open(&q, r, out,
                        "SELECT id, idx, arm, CASE WHEN steps_done > 0 THEN (SELECT loss FROM steps"
                        " WHERE run_id = runs.id ORDER BY step DESC LIMIT 1) END,"
                        " parameters, flops FROM runs"
                        " WHERE job_id = ?1 AND idx > ?2 AND state = 'done' ORDER BY idx LIMIT 1"))
        return false;
    sqlite3_bind_int64(q.stmt, 1, job_id);
    sqlite3_bind_int64(q.stmt, 2, *idx);
    int row = sqlite3_step(q.stmt);
    bool ok = row == SQLITE_ROW || row == SQLITE_DONE;
    *more = row == SQLITE_ROW;
    if (*more) {
        sqlite3_stmt *s =
            api_prepare(q.db, out,
                        "SELECT m.layer, s.name, k.name, m.value, x.name FROM measurements m"
                        " JOIN sites s ON s.id = m.site_id JOIN metrics k ON k.id = m.metric_id"
                        " LEFT JOIN reasons x ON x.id = m.reason_id"
                        " WHERE m.run_id = ? AND m.step = 0 AND m.item = 0 AND (m.layer = -1 OR "
                        "s.name = 'resid_out')");
        *idx = sqlite3_column_int64(q.stmt, 1);
        ok = s &&
             !ranking_run(k, (const char *)sqlite3_column_text(q.stmt, 2),
                          sqlite3_column_double(q.stmt, 4), sqlite3_column_double(q.stmt, 5), &err);
        if (ok && sqlite3_column_type(q.stmt, 3) != SQLITE_NULL)
            ranking_loss(k, sqlite3_column_double(q.stmt, 3));
        ok = ok && read_rows(k, s, sqlite3_column_int64(q.stmt, 0));
        sqlite3_finalize(s);
    }
    if (!ok && !out->status) api_store_failed(out, q.db);
    api_query_close(&q, r);
    return ok;
}

static void answer_csv(reply *out, const ranking *k, int64_t id)
{
    json_out o = {0};
    ranking_csv(k, &o);
    reply_text(out, MHD_HTTP_OK, "text/csv; charset=utf-8", json_take(&o));
    snprintf(out->filename, sizeof out->filename, "normscope-job-%lld-ranking.csv", (long long)id);
}

static void answer(reply *out, const ranking *k, int64_t id, const char *state)
{
    json_out o = {0};
    json_begin_object(&o);
    json_integer_member(&o, "job_id", id);
    json_string_member(&o, "state", state);
    ranking_json(k, &o);
    json_end(&o);
    reply_json(out, MHD_HTTP_OK, &o);
    json_deinit(&o);
}

void api_jobs_ranking(request *r, reply *out)
{
    int64_t id, idx = -1;
    char state[16];
    bool more = true, ok = true, csv;
    error err;
    ranking *k = NULL;
    if (!request_wants_csv(r, &csv) || !request_capture_id(r, 0, &id)) return;
    if (ranking_new(&k, request_param_text(r, "weights"), &err)) {
        if (err.code == ERR_MEMORY)
            reply_error(out, &err);
        else
            reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, "weights", "%s", err.message);
        ranking_free(k);
        return;
    }
    ok = find_job(r, out, id, csv, state);
    while (ok && more) ok = read_run(r, out, k, id, &idx, &more);
    if (ok && ranking_end(k, &err)) {
        reply_error(out, &err);
        ok = false;
    }
    if (ok && csv) answer_csv(out, k, id);
    if (ok && !csv) answer(out, k, id, state);
    ranking_free(k);
}
