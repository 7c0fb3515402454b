/* The route table: rows of route.def. */
#ifndef SERVER_HTTP_ROUTE_H
#define SERVER_HTTP_ROUTE_H

#include "server/http/reply.h"

#include <stdbool.h>

struct request;

typedef enum route_body { BODY_NONE, BODY_EMPTY, BODY_JOB, BODY_BYTES } route_body;

typedef struct route {
    const char *method, *pattern;
    void (*handler)(struct request *r, reply *out);
    route_body body;
    const char *params, *replies, *summary;
} route;

#define ROUTE(method, pattern, handler, body, params, replies, summary)                            \
    void handler(struct request *r, reply *out);
#include "server/http/route.def"
#undef ROUTE

extern const route route_table[];
extern const int route_count;

/* Does path, cut into segments, match? captures receive the values in order; both borrowed. */
enum { ROUTE_SEGMENTS = 8 };

typedef struct route_path {
    char *segments[ROUTE_SEGMENTS]; /* decoded */
    char *rest[ROUTE_SEGMENTS];     /* decoded path from this segment on */
    int n;
} route_path;

/* The row for method and path. NULL: none; allow then holds "GET, HEAD, …" when the path exists
 * under other methods, else "". HEAD finds GET. */
const route *
route_find(const char *method, const route_path *path, const char **captures, char allow[64]);
bool route_has_param(const route *r, const char *name);

#endif
