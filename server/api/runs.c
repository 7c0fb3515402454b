/* The run resource. */
#include "server/api/api.h"

#include <string.h>

/* Where the loss is finite it is a gradient that is not. */
#define DIVERGED_PASS                                                                              \
    "CASE WHEN diverged THEN CASE WHEN (SELECT abs(loss) < 1e999 FROM steps WHERE run_id = "       \
    "runs.id AND step = diverged_step) THEN 'backward' ELSE 'forward' END END AS diverged_pass"

#define RUN_COLUMNS                                                                                \
    "SELECT id, job_id, idx, state, attempts, arm, seed, family, mask, placement, norm, depth, "   \
    "d_model, n_heads, d_ff, position, activation, init, source, batch, seq_len, loss, "           \
    "optimizer, lr, "                                                                              \
    "steps, precision, parameters, flops, peak_bytes, corpus, corpus_hash, started_at, "           \
    "finished_at, "                                                                                \
    "wall_ms, diverged, diverged_step, diverged_layer, diverged_site, " DIVERGED_PASS              \
    ", steps_done, verdict, "                                                                      \
    "sentence, error_json, "                                                                       \
    "spec, provenance FROM runs "

/* Writes the columns under their own names, whatever they are. */
static void write_run(json_out *o, sqlite3_stmt *s, bool whole)
{
    int64_t id = sqlite3_column_int64(s, 0);
    int n = sqlite3_column_count(s) - (whole ? 0 : 2); /* spec and provenance are last */
    json_begin_object(o);
    for (int i = 0; i < n; i++) {
        const char *name = sqlite3_column_name(s, i);
        if (!name) {
            o->failed = true;
            return;
        }
        if (strcmp(name, "arm") == 0 || strcmp(name, "spec") == 0 ||
            strcmp(name, "provenance") == 0)
            api_member_json(o, name, s, i);
        else if (strcmp(name, "error_json") == 0)
            api_member_json(o, "error", s, i);
        else if (strcmp(name, "diverged") == 0)
            api_member_bool(o, name, s, i);
        else
            api_member(o, name, s, i);
    }
    json_object_member(o, "links");
    api_link(o, "self", "/api/v1/runs/{id}", id);
    api_link(o, "job", "/api/v1/jobs/{id}", sqlite3_column_int64(s, 1));
    api_link(o, "series", "/api/v1/runs/{id}/series", id);
    api_link(o, "steps", "/api/v1/runs/{id}/steps", id);
    json_end(o);
    json_end(o);
}

void api_runs_list(request *r, reply *out)
{
    int64_t id;
    api_query q;
    if (!request_capture_id(r, 0, &id) ||
        !api_query_open(&q, r, out, RUN_COLUMNS "WHERE job_id = ? ORDER BY idx"))
        return;
    sqlite3_bind_int64(q.stmt, 1, id);
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "runs");
    int row, n = 0;
    for (; (row = sqlite3_step(q.stmt)) == SQLITE_ROW; n++) write_run(&o, q.stmt, false);
    json_end(&o);
    json_end(&o);
    if (row != SQLITE_DONE)
        api_store_failed(out, q.db);
    else if (n == 0)
        api_not_found(out, "job", id);
    else
        reply_json(out, MHD_HTTP_OK, &o);
    json_deinit(&o);
    api_query_close(&q, r);
}

void api_runs_get(request *r, reply *out)
{
    int64_t id;
    api_query q;
    json_out o = {0};
    if (!request_capture_id(r, 0, &id) ||
        !api_query_row(&q, r, out, "run", id, RUN_COLUMNS "WHERE id = ?"))
        return;
    write_run(&o, q.stmt, true);
    reply_json(out, MHD_HTTP_OK, &o);
    api_query_close(&q, r);
}
