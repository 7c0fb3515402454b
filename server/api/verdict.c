/* The verdict of a job: made when it ended, kept as text. */
#include "server/api/api.h"

#include "server/verdict/rule.h"

#include <string.h>

static void write_state(json_out *o, int64_t id, sqlite3_stmt *s)
{
    json_begin_object(o);
    json_integer_member(o, "job_id", id);
    api_member(o, "state", s, 0);
}

/* Not ended, cancelled, or ended before there were verdicts. */
static void write_nothing(json_out *o)
{
    static const char *const lists[] = {"arms", "max_depth", "differs"};
    json_key(o, "verdict");
    json_null(o);
    json_key(o, "sentence");
    json_null(o);
    json_integer_member(o, "rules_version", RULES_VERSION);
    for (int i = 0; i < 3; i++) json_raw_member(o, lists[i], "[]");
}

/* The stored object's members behind those of the state. */
static void write_stored(json_out *o, const char *text)
{
    size_t n = strlen(text);
    json_bytes(o, ",", 1);
    json_bytes(o, text + 1, n - 2);
}

void api_jobs_verdict(request *r, reply *out)
{
    int64_t id;
    api_query q;
    json_out o = {0};
    if (!request_capture_id(r, 0, &id) ||
        !api_query_row(&q, r, out, "job", id,
                       "SELECT state, verdict_json, hash, finished_at FROM jobs WHERE id = ?"))
        return;
    const char *text = (const char *)sqlite3_column_text(q.stmt, 1);
    api_tag_ended(r, out, (const char *)sqlite3_column_text(q.stmt, 2),
                  (const char *)sqlite3_column_text(q.stmt, 3), "verdict");
    write_state(&o, id, q.stmt);
    if (text && strlen(text) > 2)
        write_stored(&o, text);
    else
        write_nothing(&o);
    json_end(&o);
    reply_json(out, MHD_HTTP_OK, &o);
    api_query_close(&q, r);
    json_deinit(&o);
}
