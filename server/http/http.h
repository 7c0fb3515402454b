/* The HTTP server (libmicrohttpd, one thread per connection, bounded).
 *
 * Framing is checked in the first callback, before any body is read: the library's parser is not
 * trusted. Deadlines for header, body and idle connections are ours (a reaper thread shuts sockets
 * down). Errors are application/problem+json.
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "server/queue/scheduler.h"

#include <signal.h>

typedef struct http_options {
    const char *listen;     /* "127.0.0.1:8080", "[::1]:0" (0: any free port) */
    int listen_fd;          /* > 0: a listening socket that takes the place of listen; taken over */
    const char *static_dir; /* NULL: the files embedded in the binary */
    const char *token_file; /* NULL: none; required when not loopback */
    const char *hosts;      /* comma list of further Host names allowed */
    limits limits;
    size_t corpus_bytes;  /* largest PUT corpus, default 16 MiB */
    int connections;      /* default 256 */
    const char *demo_job; /* text of the demo study, for the button of an empty dashboard */
    /* 0: the default. Deadlines are on the whole of a state, see conn.h. */
    int streams;                     /* event streams at once, default a quarter of connections */
    int header_ms, idle_ms, body_ms; /* defaults 10, 30 and 30 s */
} http_options;

typedef struct http http;

err_code http_start(http **out, store *s, scheduler *sch, const http_options *o, error *err);
int http_port(const http *h); /* the port it listens on */
/* The token file is read again; requests that begin after count by it. ERR_IO, ERR_RANGE, and the
 * old token goes on counting. */
err_code http_new_token(http *h, const char *token_file, error *err);
void http_stop(http *h);

#endif
