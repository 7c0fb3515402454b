#include "server/http/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A refused body is read and thrown away, so that the client sees the reply instead of a reset. */
enum { REFUSED_BODY_MAX = 64 << 20, EMPTY_BODY_MAX = 64 };

request *request_new(http *h, struct MHD_Connection *c, conn *connection, const char *target)
{
    request *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->http = h;
    r->mhd = c;
    r->conn = connection;
    r->query = "";
    r->target = strdup(target);
    if (!r->target) {
        free(r);
        return NULL;
    }
    return r;
}

void request_free(request *r)
{
    if (!r) return;
    reply_deinit(&r->reply);
    free(r->target);
    free(r->path_text);
    free(r->rest_text);
    free(r->query_text);
    free(r->body);
    free(r);
}

const char *request_header(const request *r, const char *name)
{
    return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Percent-decodes in place. false: a bad escape, or one of a control character. */
static bool decode(char *text, bool plus_is_space)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        int c = (unsigned char)*p;
        if (c == '%') {
            int hi = hex(p[1]), lo = hi < 0 ? -1 : hex(p[2]);
            if (lo < 0) return false;
            c = hi * 16 + lo;
            if (c < ' ' || c == 0x7f) return false;
            p += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *out++ = (char)c;
    }
    *out = '\0';
    return true;
}

static bool refuse(request *r)
{
    r->refused = true;
    return false;
}

static bool bad_request(request *r, const char *message)
{
    reply_problem(&r->reply, PROBLEM_BAD_REQUEST, NULL, "%s", message);
    return refuse(r);
}

/* The path in absolute form ("http://host/path"): the authority counts instead of Host. */
static bool strip_authority(request *r, const char **path)
{
    const char *t = r->target;
    if (t[0] == '/') {
        *path = t;
        return true;
    }
    if (strncasecmp(t, "http://", 7) != 0)
        return bad_request(r, "the request target is not a path");
    size_t n = strcspn(t + 7, "/?");
    char host[HTTP_AUTH_HOST];
    if (n >= sizeof host) return bad_request(r, "the authority of the request target is too long");
    memcpy(host, t + 7, n);
    host[n] = '\0';
    if (!http_auth_host(&r->http->auth, host)) {
        reply_problem(&r->reply, PROBLEM_BAD_HOST, NULL,
                      "this server does not answer for that authority");
        r->reply.close = true;
        return refuse(r);
    }
    *path = t[7 + n] == '/' ? t + 7 + n : "/";
    return true;
}

/* Cuts "/a/b" into decoded segments. A slash that is percent-encoded stays inside its segment. */
static bool split_path(request *r, const char *path, size_t n, route_path *out)
{
    *out = (route_path){0};
    r->path_text = strndup(path, n);
    r->rest_text = strndup(path, n);
    if (!r->path_text || !r->rest_text) return bad_request(r, "out of memory");
    if (n == 1) return true; /* "/" has no segments */
    size_t at[ROUTE_SEGMENTS] = {0};
    char *p = r->path_text + 1;
    while (p) {
        if (out->n == ROUTE_SEGMENTS) break;
        at[out->n] = (size_t)(p - r->path_text);
        char *slash = strchr(p, '/');
        out->segments[out->n++] = p;
        if (slash) *slash++ = '\0';
        p = slash;
    }
    bool deeper = p != NULL;
    for (int i = 0; i < out->n; i++) {
        out->rest[i] = r->rest_text + at[i];
        if (!decode(out->segments[i], false))
            return bad_request(r, "the path holds a bad percent escape");
    }
    if (deeper) out->n = 0, out->segments[out->n++] = r->rest_text; /* matches nothing */
    return true;
}

static bool bad_parameter(request *r, const char *name, const char *message)
{
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, name, "%s", message);
    return refuse(r);
}

