/* Texts that jobs read. */
#include "server/api/api.h"

#include <stdio.h>
#include <string.h>

static void write_corpus(json_out *o, sqlite3_stmt *s)
{
    json_begin_object(o);
    api_member(o, "name", s, 0);
    api_member(o, "hash", s, 1);
    api_member(o, "bytes", s, 2);
    api_member(o, "created_at", s, 3);
    json_end(o);
}

void api_corpora_list(request *r, reply *out)
{
    api_query q;
    if (!api_query_open(&q, r, out,
                        "SELECT name, hash, bytes, created_at FROM corpora ORDER BY name"))
        return;
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "corpora");
    int row;
    while ((row = sqlite3_step(q.stmt)) == SQLITE_ROW) write_corpus(&o, q.stmt);
    json_end(&o);
    json_end(&o);
    if (row == SQLITE_DONE)
        reply_json(out, MHD_HTTP_OK, &o);
    else
        api_store_failed(out, q.db);
    json_deinit(&o);
    api_query_close(&q, r);
}

static void answer_one(request *r, reply *out, int status, const char *name)
{
    api_query q;
    if (!api_query_open(&q, r, out,
                        "SELECT name, hash, bytes, created_at FROM corpora WHERE name = ?"))
        return;
    sqlite3_bind_text(q.stmt, 1, name, -1, SQLITE_STATIC);
    int row = sqlite3_step(q.stmt);
    if (row == SQLITE_ROW) {
        json_out o = {0};
        write_corpus(&o, q.stmt);
        reply_json(out, status, &o);
    } else if (row == SQLITE_DONE) {
        error e;
        error_set(&e, ERR_NOT_FOUND, "", "there is no corpus \"%.80s\"", name);
        reply_error(out, &e);
    } else {
        api_store_failed(out, q.db);
    }
    api_query_close(&q, r);
}

void api_corpora_get(request *r, reply *out)
{
    answer_one(r, out, MHD_HTTP_OK, r->capture[0]);
}

/* The name is in the address, not in a document: no pointer. */
static void refuse(reply *out, error *e)
{
    e->pointer[0] = '\0';
    reply_error(out, e);
}

void api_corpora_put(request *r, reply *out)
{
    error e = {0};
    char hash[TEXT_SHA256];
    bool replaced = false;
    const char *name = r->capture[0];
    if (store_put_corpus(r->http->store, name, r->body ? r->body : "", r->body_n, hash, &replaced,
                         &e) != ERR_OK) {
        refuse(out, &e);
        return;
    }
    answer_one(r, out, replaced ? MHD_HTTP_OK : MHD_HTTP_CREATED, name);
    snprintf(out->location, sizeof out->location, "/api/v1/corpora/%s", name);
}

void api_corpora_delete(request *r, reply *out)
{
    error e = {0};
    if (store_delete_corpus(r->http->store, r->capture[0], &e) != ERR_OK)
        refuse(out, &e);
    else
        reply_empty(out, MHD_HTTP_NO_CONTENT);
}
