/* gzip for replies, whole or streamed. Any thread. */
#ifndef SERVER_HTTP_GZIP_H
#define SERVER_HTTP_GZIP_H

#include "server/http/reply.h"

/* Heap copy, compressed; NULL when out of memory or when it would not be smaller. */
char *gzip_buffer(const void *bytes, size_t n, size_t *out_n);

/* Takes over inner; its read then yields gzip. false: out of memory, inner is as it was. */
bool gzip_stream(stream *s);

#endif
