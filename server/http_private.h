/* What the files of the HTTP server share. */
#ifndef SERVER_HTTP_PRIVATE_H
#define SERVER_HTTP_PRIVATE_H

#include "server/conn.h"
#include "server/http.h"
#include "server/http_auth.h"

#include <microhttpd.h>
#include <stdatomic.h>

struct http {
    store *store;
    scheduler *scheduler;
    http_options options; /* strings inside are copies */
    http_auth auth;
    conn_table *conns;
    struct MHD_Daemon *daemon;
    int port;
    atomic_bool stopping; /* streams end */
};

#endif
