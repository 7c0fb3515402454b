/* Frames between the daemon and a worker process, over a pair of pipes.
 *
 * A frame is a header (magic, type, payload bytes; little-endian u32 each) and a payload of at most
 * FRAME_MAX bytes. Daemon to worker: RUN (resolved run text), CORPUS (bytes, before the RUN that needs it),
 * PING. Worker to daemon: HELLO (build, blas kernel, precision list), PROGRESS, MEASURE (packed
 * records), STEP, DONE (summary), FAILED (error), PONG. Anything else from a worker is garbage: the
 * worker is killed and the run counted against it.
 */
#ifndef SERVER_FRAME_H
#define SERVER_FRAME_H

#include "core/engine.h"

enum { FRAME_MAX = 64 << 20, FRAME_MAGIC = 0x31534e46 };

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
    FRAME_PONG
} frame_type;

#endif
