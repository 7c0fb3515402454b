/* One request, from its request line to its reply.
 *
 * Made when the request line has arrived, begun (checked, routed, authorized) when the headers
 * have, answered when the body is complete, freed when the library reports it completed.
 */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include "server/http/conn.h"
#include "server/http/framing.h"
#include "server/http/private.h"
#include "server/http/problem.h"
#include "server/http/route.h"

enum { REQUEST_PARAMS = 16, REQUEST_CAPTURES = 2, REQUEST_LIST = 256 };

typedef struct request_param {
    const char *name, *value; /* percent-decoded */
} request_param;

typedef struct request {
    http *http;
    conn *conn;
    struct MHD_Connection *mhd;
    char *target;      /* as sent; copied */
    char *path_text;   /* decoded path, cut at its slashes: captures point into it */
    char *rest_text;   /* decoded path, whole */
    char *query_text;  /* the query, decoded in place: params point into it */
    const char *query; /* raw query, "" when there is none; inside target */
    http_frame frame;
    const route *route;
    const char *capture[REQUEST_CAPTURES]; /* values of the {parts} of the pattern, in order */
    request_param params[REQUEST_PARAMS];
    int n_params;
    char *body; /* NUL-terminated when there is one */
    size_t body_n, body_cap;
    uint64_t received; /* body bytes, also of a body that is refused */
    bool begun, refused;
    reply reply;
} request;

request *request_new(http *h, struct MHD_Connection *c, conn *connection, const char *target);
void request_free(request *r);

/* The first call: every check that needs no body. On false the reply says why; it is to be sent at
 * once when reply.close is set, else when the body has been read and thrown away. */
bool request_begin(request *r, const char *method, const char *version);

/* A piece of the body. false: the connection must go. */
bool request_body(request *r, const char *bytes, size_t n);

/* The body is complete: calls the handler. */
void request_answer(request *r);

/* For handlers. The ones that can fail fill the reply with a 400 that names the parameter. */
const char *request_param_text(const request *r, const char *name); /* NULL when absent */
bool request_param_integer(request *r, const char *name, int64_t min, int64_t max, int64_t *value);
/* Comma list of integers; *n 0 when absent. */
bool request_param_integers(
    request *r, const char *name, int64_t min, int64_t max, int64_t values[REQUEST_LIST], int *n);
/* Comma list of names of the registry; as row indices. */
bool request_param_names(
    request *r, const char *name, const registry *names, int values[REQUEST_LIST], int *n);
bool request_capture_id(request *r, int which, int64_t *id); /* false: 404 is the reply */
bool request_wants_csv(request *r, bool *csv);               /* ?format=, else Accept */
bool request_accepts_gzip(const request *r);
const char *request_header(const request *r, const char *name);

#endif
