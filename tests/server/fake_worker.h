/* A worker that misbehaves on purpose: the test program itself, started with --worker. What it does
 * with a run is decided by the run's seed, so that good and bad runs can stand in one queue.
 */
#ifndef TESTS_SERVER_FAKE_WORKER_H
#define TESTS_SERVER_FAKE_WORKER_H

#include "server/machine/version.h"
#include "server/queue/frame.h"
#include "server/queue/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum fake_seed {
    FAKE_OK = 0, /* and everything below FAKE_KILL: three rows, the third is the seed */
    FAKE_KILL = 1001,
    FAKE_SEGV,
    FAKE_EXIT,
    FAKE_HANG,
    FAKE_GARBAGE,
    FAKE_GIANT,
    FAKE_HALF,
    FAKE_TOO_MANY,
    FAKE_UNASKED,
    FAKE_CLOSED,   /* closes its pipe and lives on */
    FAKE_BAD_END,  /* the last of those that count as deaths */
    FAKE_TWICE,    /* the same measurement twice */
    FAKE_FAILED,   /* says so */
    FAKE_LONG,     /* a minute, with progress */
    FAKE_ONCE,     /* dies the first time */
    FAKE_ONCE_LONG /* a minute the first time */
};

static inline bool fake_first_time(void)
{
    char path[256];
    const char *dir = getenv("NORMSCOPE_TEST_DIR");
    snprintf(path, sizeof path, "%s/marker", dir ? dir : "/tmp");
    if (access(path, F_OK) == 0) return false;
    FILE *f = fopen(path, "we");
    if (f) fclose(f);
    return true;
}

static inline void fake_send(frame_type type, frame_buffer *b)
{
    if (frame_write(1, type, b->bytes, b->n, NULL) != ERR_OK) _exit(1);
    b->n = 0;
}

static inline void fake_rows(frame_buffer *b, int n, long seed)
{
    for (int i = 0; i < n; i++) {
        measurement m = {0,           i,    SITE_resid_out,
                         METRIC_var,  NULL, i == 2 ? (double)seed : i,
                         REASON_NONE, 0,    ITEM_NONE};
        frame_put_measurement(b, &m, 0);
    }
    fake_send(FRAME_MEASURE, b);
}

static inline void fake_progress(frame_buffer *b, double fraction)
{
    progress p = {0, 1, (int)(100 * fraction), 100, fraction};
    frame_put_progress(b, &p);
    fake_send(FRAME_PROGRESS, b);
}

static inline void fake_run(long seed, size_t corpus_bytes)
{
    frame_buffer b = {0};
    error e = {0};
    const char junk[] = "this is not a frame at all, it is a sentence";
    unsigned char header[FRAME_HEADER];
    fake_progress(&b, 0.25);
    if ((seed == FAKE_ONCE_LONG || seed == FAKE_ONCE) && fake_first_time())
        seed = seed == FAKE_ONCE ? FAKE_KILL : FAKE_LONG;
    switch (seed) {
    case FAKE_KILL:
        raise(SIGKILL);
        break;
    case FAKE_SEGV:
        signal(SIGSEGV, SIG_DFL); /* not the sanitizer's */
        raise(SIGSEGV);
        break;
    case FAKE_EXIT:
        _exit(3);
    case FAKE_HANG:
        pause();
        break;
    case FAKE_GARBAGE:
        if (write(1, junk, sizeof junk) < 0) _exit(1);
        pause();
        break;
    case FAKE_GIANT:
        frame_header(header, FRAME_MEASURE, 1 << 30);
        if (write(1, header, sizeof header) < 0) _exit(1);
        pause();
        break;
    case FAKE_HALF:
        frame_header(header, FRAME_MEASURE, 2400);
        if (write(1, header, sizeof header) < 0 || write(1, junk, 20) < 0) _exit(1);
        _exit(0);
    case FAKE_TOO_MANY:
        for (;;) fake_rows(&b, 500, seed);
    case FAKE_UNASKED:
        fake_send(FRAME_HELLO, &b);
        pause();
        break;
    case FAKE_CLOSED:
        close(1);
        pause();
        break;
    case FAKE_BAD_END:
        fake_send(FRAME_DONE, &b);
        pause();
        break;
    case FAKE_TWICE:
        fake_rows(&b, 3, seed);
        break;
    case FAKE_FAILED:
        error_set(&e, ERR_MEMORY, "/model", "not today");
        frame_put_error(&b, &e);
        fake_send(FRAME_FAILED, &b);
        frame_buffer_deinit(&b);
        return;
    case FAKE_LONG:
        for (int i = 0; i < 6000; i++) {
            fake_progress(&b, i / 6000.0);
            usleep(10000);
        }
        break;
    default:
        break;
    }
    fake_rows(&b, 3, corpus_bytes ? (long)corpus_bytes : seed);
    fake_progress(&b, 1);
    run_summary summary = {0};
    char provenance[128];
    snprintf(provenance, sizeof provenance, "{\"build\":\"%s\",\"worker\":\"fake\"}",
             version_build());
    frame_put_done(&b, &summary, 1, provenance);
    fake_send(FRAME_DONE, &b);
    frame_buffer_deinit(&b);
}

static inline int fake_main(void)
{
    frame_reader r;
    frame_buffer b = {0};
    size_t corpus_bytes = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    frame_reader_init(&r, &frame_to_worker);
    frame_put_u32(&b, FRAME_PROTOCOL);
    fake_send(FRAME_HELLO, &b);
    while (frame_read(&r, 0, NULL) == FRAME_READY) {
        if (r.type == FRAME_PING) fake_send(FRAME_PONG, &b);
        if (r.type == FRAME_CORPUS) corpus_bytes = r.payload.n - 64;
        if (r.type != FRAME_RUN) continue;
        frame_put_u8(&r.payload, 0);
        const char *seeds = strstr((char *)r.payload.bytes + 4, "\"seeds\":[");
        r.payload.n--;
        fake_run(seeds ? strtol(seeds + 9, NULL, 10) : 0, corpus_bytes);
    }
    frame_reader_deinit(&r);
    frame_buffer_deinit(&b);
    return 0;
}

#endif
