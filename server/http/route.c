#include "server/http/route.h"

#include <stdio.h>
#include <string.h>

const route route_table[] = {
#define ROUTE(method, pattern, handler, body, params, replies, summary)                            \
    {#method, pattern, handler, BODY_##body, params, replies, summary},
#include "server/http/route.def"
#undef ROUTE
};
const int route_count = sizeof route_table / sizeof route_table[0];

/* pattern against the segments; captures may be NULL. */
static bool matches(const char *pattern, const route_path *path, const char **captures)
{
    int captured = 0, i = 0;
    const char *p = pattern + 1; /* every pattern begins with a slash */
    for (; *p; i++) {
        size_t n = strcspn(p, "/");
        if (i == path->n) return false;
        if (p[0] == '{') {
            bool rest = p[n - 2] == '*';
            if (captures) captures[captured++] = rest ? path->rest[i] : path->segments[i];
            if (rest) return path->rest[i][0] != '\0';
            if (path->segments[i][0] == '\0') return false;
        } else if (strlen(path->segments[i]) != n || memcmp(path->segments[i], p, n) != 0) {
            return false;
        }
        p += n;
        if (*p == '/') p++;
    }
    return i == path->n;
}

static void allow_add(char allow[64], const char *method)
{
    size_t n = strlen(allow);
    snprintf(allow + n, 64 - n, "%s%s", n ? ", " : "", method);
}

const route *
route_find(const char *method, const route_path *path, const char **captures, char allow[64])
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    allow[0] = '\0';
    for (int i = 0; i < route_count; i++) {
        const route *r = &route_table[i];
        if (!matches(r->pattern, path, NULL)) continue;
        if (strcmp(r->method, wanted) == 0) {
            matches(r->pattern, path, captures);
            return r;
        }
        allow_add(allow, r->method);
        if (strcmp(r->method, "GET") == 0) allow_add(allow, "HEAD");
    }
    if (allow[0]) allow_add(allow, "OPTIONS");
    return NULL;
}

bool route_has_param(const route *r, const char *name)
{
    size_t n = strlen(name);
    if (strcmp(r->params, "*") == 0) return true;
    for (const char *p = r->params; *p;) {
        size_t k = strcspn(p, " ");
        if (k == n && memcmp(p, name, n) == 0) return true;
        p += k;
        p += strspn(p, " ");
    }
    return false;
}
