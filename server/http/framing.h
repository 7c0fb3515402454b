/* Framing checks of a request, in the first call of the access handler, before any body is read.
 *
 * Debian's libmicrohttpd 0.9.75 accepts doubled Content-Length, Transfer-Encoding beside it, white
 * space before the colon and any byte in header names, each of which lets a second request be
 * smuggled past a proxy. What is refused here is answered with 400 and the connection is closed.
 */
#ifndef SERVER_HTTP_FRAMING_H
#define SERVER_HTTP_FRAMING_H

#include "core/base/error.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct http_frame {
    bool has_length, chunked; /* at most one of them */
    uint64_t length;
    bool expects_continue;
    const char *host, *authorization, *content_type, *origin; /* borrowed; NULL when absent */
} http_frame;

/* ERR_RANGE with a message that names the header; pointer is empty. target is the raw request
 * target. */
err_code http_frame_check(struct MHD_Connection *c,
                          const char *version,
                          const char *method,
                          const char *target,
                          http_frame *out,
                          error *err);

bool http_frame_is_token(const char *s, size_t n); /* RFC 9110 token */

#endif
