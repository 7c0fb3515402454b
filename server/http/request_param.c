/* Query parameters and captures for the handlers: typed, strict, each fault names its parameter. */
#include "server/http/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *request_param_text(const request *r, const char *name)
{
    for (int i = 0; i < r->n_params; i++)
        if (strcmp(r->params[i].name, name) == 0) return r->params[i].value;
    return NULL;
}

/* Decimal digits, with a minus where negative numbers are allowed; nothing else. */
static bool integer(const char *text, size_t n, int64_t min, int64_t max, int64_t *value)
{
    char digits[24];
    if (n == 0 || n >= sizeof digits) return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    size_t sign = digits[0] == '-';
    if (strspn(digits + sign, "0123456789") != n - sign || n == sign) return false;
    errno = 0;
    long long v = strtoll(digits, NULL, 10);
    if (errno || v < min || v > max) return false;
    *value = v;
    return true;
}

static bool
bad_integer(request *r, const char *name, const char *text, size_t n, int64_t min, int64_t max)
{
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, name,
                  "\"%.*s\" is not an integer from %lld to %lld", (int)(n < 40 ? n : 40), text,
                  (long long)min, (long long)max);
    return false;
}

bool request_param_integer(request *r, const char *name, int64_t min, int64_t max, int64_t *value)
{
    const char *text = request_param_text(r, name);
    if (!text || integer(text, strlen(text), min, max, value)) return true;
    return bad_integer(r, name, text, strlen(text), min, max);
}

static bool too_many(request *r, const char *name)
{
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, name, "at most %d values", REQUEST_LIST);
    return false;
}

bool request_param_integers(
    request *r, const char *name, int64_t min, int64_t max, int64_t values[REQUEST_LIST], int *n)
{
    *n = 0;
    for (const char *p = request_param_text(r, name); p;) {
        size_t k = strcspn(p, ",");
        if (*n == REQUEST_LIST) return too_many(r, name);
        if (!integer(p, k, min, max, &values[*n])) return bad_integer(r, name, p, k, min, max);
        (*n)++;
        p = p[k] ? p + k + 1 : NULL;
    }
    return true;
}

static bool unknown_name(request *r, const char *parameter, const registry *names, const char *name)
{
    int near = registry_nearest(names, name);
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, parameter,
                  "\"%.60s\" is not in the registry %s%s%s%s", name, names->kind,
                  near >= 0 ? "; did you mean \"" : "", near >= 0 ? names->rows[near]->name : "",
                  near >= 0 ? "\"?" : "");
    return false;
}

bool request_param_names(
    request *r, const char *name, const registry *names, int values[REQUEST_LIST], int *n)
{
    *n = 0;
    for (const char *p = request_param_text(r, name); p;) {
        char one[64];
        size_t k = strcspn(p, ",");
        size_t fits = k < sizeof one ? k : sizeof one - 1;
        memcpy(one, p, fits);
        one[fits] = '\0';
        if (*n == REQUEST_LIST) return too_many(r, name);
        values[*n] = registry_find(names, one);
        if (values[*n] < 0) return unknown_name(r, name, names, one);
        (*n)++;
        p = p[k] ? p + k + 1 : NULL;
    }
    return true;
}

bool request_capture_id(request *r, int which, int64_t *id)
{
    const char *text = r->capture[which];
    if (integer(text, strlen(text), 1, INT64_MAX, id) && text[0] != '0') return true;
    error e;
    error_set(&e, ERR_NOT_FOUND, "", "\"%.40s\" is not an id", text);
    reply_error(&r->reply, &e);
    return false;
}

/* The quality of a media type or coding in an Accept header: 0..1, -1 when it is not named. */
static double quality(const char *header, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = header; *p;) {
        p += strspn(p, " \t,");
        size_t k = strcspn(p, ",");
        size_t m = strcspn(p, "; \t,");
        if (m == n && strncasecmp(p, name, n) == 0) {
            const char *q = memmem(p, k, "q=", 2);
            return q ? strtod(q + 2, NULL) : 1;
        }
        p += k;
    }
    return -1;
}

bool request_wants_csv(request *r, bool *csv)
{
    const char *format = request_param_text(r, "format");
    const char *accept = request_header(r, "Accept");
    *csv = false;
    if (format) {
        *csv = strcmp(format, "csv") == 0;
        if (*csv || strcmp(format, "json") == 0) return true;
        reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, "format", "\"%.40s\" is not json or csv",
                      format);
        return false;
    }
    if (!accept) return true;
    double json = quality(accept, "application/json");
    double any = quality(accept, "*/*");
    double text = quality(accept, "text/csv");
    if (json < 0) json = any >= 0 ? any : quality(accept, "application/*");
    if (text < 0) text = quality(accept, "text/*") > 0 && json <= 0 ? 0.001 : -1;
    *csv = text > 0 && text >= json;
    if (*csv || json > 0) return true;
    reply_problem(&r->reply, PROBLEM_NOT_ACCEPTABLE, NULL,
                  "application/json and text/csv are offered");
    return false;
}

bool request_accepts_gzip(const request *r)
{
    const char *header = request_header(r, "Accept-Encoding");
    return header && quality(header, "gzip") > 0;
}
