/* Series and losses: selections of rows, streamed as JSON or CSV. */
#include "server/api/api.h"
#include "server/api/rows.h"

#include <stdio.h>

/* " AND column IN (…)"; the values are numbers, so the text is safe. */
static void add_in(json_out *sql, const char *column, const int64_t *values, int n)
{
    char text[JSON_NUMBER];
    if (n == 0) return;
    json_text(sql, " AND ");
    json_text(sql, column);
    json_text(sql, " IN (");
    for (int i = 0; i < n; i++) {
        int k = snprintf(text, sizeof text, "%s%lld", i ? "," : "", (long long)values[i]);
        json_bytes(sql, text, (size_t)k);
    }
    json_text(sql, ")");
}

/* Names go through the dictionary of the database: its ids are its own. */
static void add_names(json_out *sql,
                      const char *column,
                      const char *table,
                      const registry *names,
                      const int *rows,
                      int n)
{
    if (n == 0) return;
    json_text(sql, " AND ");
    json_text(sql, column);
    json_text(sql, " IN (SELECT id FROM ");
    json_text(sql, table);
    json_text(sql, " WHERE name IN (");
    for (int i = 0; i < n; i++) {
        json_text(sql, i ? ",'" : "'");
        json_text(sql, names->rows[rows[i]]->name); /* ours: letters, digits, _ */
        json_text(sql, "'");
    }
    json_text(sql, "))");
}

/* A parameter name: only the characters that such names have. */
static bool add_param(request *r, json_out *sql)
{
    const char *name = request_param_text(r, "param");
    if (!name) return true;
    for (const char *p = name; *p; p++) {
        bool ok = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '_' ||
                  *p == ',';
        if (ok) continue;
        reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, "param",
                      "\"%.60s\" is not a parameter name, as attn.q.weight", name);
        return false;
    }
    json_text(sql, " AND param_id IN (SELECT id FROM params WHERE name IN ('");
    for (const char *p = name; *p; p++) json_bytes(sql, *p == ',' ? "','" : p, *p == ',' ? 3 : 1);
    json_text(sql, "'))");
    return true;
}

/* The conditions of the query string. */
static bool conditions(request *r, rows_kind kind, json_out *where, json_out *run_where)
{
    int64_t values[REQUEST_LIST];
    int names[REQUEST_LIST], n;
    json_text(where, "");
    json_text(run_where, "");
    if (!request_param_integers(r, "run", 1, INT64_MAX, values, &n)) return false;
    add_in(run_where, "id", values, n);
    if (kind == ROWS_STEPS) return true;
    if (!request_param_names(r, "metric", &metric_registry, names, &n)) return false;
    add_names(where, "metric_id", "metrics", &metric_registry, names, n);
    if (!request_param_names(r, "site", &site_registry, names, &n)) return false;
    add_names(where, "site_id", "sites", &site_registry, names, n);
    if (!request_param_integers(r, "step", 0, INT32_MAX, values, &n)) return false;
    add_in(where, "step", values, n);
    if (!request_param_integers(r, "layer", -1, INT32_MAX, values, &n)) return false;
    add_in(where, "layer", values, n);
    if (!request_param_integers(r, "item", 0, INT32_MAX, values, &n)) return false;
    add_in(where, "item", values, n);
    return add_param(r, where);
}

/* The job of the address; 404 when there is none. */
static bool find_job(request *r, reply *out, bool of_run, int64_t id, int64_t *job_id, bool csv)
{
    api_query q;
    const char *sql =
        of_run ? "SELECT j.id, j.hash, r.finished_at FROM runs r JOIN jobs j ON j.id = r.job_id "
                 "WHERE r.id = ?"
               : "SELECT id, hash, finished_at FROM jobs WHERE id = ?";
    if (!api_query_row(&q, r, out, of_run ? "run" : "job", id, sql)) return false;
    *job_id = sqlite3_column_int64(q.stmt, 0);
    api_tag_ended(r, out, (const char *)sqlite3_column_text(q.stmt, 1),
                  (const char *)sqlite3_column_text(q.stmt, 2), csv ? "csv" : "json");
    api_query_close(&q, r);
    return true;
}

static void answer(request *r, reply *out, rows_kind kind, bool of_run)
{
    int64_t id, job_id = 0;
    bool csv;
    json_out where = {0}, run_where = {0};
    stream s;
    if (!request_wants_csv(r, &csv) || !conditions(r, kind, &where, &run_where) ||
        !request_capture_id(r, 0, &id) || !find_job(r, out, of_run, id, &job_id, csv))
        goto out;
    if (where.failed || run_where.failed)
        reply_error(out, &(error){.code = ERR_MEMORY, .message = "no memory for the query"});
    else if (rows_open(&s, r, out, kind, job_id, of_run ? id : 0, where.text, run_where.text,
                       csv)) {
        reply_stream(out, csv ? "text/csv; charset=utf-8" : "application/json", s);
        if (csv)
            snprintf(out->filename, sizeof out->filename, "normscope-%s-%lld-%s.csv",
                     of_run ? "run" : "job", (long long)id,
                     kind == ROWS_SERIES ? "series" : "steps");
    }
out:
    json_deinit(&where);
    json_deinit(&run_where);
}

void api_series_job(request *r, reply *out)
{
    answer(r, out, ROWS_SERIES, false);
}

void api_series_run(request *r, reply *out)
{
    answer(r, out, ROWS_SERIES, true);
}

void api_series_job_steps(request *r, reply *out)
{
    answer(r, out, ROWS_STEPS, false);
}

void api_series_run_steps(request *r, reply *out)
{
    answer(r, out, ROWS_STEPS, true);
}
