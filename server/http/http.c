#include "server/http/http.h"

#include "server/http/listen.h"
#include "server/http/private.h"
#include "server/http/request.h"
#include "server/http/send.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTION_MEMORY = 32 << 10, /* headers and a piece of the body, per connection */
    THREAD_STACK = 1 << 20,
    DRAIN_MS = 1000 /* for replies that are under way when the daemon stops */
};

/* What hangs on a connection of the library. The request is kept here as well, because the library
 * forgets to report some requests completed: those whose query does not fit into its memory. */
typedef struct attached {
    conn *conn;
    request *request;
} attached;

static attached *attached_to(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void drop_request(attached *l)
{
    if (!l) return;
    request_free(l->request);
    l->request = NULL;
}

static void on_connection(void *cls,
                          struct MHD_Connection *c,
                          void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    http *h = cls;
    attached *l = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (l) {
            drop_request(l);
            conn_close(h->conns, l->conn);
        }
        free(l);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    l = info ? calloc(1, sizeof *l) : NULL;
    if (l) l->conn = conn_open(h->conns, info->connect_fd);
    if (l && !l->conn) {
        free(l);
        l = NULL;
    }
    *socket_context = l;
}

/* The request line has arrived. What is returned becomes *state of on_request; with NULL the
 * connection ends there. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *c)
{
    http *h = cls;
    attached *l = attached_to(c);
    if (!l) return NULL;
    drop_request(l);
    conn_enter(h->conns, l->conn, CONN_HEADER, 0);
    l->request = request_new(h, c, l->conn, target);
    return l->request;
}

static enum MHD_Result on_request(void *cls,
                                  struct MHD_Connection *c,
                                  const char *url,
                                  const char *method,
                                  const char *version,
                                  const char *bytes,
                                  size_t *n,
                                  void **state)
{
    (void)c, (void)url;
    http *h = cls;
    request *r = *state;
    if (!r) return MHD_NO;
    if (!r->begun) {
        conn_enter(h->conns, r->conn, CONN_BODY, 0);
        if (!request_begin(r, method, version) && r->reply.close) return reply_send(r);
        return MHD_YES;
    }
    if (*n > 0) {
        bool go_on = request_body(r, bytes, *n);
        *n = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    conn_enter(h->conns, r->conn, CONN_HANDLER, 0);
    request_answer(r);
    return reply_send(r);
}

static void on_completed(void *cls,
                         struct MHD_Connection *c,
                         void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    http *h = cls;
    attached *l = attached_to(c);
    *state = NULL;
    if (!l) return;
    drop_request(l);
    conn_enter(h->conns, l->conn, CONN_IDLE, 0);
}

static int or_default(int value, int fallback)
{
    return value > 0 ? value : fallback;
}

static conn_limits limits_of(const http_options *o)
{
    int connections = or_default(o->connections, 256);
    return (conn_limits){
        .connections = connections,
        .streams = or_default(o->streams, connections / 4 + 1),
        .header_ms = or_default(o->header_ms, 10000),
        .idle_ms = or_default(o->idle_ms, 30000),
        .body_ms = or_default(o->body_ms, 30000),
        .bytes_per_s = 50000,
        .reply_max_ms = 600000,
    };
}

static bool copy(const char **slot)
{
    if (!*slot) return true;
    *slot = strdup(*slot);
    return *slot != NULL;
}

static bool copy_options(http *h, const http_options *o)
{
    h->options = *o;
    if (h->options.corpus_bytes == 0) h->options.corpus_bytes = 16 << 20;
    if (h->options.limits.body_bytes == 0) h->options.limits.body_bytes = 256 << 10;
    bool all = copy(&h->options.static_dir);
    all = copy(&h->options.demo_job) && all;
    return all;
}

static err_code start_daemon(http *h, int fd, int family, error *err)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC | (family == AF_INET6 ? MHD_USE_IPv6 : 0);
    conn_limits bounds = limits_of(&h->options);
    /* Room beyond our own bound, so that the library goes on accepting while we cut connections. */
    unsigned places = (unsigned)(bounds.connections + bounds.connections / 4 + 16);
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        h, MHD_OPTION_URI_LOG_CALLBACK, on_target, h, MHD_OPTION_CONNECTION_LIMIT, places,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)THREAD_STACK, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_END);
    if (h->daemon) return ERR_OK;
    close(fd);
    return error_set(err, ERR_IO, "/listen", "libmicrohttpd did not start");
}

static err_code start(http *h, error *err)
{
    http_listen l;
    int fd = h->options.listen_fd;
    err_code code = fd > 0 ? http_listen_given(&l, fd, &h->port, err)
                           : http_listen_parse(&l, h->options.listen, err);
    if (code != ERR_OK) return code;
    code = http_auth_init(&h->auth, l.host, l.loopback, h->options.hosts, err);
    if (code == ERR_OK && h->options.token_file)
        code = http_auth_token_file(&h->auth, h->options.token_file, err);
    if (code != ERR_OK) return code;
    if (!l.loopback && !h->auth.has_token)
        return error_set(err, ERR_COMBINATION, "/token_file",
                         "%s can be reached from other machines: a token file is required", l.host);
    conn_limits bounds = limits_of(&h->options);
    h->conns = conn_table_new(&bounds);
    if (!h->conns)
        return error_set(err, ERR_MEMORY, "", "no memory or no thread for the HTTP server");
    if (fd <= 0) code = http_listen_open(&l, &fd, &h->port, err);
    return code == ERR_OK ? start_daemon(h, fd, l.family, err) : code;
}

err_code http_start(http **out, store *s, scheduler *sch, const http_options *o, error *err)
{
    *out = NULL;
    http *h = calloc(1, sizeof *h);
    if (!h) return error_set(err, ERR_MEMORY, "", "no memory for the HTTP server");
    h->store = s;
    h->scheduler = sch;
    pthread_rwlock_init(&h->token_lock, NULL);
    err_code code =
        copy_options(h, o) ? start(h, err) : error_set(err, ERR_MEMORY, "", "no memory");
    /* Needed while starting only; not ours. */
    h->options.listen = h->options.hosts = h->options.token_file = NULL;
    if (code != ERR_OK) {
        http_stop(h);
        return code;
    }
    *out = h;
    return ERR_OK;
}

err_code http_new_token(http *h, const char *token_file, error *err)
{
    http_auth fresh = {0};
    err_code code = http_auth_token_file(&fresh, token_file, err);
    if (code != ERR_OK) return code;
    pthread_rwlock_wrlock(&h->token_lock);
    memcpy(h->auth.token, fresh.token, sizeof fresh.token);
    pthread_rwlock_unlock(&h->token_lock);
    return ERR_OK;
}

int http_port(const http *h)
{
    return h->port;
}

/* Nothing new is accepted, what is under way is answered, then all connections end. A socket that
 * the service manager holds keeps what comes from now on for the next daemon. */
static void stop_daemon(http *h)
{
    MHD_socket listening = MHD_quiesce_daemon(h->daemon);
    conn_drain(h->conns, DRAIN_MS);
    atomic_store(&h->stopping, true);
    MHD_stop_daemon(h->daemon);
    if (listening != MHD_INVALID_SOCKET) close(listening);
}

void http_stop(http *h)
{
    if (!h) return;
    if (h->daemon) stop_daemon(h);
    conn_table_free(h->conns);
    pthread_rwlock_destroy(&h->token_lock);
    free((char *)h->options.static_dir);
    free((char *)h->options.demo_job);
    free(h);
}
