/* The stream: headers, blocking writes, incremental reads. Payload shapes are in frame_payload.c.
 */
#include "server/queue/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    TEXT = FRAME_TEXT_MAX + 1024, /* texts with what stands before them */
    BATCH = 4 << 20,              /* records */
    RUN_TEXT = 1 << 20,
};

const frame_limits frame_from_worker = {
    .allowed = {[FRAME_HELLO] = true,
                [FRAME_PROGRESS] = true,
                [FRAME_MEASURE] = true,
                [FRAME_STEP] = true,
                [FRAME_DONE] = true,
                [FRAME_FAILED] = true,
                [FRAME_PONG] = true,
                [FRAME_PARAMS] = true,
                [FRAME_PREDICT] = true},
    .max_bytes = {[FRAME_HELLO] = 4,
                  [FRAME_PROGRESS] = 24,
                  [FRAME_MEASURE] = BATCH,
                  [FRAME_STEP] = BATCH,
                  [FRAME_DONE] = TEXT,
                  [FRAME_FAILED] = TEXT,
                  [FRAME_PONG] = 0,
                  [FRAME_PARAMS] = FRAME_PARAMS_MAX * FRAME_PARAM_NAME,
                  [FRAME_PREDICT] = BATCH},
};

const frame_limits frame_to_worker = {
    .allowed = {[FRAME_RUN] = true, [FRAME_CORPUS] = true, [FRAME_PING] = true},
    .max_bytes = {[FRAME_RUN] = RUN_TEXT, [FRAME_CORPUS] = FRAME_MAX, [FRAME_PING] = 0},
};

/* -- a growing payload -- */

static unsigned char *extend(frame_buffer *b, size_t n)
{
    if (b->failed) return NULL;
    if (n > b->cap - b->n) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->n < n && cap <= SIZE_MAX / 2) cap *= 2;
        unsigned char *grown = cap - b->n >= n ? realloc(b->bytes, cap) : NULL;
        if (!grown) {
            b->failed = true;
            return NULL;
        }
        b->bytes = grown;
        b->cap = cap;
    }
    unsigned char *at = b->bytes + b->n;
    b->n += n;
    return at;
}

static void put_little(frame_buffer *b, uint64_t v, int bytes)
{
    unsigned char *p = extend(b, (size_t)bytes);
    if (!p) return;
    for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(v >> (8 * i));
}

void frame_put_u8(frame_buffer *b, uint8_t v)
{
    put_little(b, v, 1);
}

void frame_put_u16(frame_buffer *b, uint16_t v)
{
    put_little(b, v, 2);
}

void frame_put_u32(frame_buffer *b, uint32_t v)
{
    put_little(b, v, 4);
}

void frame_put_i32(frame_buffer *b, int32_t v)
{
    put_little(b, (uint32_t)v, 4);
}

void frame_put_u64(frame_buffer *b, uint64_t v)
{
    put_little(b, v, 8);
}

void frame_put_f64(frame_buffer *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_little(b, bits, 8);
}

void frame_put_bytes(frame_buffer *b, const void *bytes, size_t n)
{
    unsigned char *p = n ? extend(b, n) : NULL;
    if (p) memcpy(p, bytes, n);
}

void frame_buffer_reset(frame_buffer *b)
{
    b->n = 0;
    b->failed = false;
}

void frame_buffer_deinit(frame_buffer *b)
{
    free(b->bytes);
    *b = (frame_buffer){0};
}

uint16_t frame_get_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t frame_get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int32_t frame_get_i32(const unsigned char *p)
{
    uint32_t u = frame_get_u32(p);
    int32_t v;
    memcpy(&v, &u, sizeof v);
    return v;
}

uint64_t frame_get_u64(const unsigned char *p)
{
    return frame_get_u32(p) | (uint64_t)frame_get_u32(p + 4) << 32;
}

double frame_get_f64(const unsigned char *p)
{
    uint64_t bits = frame_get_u64(p);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* -- writing -- */

void frame_header(unsigned char out[FRAME_HEADER], frame_type type, size_t payload_bytes)
{
    const uint32_t words[3] = {FRAME_MAGIC, (uint32_t)type, (uint32_t)payload_bytes};
    for (int i = 0; i < FRAME_HEADER; i++) out[i] = (unsigned char)(words[i / 4] >> (8 * (i % 4)));
}

static err_code wait_writable(int fd, error *err)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, -1) >= 0 || errno == EINTR) return ERR_OK;
    return error_set(err, ERR_IO, "", "cannot wait for the pipe: %s", strerror(errno));
}

