/* The HTTP server (libmicrohttpd, one thread per connection, bounded).
 *
 * Framing is checked in the first callback, before any body is read: the library's parser is not
 * trusted. Deadlines for header, body and idle connections are ours (a reaper thread shuts sockets
 * down). Errors are application/problem+json.
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "server/http/options.h"
#include "server/queue/scheduler.h"

typedef struct http http;

err_code http_start(http **out, store *s, scheduler *sch, const http_options *o, error *err);
int http_port(const http *h); /* the port it listens on */
/* The token file is read again; requests that begin after count by it. ERR_IO, ERR_RANGE, and the
 * old token goes on counting. */
err_code http_new_token(http *h, const char *token_file, error *err);
void http_stop(http *h);

#endif
