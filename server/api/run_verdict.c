/* How one run was judged, rule by rule: a member of what the verdict of the job says of its arm. */
#include "server/api/api.h"

#include <string.h>

/* In the order of the columns and of the members. */
static const char rules_of_run[] =
    "SELECT v.rule, v.verdict, v.value, v.threshold, v.comparison, v.metric, v.site, v.step,"
    " CASE WHEN v.verdict IS NOT NULL THEN coalesce(v.layer, v.worst_layer) END AS layer, v.says,"
    " x.source FROM verdicts v JOIN runs r ON r.id = v.run_id"
    " LEFT JOIN rules x ON x.name = v.rule AND x.version = r.rules_version"
    " WHERE v.run_id = ? ORDER BY v.ord";

static void write_row(json_out *o, sqlite3_stmt *s)
{
    json_begin_object(o);
    for (int i = 0; i < sqlite3_column_count(s); i++) {
        const char *name = sqlite3_column_name(s, i);
        bool of_job = name && strcmp(name, "source") == 0 &&
                      strncmp((const char *)sqlite3_column_text(s, 0), "expect/", 7) == 0;
        if (of_job) {
            json_string_member(o, name, "the job");
        } else if (name) {
            api_member(o, name, s, i);
        } else {
            o->failed = true;
        }
    }
    json_end(o);
}

static bool write_rules(json_out *o, sqlite3 *db, reply *out, int64_t id)
{
    sqlite3_stmt *s = api_prepare(db, out, rules_of_run);
    int row = SQLITE_ERROR;
    if (!s) return false;
    sqlite3_bind_int64(s, 1, id);
    json_array_member(o, "rules");
    while ((row = sqlite3_step(s)) == SQLITE_ROW) write_row(o, s);
    json_end(o);
    sqlite3_finalize(s);
    if (row != SQLITE_DONE) api_store_failed(out, db);
    return row == SQLITE_DONE;
}

void api_runs_verdict(request *r, reply *out)
{
    static const char *const members[] = {"run_id",  "job_id",   "state",        "seed",
                                          "verdict", "sentence", "rules_version"};
    int64_t id;
    api_query q;
    json_out o = {0};
    if (!request_capture_id(r, 0, &id) ||
        !api_query_row(&q, r, out, "run", id,
                       "SELECT id, job_id, state, seed, verdict, sentence, rules_version, arm"
                       " FROM runs WHERE id = ?"))
        return;
    json_begin_object(&o);
    for (int i = 0; i < (int)(sizeof members / sizeof *members); i++)
        api_member(&o, members[i], q.stmt, i);
    api_member_json(&o, "arm", q.stmt, 7);
    if (write_rules(&o, q.db, out, id)) {
        json_end(&o);
        reply_json(out, MHD_HTTP_OK, &o);
    }
    api_query_close(&q, r);
    json_deinit(&o);
}