err_code frame_write(int fd, frame_type type, const void *payload, size_t n, error *err)
{
    unsigned char header[FRAME_HEADER];
    struct iovec parts[2] = {{header, sizeof header}, {(void *)payload, n}};
    if (n > FRAME_MAX) return error_set(err, ERR_INTERNAL, "", "a frame of %zu bytes", n);
    frame_header(header, type, n);
    for (int i = 0;;) {
        ssize_t wrote = writev(fd, parts + i, 2 - i);
        if (wrote < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            err_code code = wait_writable(fd, err);
            if (code != ERR_OK) return code;
        } else if (wrote < 0 && errno != EINTR)
            return error_set(err, ERR_IO, "", "cannot write a frame: %s", strerror(errno));
        size_t left = wrote > 0 ? (size_t)wrote : 0;
        while (i < 2 && left >= parts[i].iov_len) left -= parts[i++].iov_len;
        if (i == 2) break;
        parts[i].iov_base = (char *)parts[i].iov_base + left;
        parts[i].iov_len -= left;
    }
    return ERR_OK;
}

/* -- reading -- */

void frame_reader_init(frame_reader *r, const frame_limits *limits)
{
    *r = (frame_reader){.limits = limits};
}

void frame_reader_reset(frame_reader *r)
{
    r->header_n = 0;
    frame_buffer_reset(&r->payload);
}

void frame_reader_deinit(frame_reader *r)
{
    frame_buffer_deinit(&r->payload);
}

static err_code parse_header(frame_reader *r, error *err)
{
    uint32_t magic = frame_get_u32(r->header), type = frame_get_u32(r->header + 4);
    uint32_t size = frame_get_u32(r->header + 8);
    if (magic != FRAME_MAGIC)
        return error_set(err, ERR_WORKER, "", "not a frame: it begins with 0x%08x", magic);
    if (type >= FRAME_TYPES || !r->limits->allowed[type])
        return error_set(err, ERR_WORKER, "", "a frame of type %u has no place here", type);
    if (size > r->limits->max_bytes[type])
        return error_set(err, ERR_WORKER, "",
                         "a frame of type %u with %u bytes; at most %u are allowed", type, size,
                         r->limits->max_bytes[type]);
    r->type = (frame_type)type;
    r->size = size;
    return ERR_OK;
}

/* Reads up to n bytes. */
static frame_status
read_some(frame_reader *r, int fd, void *into, size_t n, size_t *got, error *err)
{
    ssize_t came;
    do came = read(fd, into, n);
    while (came < 0 && errno == EINTR);
    *got = came > 0 ? (size_t)came : 0;
    if (came > 0) return FRAME_READY;
    r->eof = came == 0;
    if (r->eof && r->header_n == 0) return FRAME_EOF;
    if (r->eof) {
        error_set(err, ERR_WORKER, "", "the stream ended in the middle of a frame");
        return FRAME_BROKEN;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return FRAME_AGAIN;
    error_set(err, ERR_IO, "", "cannot read a frame: %s", strerror(errno));
    return FRAME_BROKEN;
}

static frame_status read_header(frame_reader *r, int fd, error *err)
{
    while (r->header_n < FRAME_HEADER) {
        size_t got;
        frame_status st =
            read_some(r, fd, r->header + r->header_n, FRAME_HEADER - r->header_n, &got, err);
        if (st != FRAME_READY) return st;
        r->header_n += got;
        if (r->header_n == FRAME_HEADER && parse_header(r, err) != ERR_OK) return FRAME_BROKEN;
    }
    return FRAME_READY;
}

static frame_status read_payload(frame_reader *r, int fd, error *err)
{
    while (r->payload.n < r->size) {
        enum { PIECE = 1 << 16 };
        size_t have = r->payload.n, want = r->size - have, got;
        if (want > PIECE) want = PIECE;
        unsigned char *at = extend(&r->payload, want);
        if (!at) {
            error_set(err, ERR_MEMORY, "", "no memory for a frame of %u bytes", r->size);
            return FRAME_BROKEN;
        }
        frame_status st = read_some(r, fd, at, want, &got, err);
        r->payload.n = have + got;
        if (st != FRAME_READY) return st;
    }
    return FRAME_READY;
}

frame_status frame_read(frame_reader *r, int fd, error *err)
{
    /* The frame handed out last is over. */
    if (r->header_n == FRAME_HEADER && r->payload.n == r->size) frame_reader_reset(r);
    frame_status st = read_header(r, fd, err);
    return st == FRAME_READY ? read_payload(r, fd, err) : st;
}
