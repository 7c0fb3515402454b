#include "server/http/framing.h"

#include <string.h>
#include <strings.h>

bool http_frame_is_token(const char *s, size_t n)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == 0 || !strchr(marks, c))) return false;
    }
    return n > 0;
}

typedef struct header_walk {
    http_frame *frame;
    error *err;
    err_code code;
    bool transfer_encoding;
    const char *expect;
} header_walk;

static err_code refuse(error *err, const char *message)
{
    return error_set(err, ERR_RANGE, "", "%s", message);
}

/* Headers that may come once: a second one is a way to be understood differently by two readers. */
static err_code once(header_walk *w, const char **slot, const char *name, const char *value)
{
    if (*slot) return error_set(w->err, ERR_RANGE, "", "the header %s is given twice", name);
    *slot = value;
    return ERR_OK;
}

static err_code length_header(header_walk *w, const char *value, size_t n)
{
    http_frame *f = w->frame;
    if (f->has_length) return refuse(w->err, "the header Content-Length is given twice");
    if (n == 0 || n > 18)
        return refuse(w->err, "Content-Length must be a number of 1 to 18 digits");
    f->length = 0;
    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9')
            return refuse(w->err, "Content-Length must be a number of 1 to 18 digits");
        f->length = f->length * 10 + (uint64_t)(value[i] - '0');
    }
    f->has_length = true;
    return ERR_OK;
}

static err_code coding_header(header_walk *w, const char *value)
{
    if (w->transfer_encoding) return refuse(w->err, "the header Transfer-Encoding is given twice");
    w->transfer_encoding = true;
    if (strcasecmp(value, "chunked") != 0)
        return refuse(w->err, "Transfer-Encoding must be exactly \"chunked\"");
    w->frame->chunked = true;
    return ERR_OK;
}

static err_code known_header(header_walk *w, const char *name, const char *value, size_t n)
{
    http_frame *f = w->frame;
    if (strcasecmp(name, "Content-Length") == 0) return length_header(w, value, n);
    if (strcasecmp(name, "Transfer-Encoding") == 0) return coding_header(w, value);
    if (strcasecmp(name, "Host") == 0) return once(w, &f->host, "Host", value);
    if (strcasecmp(name, "Origin") == 0) return once(w, &f->origin, "Origin", value);
    if (strcasecmp(name, "Authorization") == 0)
        return once(w, &f->authorization, "Authorization", value);
    if (strcasecmp(name, "Content-Type") == 0)
        return once(w, &f->content_type, "Content-Type", value);
    if (strcasecmp(name, "Expect") == 0) return once(w, &w->expect, "Expect", value);
    return ERR_OK;
}

static enum MHD_Result walk(void *cls,
                            enum MHD_ValueKind kind,
                            const char *name,
                            size_t name_n,
                            const char *value,
                            size_t n)
{
    (void)kind;
    header_walk *w = cls;
    if (!name || !http_frame_is_token(name, name_n)) {
        w->code = refuse(w->err, "a header name is not a token: only letters, digits and "
                                 "!#$%&'*+-.^_`|~, and no space before the colon");
        return MHD_NO;
    }
    if (!value) value = "", n = 0;
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f) {
            w->code = error_set(w->err, ERR_RANGE, "", "the header %.40s holds a control character",
                                name);
            return MHD_NO;
        }
    w->code = known_header(w, name, value, n);
    return w->code == ERR_OK ? MHD_YES : MHD_NO;
}

static err_code check_target(const char *target, error *err)
{
    if (target[0] == 0) return refuse(err, "the request target is empty");
    for (const char *p = target; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '#' || *p == '"' || *p == '<' || *p == '>' ||
            *p == '\\')
            return refuse(err, "the request target holds a character that must be percent-encoded");
    return ERR_OK;
}

err_code http_frame_check(struct MHD_Connection *c,
                          const char *version,
                          const char *method,
                          const char *target,
                          http_frame *out,
                          error *err)
{
    *out = (http_frame){0};
    bool http10 = strcmp(version, "HTTP/1.0") == 0;
    if (!http10 && strcmp(version, "HTTP/1.1") != 0)
        return refuse(err, "only HTTP/1.0 and HTTP/1.1 are understood");
    if (!http_frame_is_token(method, strlen(method)))
        return refuse(err, "the method is not a token");
    if (check_target(target, err) != ERR_OK) return ERR_RANGE;

    header_walk w = {.frame = out, .err = err};
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, walk, &w);
    if (w.code != ERR_OK) return w.code;
    if (out->chunked && out->has_length)
        return refuse(err, "Transfer-Encoding and Content-Length may not come together");
    if (out->chunked && http10) return refuse(err, "HTTP/1.0 knows no Transfer-Encoding");
    if (!out->host || !out->host[0]) return refuse(err, "the header Host is missing");
    if (w.expect && strcasecmp(w.expect, "100-continue") != 0)
        return refuse(err, "the only expectation that is understood is 100-continue");
    out->expects_continue = w.expect != NULL;
    return ERR_OK;
}
