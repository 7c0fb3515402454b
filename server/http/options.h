/* How the HTTP server is started. */
#ifndef SERVER_HTTP_OPTIONS_H
#define SERVER_HTTP_OPTIONS_H

#include "server/job/job.h"

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

#endif