static bool add_param(request *r, char *text)
{
    char *value = strchr(text, '=');
    if (value) *value++ = '\0';
    if (!decode(text, true) || (value && !decode(value, true)))
        return bad_request(r, "the query holds a bad percent escape");
    if (!route_has_param(r->route, text))
        return bad_parameter(r, text, "this query parameter is not known here");
    for (int i = 0; i < r->n_params; i++)
        if (strcmp(r->params[i].name, text) == 0)
            return bad_parameter(
                r, text, "the query parameter is given twice; lists are separated by commas");
    if (r->n_params == REQUEST_PARAMS) return bad_request(r, "too many query parameters");
    r->params[r->n_params++] = (request_param){text, value ? value : ""};
    return true;
}

static bool parse_query(request *r)
{
    if (!r->query[0]) return true;
    r->query_text = strdup(r->query);
    if (!r->query_text) return bad_request(r, "out of memory");
    for (char *p = r->query_text; p;) {
        char *next = strchr(p, '&');
        if (next) *next++ = '\0';
        if (*p && !add_param(r, p)) return false;
        p = next;
    }
    return true;
}

/* Finds the row; answers OPTIONS, 404 and 405. */
static bool find_route(request *r, const char *method, const route_path *path)
{
    char allow[64];
    bool options = strcmp(method, "OPTIONS") == 0;
    r->route = route_find(method, path, r->capture, allow);
    if (r->route) return true;
    if (!allow[0]) {
        reply_problem(&r->reply, PROBLEM_NO_ROUTE, NULL, "GET /api/v1 lists what there is");
    } else if (options) {
        reply_empty(&r->reply, MHD_HTTP_NO_CONTENT);
    } else {
        reply_problem(&r->reply, PROBLEM_METHOD_NOT_ALLOWED, NULL, "%s is not one of %s", method,
                      allow);
    }
    memcpy(r->reply.allow, allow, sizeof allow);
    return refuse(r);
}

static bool is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool check_origin(request *r, const char *method)
{
    if (is_safe(method)) return true;
    const char *from = request_header(r, "Sec-Fetch-Site");
    bool foreign = from && strcmp(from, "same-origin") != 0 && strcmp(from, "none") != 0;
    if (r->frame.origin && !http_auth_origin(r->frame.origin, r->frame.host)) foreign = true;
    if (!foreign) return true;
    reply_problem(
        &r->reply, PROBLEM_BAD_ORIGIN, NULL,
        "requests that change something are taken from this server's own pages and from programs");
    return refuse(r);
}

static bool has_token(request *r)
{
    pthread_rwlock_rdlock(&r->http->token_lock);
    bool ok = http_auth_token(&r->http->auth, r->frame.authorization);
    pthread_rwlock_unlock(&r->http->token_lock);
    return ok;
}

/* The page itself is open, so that it can ask for the token, and so is health; neither holds
 * results. */
static bool check_token(request *r, const route_path *path)
{
    const char *first = path->n > 0 ? path->segments[0] : "";
    bool needed = strcmp(first, "api") == 0 || strcmp(first, "metrics") == 0;
    if (!needed || has_token(r)) return true;
    reply_problem(&r->reply, PROBLEM_UNAUTHORIZED, NULL,
                  "send the header Authorization: Bearer TOKEN");
    r->reply.challenge = true;
    return refuse(r);
}

static bool is_type(const char *header, const char *type)
{
    size_t n = strlen(type);
    return strncasecmp(header, type, n) == 0 &&
           (header[n] == 0 || header[n] == ';' || header[n] == ' ');
}

static size_t body_limit(const request *r)
{
    const http_options *o = &r->http->options;
    if (r->route->body == BODY_EMPTY) return EMPTY_BODY_MAX;
    return r->route->body == BODY_JOB ? o->limits.body_bytes : o->corpus_bytes;
}

static bool too_large(request *r)
{
    reply_problem(&r->reply, PROBLEM_BODY_TOO_LARGE, NULL, "at most %zu bytes are taken here",
                  body_limit(r));
    return refuse(r);
}

