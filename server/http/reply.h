/* What a handler answers: a status, headers and a body, or a stream that makes the body.
 *
 * A handler fills the reply; send.h turns it into a response of the library. No handler sees
 * the library. A reply is freed by reply_deinit, what has been sent included.
 */
#ifndef SERVER_HTTP_REPLY_H
#define SERVER_HTTP_REPLY_H

#include "core/base/error.h"
#include "server/text/json_out.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* read fills 1..max bytes; 0 is the end, -1 breaks the connection off (the client sees that the
 * body is incomplete). It may wait: each connection has its thread. close frees ctx. */
typedef struct stream {
    ssize_t (*read)(void *ctx, char *out, size_t max);
    void (*close)(void *ctx);
    void *ctx;
} stream;

enum { REPLY_ETAG = 40, REPLY_LOCATION = 96 };

typedef struct reply {
    int status;
    const char *type; /* borrowed, static */
    char *body;       /* heap when owned, else borrowed and static */
    size_t n;
    bool owned;
    stream stream;         /* instead of body when stream.read is set */
    bool events;           /* the stream is text/event-stream: no deadline, no compression */
    bool tagged;           /* wants an ETag: of the body, unless etag is set */
    char etag[REPLY_ETAG]; /* opaque part, without quotes */
    char location[REPLY_LOCATION];
    char allow[64];
    char filename[64]; /* Content-Disposition: attachment */
    int retry_after_s; /* 0: none */
    bool challenge;    /* WWW-Authenticate: Bearer */
    bool close;        /* the connection cannot be used again */
} reply;

void reply_deinit(reply *p);

void reply_json(reply *p, int status, json_out *o); /* takes the text; a failed buffer gives 503 */
void reply_text(reply *p, int status, const char *type, char *heap_text); /* NULL gives 503 */
void reply_stream(reply *p, const char *type, stream s);
void reply_empty(reply *p, int status);

/* Sets the opaque tag from parts of text (SHA-256, shortened). parts ends with NULL. */
void reply_etag(reply *p, const char *const *parts);

#endif
