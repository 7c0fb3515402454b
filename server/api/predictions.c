/* Predictions: of the runs of a job, beside what was measured; and of a job that is not run. */
#include "server/api/api.h"

#include "server/job/predict.h"
#include "server/job/reader.h"

#include <string.h>

enum { ROWS_MAX = 20000 };

void api_predict(request *r, reply *out)
{
    error e = {0};
    job j;
    json_out o = {0};
    limits lim = predict_limits(&r->http->options.limits, true);
    job_init(&j);
    err_code code = reader_job(r->body ? r->body : "", r->body_n, &lim, &j, &e);
    if (code == ERR_OK) code = predict_write(&o, &j, &e);
    if (code == ERR_OK)
        reply_json(out, MHD_HTTP_OK, &o);
    else
        reply_error(out, &e);
    json_deinit(&o);
    job_deinit(&j);
}

/* --- of a job --------------------------------------------------------------------------------- */

/* metric and site, each one name or none. */
typedef struct question {
    const char *metric, *site;
} question;

static bool one_name(request *r, const char *parameter, const registry *names, const char **out)
{
    int rows[REQUEST_LIST], n;
    if (!request_param_names(r, parameter, names, rows, &n)) return false;
    *out = n == 1 ? names->rows[rows[0]]->name : NULL;
    if (n < 2) return true;
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, parameter, "one is taken");
    return false;
}

static void bind_question(sqlite3_stmt *s, int64_t id, const question *q)
{
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_text(s, 2, q->metric, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, q->site, -1, SQLITE_STATIC);
}

#define SELECTION                                                                                  \
    " FROM v_predictions WHERE job_id = ?1 AND (?2 IS NULL OR metric = ?2)"                        \
    " AND (?3 IS NULL OR site = ?3)"

/* How many there are, how many could be compared, how many of these lie within their tolerance. */
static bool write_summary(json_out *o, sqlite3 *db, reply *out, int64_t id, const question *q)
{
    static const char *const keys[] = {"count", "compared", "within", "worst"};
    sqlite3_stmt *s =
        api_prepare(db, out,
                    "SELECT count(*), count(residual), coalesce(sum(residual <= 1), 0),"
                    " max(residual)" SELECTION);
    if (!s) return false;
    bind_question(s, id, q);
    bool ok = sqlite3_step(s) == SQLITE_ROW;
    for (int i = 0; ok && i < 4; i++) api_member(o, keys[i], s, i);
    if (!ok) api_store_failed(out, db);
    sqlite3_finalize(s);
    return ok;
}

static bool write_rows(json_out *o, sqlite3 *db, reply *out, int64_t id, const question *q)
{
    static const char *const names[] = {"run_id",   "layer",    "site",      "metric",
                                        "param",    "measured", "predicted", "tolerance",
                                        "residual", "law",      "reason"};
    enum { N = sizeof names / sizeof *names };
    int row, n = 0;
    sqlite3_stmt *s = api_prepare(
        db, out,
        "SELECT run_id, layer, site, metric, param, measured, predicted, tolerance,"
        " residual, law, reason" SELECTION " ORDER BY run_id, layer, site, metric, param LIMIT ?4");
    if (!s) return false;
    bind_question(s, id, q);
    sqlite3_bind_int(s, 4, ROWS_MAX + 1);
    json_array_member(o, "columns");
    for (int i = 0; i < N; i++) json_string(o, names[i]);
    json_end(o);
    json_array_member(o, "rows");
    while ((row = sqlite3_step(s)) == SQLITE_ROW && n++ < ROWS_MAX) {
        json_begin_array(o);
        for (int i = 0; i < N; i++) api_column(o, s, i);
        json_end(o);
    }
    json_end(o);
    json_bool_member(o, "truncated", row == SQLITE_ROW);
    bool ok = row == SQLITE_ROW || row == SQLITE_DONE;
    if (!ok) api_store_failed(out, db);
    sqlite3_finalize(s);
    return ok;
}

void api_jobs_predictions(request *r, reply *out)
{
    int64_t id;
    api_query q;
    question ask;
    json_out o = {0};
    if (!one_name(r, "metric", &metric_registry, &ask.metric) ||
        !one_name(r, "site", &site_registry, &ask.site) || !request_capture_id(r, 0, &id) ||
        !api_query_row(&q, r, out, "job", id,
                       "SELECT state, hash, finished_at FROM jobs WHERE id = ?"))
        return;
    api_tag_ended(r, out, (const char *)sqlite3_column_text(q.stmt, 1),
                  (const char *)sqlite3_column_text(q.stmt, 2), "predictions");
    json_begin_object(&o);
    json_integer_member(&o, "job_id", id);
    api_member(&o, "state", q.stmt, 0);
    bool ok = write_summary(&o, q.db, out, id, &ask) && write_rows(&o, q.db, out, id, &ask);
    json_end(&o);
    if (ok) reply_json(out, MHD_HTTP_OK, &o);
    api_query_close(&q, r);
    json_deinit(&o);
}
