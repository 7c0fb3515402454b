/* What a worker could send: the bytes go through a pipe into the reader and, frame by frame, into
 * the intake of a run. */
#include "server/queue/frame.h"
#include "server/queue/intake.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(intake *in, const frame_reader *r)
{
    progress p;
    error e = {0}, err = {0};
    const frame_buffer *b = &r->payload;
    if (r->type == FRAME_PARAMS) intake_params(in, b, &err);
    if (r->type == FRAME_MEASURE) intake_rows(in, b, &err);
    if (r->type == FRAME_STEP) intake_steps(in, b, &err);
    if (r->type == FRAME_PROGRESS) frame_get_progress(&p, b, &err);
    if (r->type == FRAME_FAILED) frame_get_error(&e, b, &err);
    if (r->type == FRAME_DONE && !in->provenance) intake_done(in, b, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    intake in;
    frame_reader r;
    error err = {0};
    if (size > 60000 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return 0;
    intake_begin(&in, 1000, 10);
    frame_reader_init(&r, &frame_from_worker);
    if (write(ends[1], data, size) == (ssize_t)size) {
        close(ends[1]);
        while (frame_read(&r, ends[0], &err) == FRAME_READY) take(&in, &r);
    } else
        close(ends[1]);
    close(ends[0]);
    frame_reader_deinit(&r);
    intake_free(&in);
    return 0;
}
