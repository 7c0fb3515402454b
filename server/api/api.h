/* What the handlers of /api/v1 share. Handlers are declared by route.h; each file answers one kind
 * of resource and reads through a store reader that it holds for one page of rows at most. */
#ifndef SERVER_API_API_H
#define SERVER_API_API_H

#include "server/http/request.h"

/* A reader and one statement on it. false: the reply says why. */
typedef struct api_query {
    sqlite3 *db;
    sqlite3_stmt *stmt;
} api_query;

bool api_query_open(api_query *q, request *r, reply *out, const char *sql);
/* The same, on the one row that has this id; without one, 404 for `what`. */
bool api_query_row(
    api_query *q, request *r, reply *out, const char *what, int64_t id, const char *sql);
void api_query_close(api_query *q, request *r);
/* A further statement on the same reader; NULL with the reply filled. */
sqlite3_stmt *api_prepare(sqlite3 *db, reply *out, const char *sql);
void api_store_failed(reply *out, sqlite3 *db);
void api_not_found(reply *out, const char *what, int64_t id);

/* A column as it is: text, number or null. api_member writes the key as well. */
void api_column(json_out *o, sqlite3_stmt *stmt, int column);
void api_member(json_out *o, const char *key, sqlite3_stmt *stmt, int column);
/* A column that holds JSON text; null when it is NULL. */
void api_member_json(json_out *o, const char *key, sqlite3_stmt *stmt, int column);
void api_member_bool(json_out *o, const char *key, sqlite3_stmt *stmt, int column);
void api_link(json_out *o, const char *key, const char *format, int64_t id);

/* An ended job never changes: its tag is made of its identity and of the question. Nothing is
 * tagged while finished is NULL. */
void api_tag_ended(
    request *r, reply *out, const char *hash, const char *finished, const char *form);

/* Live progress of a job; false when it is not known to the scheduler (ended, or none). */
bool api_progress(http *h, int64_t job_id, job_progress *out);
void api_write_progress(json_out *o, const job_progress *p); /* the members fraction … layers */

/* The job object of one job; 404 when there is none. echo: what was said about it. */
void api_job_reply(request *r, reply *out, int status, int64_t id, bool existing, const job *echo);

#endif
