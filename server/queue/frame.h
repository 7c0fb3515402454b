/* Frames between the daemon and a worker process, over a pair of pipes.
 *
 * A frame is a header (magic, type, payload bytes; little-endian u32 each) and a payload of at most
 * FRAME_MAX bytes. Daemon to worker: RUN, CORPUS (before the RUN that needs it), PING. Worker to
 * daemon: HELLO, PARAMS, MEASURE, PREDICT, STEP, PROGRESS, DONE, FAILED, PONG. Anything else is
 * garbage: the worker is killed and the run counted against it.
 *
 *   RUN       u32 threads, then the resolved run text
 *   CORPUS    64 bytes hex SHA-256, then the text itself
 *   PING      empty                       PONG      empty
 *   HELLO     u32 FRAME_PROTOCOL
 *   PARAMS    names that MEASURE and PREDICT refer to, each a u8 length and its bytes; they get
 *             the next indices of this run, counted from 1 (0: no parameter)
 *   MEASURE   records of FRAME_RECORD bytes: i32 step, i32 layer, u16 site, u16 metric,
 *             u16 param, u8 reason, u8 kind of item, f64 value, u32 item, u32 zero
 *   PREDICT   records of FRAME_PREDICT_RECORD bytes: i32 layer, u16 site, u16 metric, u16 law,
 *             u8 reason, u8 zero, u16 param, u16 zero, f64 value, f64 tolerance
 *   STEP      records of FRAME_STEP_RECORD bytes: i32 step, u32 zero, f64 loss, f64 lr,
 *             f64 grad_norm
 *   PROGRESS  i32 step, steps, layer, layers; f64 fraction
 *   DONE      u32 diverged (bit 0), in the backward pass (bit 1); i32 step, layer, site,
 *             steps_done; u32 zero; f64 wall_ms; then the provenance (at most FRAME_TEXT_MAX)
 *   FAILED    u16 code, u16 pointer length, pointer, then the message (at most FRAME_TEXT_MAX)
 */
#ifndef SERVER_QUEUE_FRAME_H
#define SERVER_QUEUE_FRAME_H

#include "core/engine.h"

enum {
    FRAME_MAX = (256 << 20) + 64, /* the largest corpus */
    FRAME_MAGIC = 0x31534e46,
    FRAME_PROTOCOL = 4,
    FRAME_HEADER = 12,
    FRAME_TEXT_MAX = 4096,
    FRAME_RECORD = 32,
    FRAME_STEP_RECORD = 32,
    FRAME_PREDICT_RECORD = 32,
    FRAME_PARAM_NAME = 64, /* bytes of a parameter name with its NUL */
    FRAME_PARAMS_MAX = 1024
};

typedef enum frame_type {
    FRAME_RUN = 1,
    FRAME_CORPUS,
    FRAME_PING,
    FRAME_HELLO,
    FRAME_PROGRESS,
    FRAME_MEASURE,
    FRAME_STEP,
    FRAME_DONE,
    FRAME_FAILED,
    FRAME_PONG,
    FRAME_PARAMS,
    FRAME_PREDICT,
    FRAME_TYPES
} frame_type;

/* A payload being written or read. Writing: `*b = (frame_buffer){0}`, put, send, deinit; after an
 * allocation failure `failed` is set and nothing more is written. */
typedef struct frame_buffer {
    unsigned char *bytes;
    size_t n, cap;
    bool failed;
} frame_buffer;

void frame_put_u8(frame_buffer *b, uint8_t v);
void frame_put_u16(frame_buffer *b, uint16_t v);
void frame_put_u32(frame_buffer *b, uint32_t v);
void frame_put_i32(frame_buffer *b, int32_t v);
void frame_put_u64(frame_buffer *b, uint64_t v);
void frame_put_f64(frame_buffer *b, double v);
void frame_put_bytes(frame_buffer *b, const void *bytes, size_t n);
void frame_buffer_reset(frame_buffer *b); /* empty, memory kept, failed cleared */
void frame_buffer_deinit(frame_buffer *b);

uint16_t frame_get_u16(const unsigned char *p);
uint32_t frame_get_u32(const unsigned char *p);
int32_t frame_get_i32(const unsigned char *p);
uint64_t frame_get_u64(const unsigned char *p);
double frame_get_f64(const unsigned char *p);

void frame_header(unsigned char out[FRAME_HEADER], frame_type type, size_t payload_bytes);

/* Blocking write of a whole frame (worker side). ERR_IO when the other end is gone. */
err_code frame_write(int fd, frame_type type, const void *payload, size_t n, error *err);

/* An incremental reader of one direction: which types it may carry and how large each may be.
 * Memory grows as bytes arrive, never by what a header claims. */
typedef struct frame_limits {
    bool allowed[FRAME_TYPES];
    uint32_t max_bytes[FRAME_TYPES];
} frame_limits;

extern const frame_limits frame_from_worker, frame_to_worker;

typedef struct frame_reader {
    const frame_limits *limits;
    unsigned char header[FRAME_HEADER];
    size_t header_n;
    frame_type type;
    uint32_t size; /* payload of the frame being read */
    frame_buffer payload;
    bool eof; /* the other end closed, here or in the middle of a frame */
} frame_reader;

typedef enum frame_status {
    FRAME_READY, /* r->type, r->payload hold one frame until the next call */
    FRAME_AGAIN, /* no more bytes for now (non-blocking fd) */
    FRAME_EOF,   /* the other end closed, between frames */
    FRAME_BROKEN /* garbage, a half frame, an I/O error, no memory: err says which */
} frame_status;

void frame_reader_init(frame_reader *r, const frame_limits *limits);
void frame_reader_reset(frame_reader *r);
void frame_reader_deinit(frame_reader *r);
frame_status frame_read(frame_reader *r, int fd, error *err);

/* Payloads with a fixed shape. Decoding returns ERR_WORKER for anything that the registries, the
 * shapes or the ranges do not allow; n_params is how many names PARAMS has brought so far. */
void frame_put_measurement(frame_buffer *b, const measurement *m, uint16_t param);
err_code frame_get_measurement(
    measurement *m, uint16_t *param, const unsigned char *p, size_t n_params, error *err);
void frame_put_prediction(frame_buffer *b, const prediction *p, uint16_t param);
err_code frame_get_prediction(
    prediction *p, uint16_t *param, const unsigned char *bytes, size_t n_params, error *err);
void frame_put_step(frame_buffer *b, const step_record *s);
void frame_get_step(step_record *s, const unsigned char *p);
void frame_put_progress(frame_buffer *b, const progress *p);
err_code frame_get_progress(progress *p, const frame_buffer *b, error *err);
void frame_put_done(frame_buffer *b, const run_summary *s, double wall_ms, const char *provenance);
/* provenance: FRAME_TEXT_MAX + 1 bytes. */
err_code frame_get_done(
    run_summary *s, double *wall_ms, char *provenance, const frame_buffer *b, error *err);
void frame_put_error(frame_buffer *b, const error *e);
err_code frame_get_error(error *e, const frame_buffer *b, error *err);

#endif
