/* What a handler answers: a status, headers and a body, or a stream that makes the body.
 *
 * A handler fills the reply; reply_send (called once, by http.c) turns it into a response of the
 * library, adds the headers that every reply carries, compresses and answers 304. No handler sees
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

struct request;

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

/* application/problem+json (RFC 9457). reply_error: by the table err_code -> status. */
void reply_error(reply *p, const error *e);

/* Faults of the request itself: rows of problem.def. parameter may be NULL. */
typedef enum problem {
#define PROBLEM(name, status, sentence) PROBLEM_##name,
#include "server/http/problem.def"
#undef PROBLEM
    PROBLEM_COUNT
} problem;

void reply_problem(reply *p, problem kind, const char *parameter, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Sets the opaque tag from parts of text (SHA-256, shortened). parts ends with NULL. */
void reply_etag(reply *p, const char *const *parts);

enum MHD_Result reply_send(struct request *r);

#endif
