#include "server/api/api.h"

#include "server/machine/version.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void api_store_failed(reply *out, sqlite3 *db)
{
    error e;
    error_set(&e, ERR_STORE, "", "%s",
              db ? sqlite3_errmsg(db) : "no connection to the database is free");
    reply_error(out, &e);
}

sqlite3_stmt *api_prepare(sqlite3 *db, reply *out, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK) return stmt;
    api_store_failed(out, db);
    return NULL;
}

bool api_query_open(api_query *q, request *r, reply *out, const char *sql)
{
    error e = {0};
    *q = (api_query){0};
    q->db = store_reader(r->http->store, &e);
    if (!q->db) {
        reply_error(out, &e);
        return false;
    }
    q->stmt = api_prepare(q->db, out, sql);
    if (q->stmt) return true;
    api_query_close(q, r);
    return false;
}

bool api_query_row(
    api_query *q, request *r, reply *out, const char *what, int64_t id, const char *sql)
{
    if (!api_query_open(q, r, out, sql)) return false;
    sqlite3_bind_int64(q->stmt, 1, id);
    int row = sqlite3_step(q->stmt);
    if (row == SQLITE_ROW) return true;
    if (row == SQLITE_DONE)
        api_not_found(out, what, id);
    else
        api_store_failed(out, q->db);
    api_query_close(q, r);
    return false;
}

void api_query_close(api_query *q, request *r)
{
    sqlite3_finalize(q->stmt);
    if (q->db) store_release(r->http->store, q->db);
    *q = (api_query){0};
}

void api_not_found(reply *out, const char *what, int64_t id)
{
    error e;
    error_set(&e, ERR_NOT_FOUND, "", "there is no %s %lld", what, (long long)id);
    reply_error(out, &e);
}

void api_column(json_out *o, sqlite3_stmt *stmt, int column)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        json_integer(o, sqlite3_column_int64(stmt, column));
        break;
    case SQLITE_FLOAT:
        json_double(o, sqlite3_column_double(stmt, column));
        break;
    case SQLITE_TEXT:
        json_string(o, (const char *)sqlite3_column_text(stmt, column));
        break;
    default:
        json_null(o);
    }
}

void api_member(json_out *o, const char *key, sqlite3_stmt *stmt, int column)
{
    json_key(o, key);
    api_column(o, stmt, column);
}

void api_member_json(json_out *o, const char *key, sqlite3_stmt *stmt, int column)
{
    json_raw_member(o, key, (const char *)sqlite3_column_text(stmt, column));
}

void api_member_bool(json_out *o, const char *key, sqlite3_stmt *stmt, int column)
{
    json_key(o, key);
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        json_null(o);
    else
        json_bool(o, sqlite3_column_int(stmt, column) != 0);
}

void api_link(json_out *o, const char *key, const char *format, int64_t id)
{
    char text[96];
    const char *at = strstr(format, "{id}");
    size_t before = at ? (size_t)(at - format) : strlen(format);
    if (at)
        snprintf(text, sizeof text, "%.*s%lld%s", (int)before, format, (long long)id, at + 4);
    else
        snprintf(text, sizeof text, "%s", format);
    json_string_member(o, key, text);
}

void api_tag_ended(request *r, reply *out, const char *hash, const char *finished, const char *form)
{
    if (!hash || !finished) return;
    const char *parts[] = {r->target, hash, finished, form, version_build(), NULL};
    reply_etag(out, parts);
}

bool api_progress(http *h, int64_t job_id, job_progress *out)
{
    return h->scheduler && scheduler_progress(h->scheduler, job_id, out);
}

void api_write_progress(json_out *o, const job_progress *p)
{
    json_number_member(o, "fraction", isfinite(p->fraction) ? p->fraction : 0);
    json_key(o, "eta_s");
    if (isfinite(p->eta_s))
        json_double(o, p->eta_s);
    else
        json_null(o);
    json_integer_member(o, "step", p->step);
    json_integer_member(o, "steps", p->steps);
    json_integer_member(o, "layer", p->layer);
    json_integer_member(o, "layers", p->layers);
}
