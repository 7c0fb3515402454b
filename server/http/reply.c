#include "server/http/reply.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reply_deinit(reply *p)
{
    if (p->owned) free(p->body);
    if (p->stream.read) p->stream.close(p->stream.ctx);
    *p = (reply){0};
}

static void set_body(reply *p, int status, const char *type, char *text)
{
    p->status = status;
    p->type = type;
    p->body = text;
    p->n = strlen(text);
    p->owned = true;
}

static void out_of_memory(reply *p)
{
    static char text[] = "{\"type\":\"about:blank\",\"title\":\"not enough memory\",\"status\":503,"
                         "\"detail\":\"the server is short of memory\",\"code\":\"memory\"}";
    p->status = MHD_HTTP_SERVICE_UNAVAILABLE;
    p->type = "application/problem+json";
    p->body = text;
    p->n = sizeof text - 1;
    p->owned = false;
    p->tagged = false;
    p->retry_after_s = 5;
}

void reply_text(reply *p, int status, const char *type, char *heap_text)
{
    if (heap_text)
        set_body(p, status, type, heap_text);
    else
        out_of_memory(p);
}

void reply_json(reply *p, int status, json_out *o)
{
    char *text = json_take(o);
    bool has_type = status >= 400 && p->type;
    reply_text(p, status, has_type ? p->type : "application/json", text);
}

void reply_stream(reply *p, const char *type, stream s)
{
    p->status = MHD_HTTP_OK;
    p->type = type;
    p->stream = s;
}

void reply_empty(reply *p, int status)
{
    p->status = status;
    p->n = 0;
}

void reply_etag(reply *p, const char *const *parts)
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    for (; *parts; parts++) sha256_update(&ctx, strlen(*parts) + 1, (const uint8_t *)*parts);
    sha256_digest(&ctx, sizeof digest, digest);
    for (size_t i = 0; i < 16; i++) snprintf(p->etag + 2 * i, 3, "%02x", digest[i]);
    p->tagged = true;
}
