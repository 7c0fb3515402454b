/* The coordinate check of a job along a swept field: coordinates.h over its finished runs. */
#include "server/api/api.h"

#include "server/job/field.h"
#include "server/verdict/coordinates.h"

#include <string.h>

_Static_assert(sizeof((coordinates *)0)->axis >= FIELD_PATH, "an axis holds the path of any field");

static bool add_run(coordinates *c, sqlite3_stmt *s, int64_t run_id)
{
    int row;
    sqlite3_bind_int64(s, 1, run_id);
    while ((row = sqlite3_step(s)) == SQLITE_ROW) {
        int where = registry_find(&site_registry, (const char *)sqlite3_column_text(s, 2)),
            what = registry_find(&metric_registry, (const char *)sqlite3_column_text(s, 3));
        if (where < 0 || what < 0) continue;
        coordinates_add(c, sqlite3_column_int(s, 0), sqlite3_column_int(s, 1), (site)where,
                        (metric)what, sqlite3_column_double(s, 4),
                        reason_find((const char *)sqlite3_column_text(s, 5)));
    }
    sqlite3_reset(s);
    return row == SQLITE_DONE;
}

static bool add_runs(coordinates *c, sqlite3 *db, int64_t job_id, reply *out)
{
    sqlite3_stmt *runs = api_prepare(db, out,
                                     "SELECT id, arm, seed, depth FROM runs"
                                     " WHERE job_id = ? AND state = 'done' ORDER BY idx"),
                 *points = api_prepare(
                     db, out,
                     "SELECT m.step, m.layer, s.name, k.name, m.value, x.name FROM measurements m"
                     " JOIN metrics k ON k.id = m.metric_id JOIN sites s ON s.id = m.site_id"
                     " LEFT JOIN reasons x ON x.id = m.reason_id WHERE m.run_id = ? AND m.item = 0"
                     " AND k.name IN ('mean_abs', 'delta_mean_abs', 'delta_rms')");
    int row = SQLITE_ERROR;
    bool ok = runs && points;
    if (ok) sqlite3_bind_int64(runs, 1, job_id);
    while (ok && (row = sqlite3_step(runs)) == SQLITE_ROW) {
        const char *arm = (const char *)sqlite3_column_text(runs, 1);
        coordinates_run(c, arm ? arm : "{}", (uint64_t)sqlite3_column_int64(runs, 2),
                        sqlite3_column_int(runs, 3));
        ok = add_run(c, points, sqlite3_column_int64(runs, 0));
    }
    sqlite3_finalize(runs);
    sqlite3_finalize(points);
    if (ok && row == SQLITE_DONE) return true;
    if (runs && points) api_store_failed(out, db);
    return false;
}

/* q stands on the row of the job. */
static void answer(request *r, reply *out, api_query *q, int64_t id)
{
    const char *axis = request_param_text(r, "axis"),
               *state = (const char *)sqlite3_column_text(q->stmt, 2),
               *arm = (const char *)sqlite3_column_text(q->stmt, 3);
    coordinates c;
    error err = {0};
    json_out o = {0};
    bool done = state && strcmp(state, "done") == 0;
    if (coordinates_init(&c, axis, arm ? arm : "{}", &err)) {
        reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, "axis", "%s", err.message);
        return;
    }
    api_tag_ended(r, out, (const char *)sqlite3_column_text(q->stmt, 0),
                  (const char *)sqlite3_column_text(q->stmt, 1), "coordinates");
    if (add_runs(&c, q->db, id, out)) {
        json_begin_object(&o);
        json_integer_member(&o, "job_id", id);
        api_member(&o, "state", q->stmt, 2);
        coordinates_write(&o, NULL, &c, done);
        json_end(&o);
        reply_json(out, MHD_HTTP_OK, &o);
    }
    json_deinit(&o);
    coordinates_deinit(&c);
}

void api_jobs_coordinates(request *r, reply *out)
{
    int64_t id;
    api_query q;
    if (!request_capture_id(r, 0, &id) ||
        !api_query_row(&q, r, out, "job", id,
                       "SELECT hash, finished_at, state,"
                       " (SELECT arm FROM runs WHERE job_id = jobs.id ORDER BY idx LIMIT 1)"
                       " FROM jobs WHERE id = ?"))
        return;
    answer(r, out, &q, id);
    api_query_close(&q, r);
}
