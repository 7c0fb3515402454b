/* What the files of the HTTP server share. */
#ifndef SERVER_HTTP_PRIVATE_H
#define SERVER_HTTP_PRIVATE_H

#include "server/http/auth.h"
#include "server/http/conn.h"
#include "server/http/options.h"
#include "server/queue/scheduler.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct http {
    store *store;
    scheduler *scheduler;
    http_options options; /* strings inside are copies */
    http_auth auth;
    pthread_rwlock_t token_lock; /* of the token in auth; the rest of it does not change */
    conn_table *conns;
    struct MHD_Daemon *daemon;
    int port;
    atomic_bool stopping; /* streams end */
} http;

#endif