static bool check_body(request *r)
{
    const http_frame *f = &r->frame;
    const char *type = f->content_type;
    if (r->route->body == BODY_NONE) {
        if (!f->chunked && f->length == 0) return true;
        return bad_request(r, "this address takes no body");
    }
    bool none = r->route->body == BODY_EMPTY && !f->chunked && f->length == 0;
    bool bytes = r->route->body == BODY_BYTES;
    bool ok = none || (bytes ? !type || is_type(type, "application/octet-stream") ||
                                   is_type(type, "text/plain")
                             : type && is_type(type, "application/json"));
    if (!ok) {
        reply_problem(&r->reply, PROBLEM_UNSUPPORTED_TYPE, NULL,
                      "Content-Type must be %s, not %.80s",
                      bytes ? "application/octet-stream or text/plain" : "application/json",
                      type ? type : "absent");
        return refuse(r);
    }
    if (f->length > body_limit(r)) return too_large(r);
    return true;
}

/* Faults after which the bytes that follow cannot be trusted to be what they seem. */
static bool check_frame(request *r, const char *method, const char *version)
{
    error e = {0};
    r->reply.close = true;
    if (http_frame_check(r->mhd, version, method, r->target, &r->frame, &e) != ERR_OK) {
        reply_problem(&r->reply, PROBLEM_BAD_REQUEST, NULL, "%s", e.message);
        return refuse(r);
    }
    if (!http_auth_host(&r->http->auth, r->frame.host)) {
        reply_problem(&r->reply, PROBLEM_BAD_HOST, NULL,
                      "this server does not answer for the Host \"%.80s\"; --hosts adds names",
                      r->frame.host);
        return refuse(r);
    }
    r->reply.close = false;
    return true;
}

bool request_begin(request *r, const char *method, const char *version)
{
    const char *path;
    route_path cut;
    r->begun = true;
    if (!check_frame(r, method, version)) return false;
    /* Refused before the body is sent: that is what the expectation is for. */
    r->reply.close = r->frame.expects_continue;
    if (!strip_authority(r, &path)) return false;
    size_t n = strcspn(path, "?");
    if (path[n] == '?') r->query = path + n + 1;
    if (!check_origin(r, method) || !split_path(r, path, n, &cut) || !check_token(r, &cut) ||
        !find_route(r, method, &cut) || !parse_query(r) || !check_body(r))
        return false;
    r->reply.close = false;
    return true;
}

static bool grow(request *r, size_t need)
{
    size_t cap = r->body_cap ? r->body_cap : 4096;
    while (cap < need) cap *= 2;
    char *body = realloc(r->body, cap);
    if (!body) return false;
    r->body = body;
    r->body_cap = cap;
    return true;
}

bool request_body(request *r, const char *bytes, size_t n)
{
    r->received += n;
    conn_bytes(r->http->conns, r->conn, r->received);
    if (r->refused) return r->received <= REFUSED_BODY_MAX;
    if (n > body_limit(r) - r->body_n) {
        free(r->body);
        r->body = NULL;
        r->body_n = r->body_cap = 0;
        too_large(r);
        return true;
    }
    if (r->body_n + n + 1 > r->body_cap && !grow(r, r->body_n + n + 1)) {
        reply_error(&r->reply, &(error){.code = ERR_MEMORY, .message = "no memory for the body"});
        refuse(r);
        return true;
    }
    memcpy(r->body + r->body_n, bytes, n);
    r->body_n += n;
    r->body[r->body_n] = '\0';
    return true;
}

/* "{}" with white space, or nothing. */
static bool is_empty_object(const request *r)
{
    const char *p = r->body ? r->body : "";
    if (r->body_n == 0) return true;
    if (strlen(p) != r->body_n) return false;
    p += strspn(p, " \t\r\n");
    if (*p++ != '{') return false;
    p += strspn(p, " \t\r\n");
    if (*p++ != '}') return false;
    p += strspn(p, " \t\r\n");
    return *p == '\0';
}

void request_answer(request *r)
{
    if (r->refused) return;
    if (r->route->body == BODY_EMPTY && !is_empty_object(r)) {
        bad_request(r, "this address takes no body, or the JSON object {}");
        return;
    }
    r->route->handler(r, &r->reply);
}
