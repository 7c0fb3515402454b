#include "server/http/send.h"

#include "server/http/gzip.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GZIP_MIN = 1024, STREAM_BLOCK = 16384 };

static void tag_body(reply *p)
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    sha256_update(&ctx, p->n, (const uint8_t *)p->body);
    sha256_digest(&ctx, sizeof digest, digest);
    for (size_t i = 0; i < 16; i++) snprintf(p->etag + 2 * i, 3, "%02x", digest[i]);
}

/* Does If-None-Match name the tag? Weakly: the tags are of the content, not of its coding. */
static bool is_known(const request *r)
{
    const char *header = request_header(r, "If-None-Match");
    char quoted[REPLY_ETAG + 3];
    if (!header) return false;
    snprintf(quoted, sizeof quoted, "\"%s\"", r->reply.etag);
    return strcmp(header, "*") == 0 || strstr(header, quoted);
}

static bool compressible(const char *type)
{
    return type && (strncmp(type, "text/", 5) == 0 || strstr(type, "json") ||
                    strstr(type, "javascript") || strstr(type, "svg"));
}

typedef struct stream_body {
    stream stream;
    conn_table *conns;
    conn *conn;
    uint64_t total;
    bool events;
} stream_body;

static ssize_t stream_read(void *cls, uint64_t position, char *out, size_t max)
{
    (void)position;
    stream_body *b = cls;
    ssize_t n = b->stream.read(b->stream.ctx, out, max);
    if (n < 0) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == 0) return MHD_CONTENT_READER_END_OF_STREAM;
    b->total += (uint64_t)n;
    if (!b->events) conn_bytes(b->conns, b->conn, b->total);
    return n;
}

static void stream_free(void *cls)
{
    stream_body *b = cls;
    b->stream.close(b->stream.ctx);
    free(b);
}

static struct MHD_Response *stream_response(request *r)
{
    reply *p = &r->reply;
    stream_body *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    *b = (stream_body){p->stream, r->http->conns, r->conn, 0, p->events};
    p->stream = (stream){0};
    struct MHD_Response *m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                               stream_read, b, stream_free);
    if (!m) stream_free(b);
    return m;
}

static struct MHD_Response *body_response(reply *p)
{
    static char empty[1];
    struct MHD_Response *m = MHD_create_response_from_buffer(
        p->n, p->body ? p->body : empty, p->owned ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (m) p->owned = false;
    return m;
}

static const char *cache_control(const reply *p)
{
    if (p->events) return "no-store";
    return p->tagged ? "private, no-cache" : "no-store";
}

static void common_headers(struct MHD_Response *m, const reply *p)
{
    MHD_add_response_header(
        m, "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'");
    MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(m, "X-Frame-Options", "DENY");
    MHD_add_response_header(m, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(m, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(m, "Cross-Origin-Opener-Policy", "same-origin");
    MHD_add_response_header(m, "Cache-Control", cache_control(p));
}

static void own_headers(struct MHD_Response *m, const reply *p, bool gzipped)
{
    char text[128];
    if (p->type) MHD_add_response_header(m, "Content-Type", p->type);
    if (gzipped) MHD_add_response_header(m, "Content-Encoding", "gzip");
    MHD_add_response_header(m, "Vary", "Accept, Accept-Encoding");
    if (p->tagged) {
        snprintf(text, sizeof text, "W/\"%s\"", p->etag);
        MHD_add_response_header(m, "ETag", text);
    }
    if (p->location[0]) MHD_add_response_header(m, "Location", p->location);
    if (p->allow[0]) MHD_add_response_header(m, "Allow", p->allow);
    if (p->retry_after_s) {
        snprintf(text, sizeof text, "%d", p->retry_after_s);
        MHD_add_response_header(m, "Retry-After", text);
    }
    if (p->filename[0]) {
        snprintf(text, sizeof text, "attachment; filename=\"%s\"", p->filename);
        MHD_add_response_header(m, "Content-Disposition", text);
    }
    if (p->challenge) MHD_add_response_header(m, "WWW-Authenticate", "Bearer realm=\"normscope\"");
    if (p->close) MHD_add_response_header(m, "Connection", "close");
}

/* Replaces the body by its compressed form. */
static bool compress_body(reply *p)
{
    size_t n;
    char *gz = gzip_buffer(p->body, p->n, &n);
    if (!gz) return false;
    if (p->owned) free(p->body);
    p->body = gz;
    p->n = n;
    p->owned = true;
    return true;
}

static void answer_known(reply *p)
{
    reply tagged = {.status = MHD_HTTP_NOT_MODIFIED, .tagged = true};
    memcpy(tagged.etag, p->etag, sizeof tagged.etag);
    reply_deinit(p);
    *p = tagged;
}

enum MHD_Result reply_send(request *r)
{
    reply *p = &r->reply;
    if (p->tagged && p->status == MHD_HTTP_OK) {
        if (!p->etag[0]) tag_body(p);
        if (is_known(r)) answer_known(p);
    }
    if (p->status != MHD_HTTP_OK) p->tagged = p->tagged && p->status == MHD_HTTP_NOT_MODIFIED;

    bool streamed = p->stream.read != NULL, gzipped = false;
    uint64_t size = p->n;
    if (compressible(p->type) && !p->events && request_accepts_gzip(r)) {
        if (streamed)
            gzipped = gzip_stream(&p->stream);
        else if (p->n >= GZIP_MIN)
            gzipped = compress_body(p);
    }
    struct MHD_Response *m = streamed ? stream_response(r) : body_response(p);
    if (!m) return MHD_NO;
    common_headers(m, p);
    own_headers(m, p, gzipped);
    if (!p->events) conn_enter(r->http->conns, r->conn, CONN_REPLY, streamed ? 0 : size);
    enum MHD_Result queued = MHD_queue_response(r->mhd, (unsigned)p->status, m);
    MHD_destroy_response(m);
    return queued;
}
