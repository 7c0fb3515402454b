#include "server/http/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, GZIP_LEVEL = 5, GZIP_MEMORY = 8, GZIP_INPUT = 16384 };

char *gzip_buffer(const void *bytes, size_t n, size_t *out_n)
{
    z_stream z = {0};
    if (n > UINT_MAX) return NULL;
    char *out = malloc(n);
    if (!out) return NULL;
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        free(out);
        return NULL;
    }
    z.next_in = (Bytef *)bytes;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)n;
    int end = deflate(&z, Z_FINISH);
    *out_n = n - z.avail_out;
    deflateEnd(&z);
    if (end == Z_STREAM_END) return out;
    free(out);
    return NULL;
}

typedef struct gzip_ctx {
    stream inner;
    z_stream z;
    bool ended;
    Bytef input[GZIP_INPUT];
} gzip_ctx;

static ssize_t gzip_read(void *ctx, char *out, size_t max)
{
    gzip_ctx *g = ctx;
    if (max > INT_MAX) max = INT_MAX;
    g->z.next_out = (Bytef *)out;
    g->z.avail_out = (uInt)max;
    while (g->z.avail_out == max) {
        if (g->z.avail_in == 0 && !g->ended) {
            ssize_t n = g->inner.read(g->inner.ctx, (char *)g->input, sizeof g->input);
            if (n < 0) return -1;
            g->ended = n == 0;
            g->z.next_in = g->input;
            g->z.avail_in = (uInt)n;
        }
        int code = deflate(&g->z, g->ended ? Z_FINISH : Z_NO_FLUSH);
        if (code == Z_STREAM_END) break;
        if (code != Z_OK && code != Z_BUF_ERROR) return -1;
    }
    return (ssize_t)(max - g->z.avail_out);
}

static void gzip_close(void *ctx)
{
    gzip_ctx *g = ctx;
    g->inner.close(g->inner.ctx);
    deflateEnd(&g->z);
    free(g);
}

bool gzip_stream(stream *s)
{
    gzip_ctx *g = calloc(1, sizeof *g);
    if (!g) return false;
    if (deflateInit2(&g->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        free(g);
        return false;
    }
    g->inner = *s;
    *s = (stream){gzip_read, gzip_close, g};
    return true;
}
