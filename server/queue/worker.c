#include "server/queue/worker.h"

#include "server/job/reader.h"
#include "server/machine/blas.h"
#include "server/machine/block.h"
#include "server/machine/provenance.h"
#include "server/queue/frame.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_RECORDS = 2048,
    BATCH_STEPS = 256,
    PROGRESS_MS = 100,
    OOM_SCORE = 500,             /* the kernel takes a worker before the daemon */
    ROOM_BYTES = 256 << 20,      /* beside the run's own block: libraries, texts */
    ROOM_PER_THREAD = 128 << 20, /* stack and BLAS buffer */
    KEEP_BYTES = 64 << 20,       /* a block up to this size serves the next run too */
};

typedef struct worker {
    int in, out;
    frame_reader reader;
    frame_buffer records, steps, predictions, small;
    const char *params[FRAME_PARAMS_MAX]; /* of this run; index i + 1 on the wire */
    int n_params, last_param;
    team team;
    int team_size;
    char *provenance; /* for that many threads */
    void *block;
    size_t block_bytes;
    unsigned char *corpus;
    size_t corpus_bytes;
    int64_t progress_ms;
    bool broken;   /* the daemon is gone */
    bool too_many; /* more parameter names than the frames can carry */
} worker;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* -- out -- */

static void send(worker *w, frame_type type, frame_buffer *b)
{
    if (!w->broken && (b->failed || frame_write(w->out, type, b->bytes, b->n, NULL) != ERR_OK))
        w->broken = true;
    frame_buffer_reset(b);
}

static void flush_records(worker *w)
{
    if (w->records.n) send(w, FRAME_MEASURE, &w->records);
}

static void flush_predictions(worker *w)
{
    if (w->predictions.n) send(w, FRAME_PREDICT, &w->predictions);
}

static void flush_steps(worker *w)
{
    if (w->steps.n) send(w, FRAME_STEP, &w->steps);
}

/* Names are few and come in the same order in every block: the search begins behind the last. */
static uint16_t param_index(worker *w, const char *name)
{
    for (int i = 0; i < w->n_params; i++) {
        int at = (w->last_param + 1 + i) % w->n_params;
        if (w->params[at] == name || strcmp(w->params[at], name) == 0) {
            w->last_param = at;
            return (uint16_t)(at + 1);
        }
    }
    size_t n = strlen(name);
    if (w->n_params == FRAME_PARAMS_MAX || n >= FRAME_PARAM_NAME) {
        w->too_many = true;
        return 0;
    }
    w->last_param = w->n_params;
    w->params[w->n_params++] = name;
    frame_put_u8(&w->small, (uint8_t)n);
    frame_put_bytes(&w->small, name, n);
    send(w, FRAME_PARAMS, &w->small);
    return (uint16_t)w->n_params;
}

static void on_measure(void *user, const measurement *m, size_t n)
{
    worker *w = user;
    for (size_t i = 0; i < n; i++) {
        frame_put_measurement(&w->records, &m[i], m[i].param ? param_index(w, m[i].param) : 0);
        if (w->records.n >= BATCH_RECORDS * FRAME_RECORD) flush_records(w);
    }
}

static void on_step(void *user, const step_record *s)
{
    worker *w = user;
    frame_put_step(&w->steps, s);
    if (w->steps.n >= BATCH_STEPS * FRAME_STEP_RECORD) flush_steps(w);
}

static void on_predict(void *user, const prediction *p, size_t n)
{
    worker *w = user;
    for (size_t i = 0; i < n; i++) {
        frame_put_prediction(&w->predictions, &p[i], p[i].param ? param_index(w, p[i].param) : 0);
        if (w->predictions.n >= BATCH_RECORDS * FRAME_PREDICT_RECORD) flush_predictions(w);
    }
}

static bool on_progress(void *user, const progress *p)
{
    worker *w = user;
    int64_t now = now_us() / 1000;
    if (now - w->progress_ms >= PROGRESS_MS) {
        w->progress_ms = now;
        frame_put_progress(&w->small, p);
        send(w, FRAME_PROGRESS, &w->small);
    }
    return !w->broken && !w->too_many;
}

static void send_error(worker *w, const error *e)
{
    frame_put_error(&w->small, e);
    send(w, FRAME_FAILED, &w->small);
}

/* -- memory -- */

static size_t address_space(void)
{
    char text[64] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    if (!fgets(text, sizeof text, f)) text[0] = 0;
    fclose(f);
    return (size_t)strtoull(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit_memory(size_t peak_bytes, int threads)
{
/* Sanitizers map terabytes of shadow. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit lim;
    if (getrlimit(RLIMIT_AS, &lim) != 0) return;
    size_t room = ROOM_BYTES + (size_t)threads * ROOM_PER_THREAD;
    size_t all = address_space() + peak_bytes + peak_bytes / 4 + room;
    lim.rlim_cur = all < lim.rlim_max ? all : lim.rlim_max;
    setrlimit(RLIMIT_AS, &lim);
#else
    (void)peak_bytes, (void)threads, (void)address_space;
#endif
}

static void unlimit_memory(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_AS, &lim) != 0) return;
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_AS, &lim);
}

static void drop_block(worker *w)
{
    block_unmap(w->block, w->block_bytes);
    w->block = NULL;
    w->block_bytes = 0;
}

static err_code get_block(worker *w, uint64_t bytes, bool huge, error *err)
{
    if (bytes <= w->block_bytes) return ERR_OK;
    drop_block(w);
    void *p = block_map((size_t)bytes, huge);
    if (!p)
        return error_set(err, ERR_MEMORY, "",
                         "the run needs %llu bytes and the system does not give them",
                         (unsigned long long)bytes);
    w->block = p;
    w->block_bytes = (size_t)bytes;
    return ERR_OK;
}

/* -- runs -- */

static err_code get_team(worker *w, int threads, error *err)
{
    if (threads == w->team_size) return ERR_OK;
    if (w->team_size) team_stop(&w->team);
    w->team_size = 0;
    free(w->provenance);
    w->provenance = provenance_json(threads);
    if (!w->provenance) return error_set(err, ERR_MEMORY, "", "out of memory");
    err_code code = team_start(&w->team, threads, err);
    if (code == ERR_OK) w->team_size = threads;
    return code;
}

/* What the daemon accepted is not refused here for another reason than sense. */
static limits no_limits(int threads)
{
    limits lim = limits_default();
    lim.peak_bytes = UINT64_MAX;
    lim.flops = INFINITY;
    lim.depth = INT_MAX;
    lim.threads = threads;
    lim.stored = true;
    return lim;
}

static err_code
compute(worker *w, const run_spec *spec, run_summary *summary, double *wall_ms, error *err)
{
    const engine *e = engine_for(spec->precision);
    const run_input input = {w->corpus, w->corpus_bytes};
    const sink to = {.user = w,
                     .measure = on_measure,
                     .step = on_step,
                     .progress = on_progress,
                     .predict = on_predict};
    estimate cost;
    err_code code = e->estimate(spec, w->team_size, false, &cost, err);
    if (code != ERR_OK) return code;
    limit_memory(cost.peak_bytes, w->team_size);
    code = get_block(w, cost.peak_bytes, block_worth_huge(spec->train.steps + 1), err);
    int64_t start = now_us();
    if (code == ERR_OK)
        code = e->run(spec, &input, w->block, w->block_bytes, &w->team, &to, summary, err);
    *wall_ms = (double)(now_us() - start) / 1000;
    if (w->block_bytes > KEEP_BYTES) drop_block(w);
    unlimit_memory();
    return code;
}

static err_code
run_text(worker *w, const char *text, size_t n, run_summary *summary, double *wall_ms, error *err)
{
    job j;
    const limits lim = no_limits(w->team_size);
    job_init(&j);
    err_code code = reader_job(text, n, &lim, &j, err);
    if (code == ERR_OK && j.n_runs != 1)
        code = error_set(err, ERR_INTERNAL, "", "a run text with %d runs", j.n_runs);
    if (code == ERR_OK) code = compute(w, &j.runs[0].spec, summary, wall_ms, err);
    job_deinit(&j);
    return code;
}

static void serve_run(worker *w, const frame_buffer *b)
{
    error err = {0};
    run_summary summary = {0};
    double wall_ms = 0;
    err_code code;
    w->n_params = w->last_param = 0;
    w->progress_ms = 0;
    w->too_many = false;
    if (b->n < 4)
        code = error_set(&err, ERR_INTERNAL, "", "a run without a text");
    else
        code = get_team(w, (int)frame_get_u32(b->bytes), &err);
    if (code == ERR_OK)
        code = run_text(w, (const char *)b->bytes + 4, b->n - 4, &summary, &wall_ms, &err);
    if (w->too_many)
        code = error_set(&err, ERR_INTERNAL, "", "more than %d parameter names", FRAME_PARAMS_MAX);
    if (code != ERR_OK) {
        frame_buffer_reset(&w->records);
        frame_buffer_reset(&w->steps);
        frame_buffer_reset(&w->predictions);
        send_error(w, &err);
        return;
    }
    flush_predictions(w);
    flush_records(w);
    flush_steps(w);
    frame_put_done(&w->small, &summary, wall_ms, w->provenance);
    send(w, FRAME_DONE, &w->small);
}

/* Takes the payload instead of copying it: a corpus is the largest thing that is ever sent. */
static void serve_corpus(worker *w, frame_buffer *b)
{
    enum { HASH = TEXT_SHA256 - 1 };
    free(w->corpus);
    w->corpus = NULL;
    w->corpus_bytes = 0;
    if (b->n < HASH) return;
    w->corpus = b->bytes;
    w->corpus_bytes = b->n - HASH;
    memmove(w->corpus, w->corpus + HASH, w->corpus_bytes);
    *b = (frame_buffer){0};
    w->reader.size = 0;
}

/* -- the process -- */

static bool hello(worker *w)
{
    frame_put_u32(&w->small, FRAME_PROTOCOL);
    send(w, FRAME_HELLO, &w->small);
    return !w->broken;
}

static void become_worker(worker *w)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) signal(ours[i], SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        dprintf(fd, "%d", OOM_SCORE);
        close(fd);
    }
    blas_single_thread();
    w->in = 0;
    w->out = fcntl(1, F_DUPFD_CLOEXEC, 3);
    dup2(2, 1);
}

/* Everything that a run appends to is allocated before the first run. */
static bool reserve(frame_buffer *b, size_t bytes)
{
    b->bytes = malloc(bytes);
    b->cap = b->bytes ? bytes : 0;
    return b->bytes != NULL;
}

static bool serve(worker *w)
{
    error err = {0};
    frame_status st;
    while (!w->broken && (st = frame_read(&w->reader, w->in, &err)) != FRAME_EOF) {
        if (st == FRAME_BROKEN) {
            fprintf(stderr, "worker: %s\n", err.message);
            return false;
        }
        if (st != FRAME_READY) continue;
        if (w->reader.type == FRAME_RUN) serve_run(w, &w->reader.payload);
        if (w->reader.type == FRAME_CORPUS) serve_corpus(w, &w->reader.payload);
        if (w->reader.type == FRAME_PING) send(w, FRAME_PONG, &w->small);
    }
    return !w->broken;
}

int worker_main(void)
{
    worker *w = calloc(1, sizeof *w);
    if (!w) return 1;
    become_worker(w);
    frame_reader_init(&w->reader, &frame_to_worker);
    bool ok = w->out >= 0 && reserve(&w->records, (BATCH_RECORDS + 1) * FRAME_RECORD) &&
              reserve(&w->steps, (BATCH_STEPS + 1) * FRAME_STEP_RECORD) &&
              reserve(&w->predictions, (BATCH_RECORDS + 1) * FRAME_PREDICT_RECORD) &&
              reserve(&w->small, 2 * FRAME_TEXT_MAX) && hello(w) && serve(w);
    if (w->team_size) team_stop(&w->team);
    drop_block(w);
    free(w->corpus);
    free(w->provenance);
    frame_reader_deinit(&w->reader);
    frame_buffer_deinit(&w->records);
    frame_buffer_deinit(&w->steps);
    frame_buffer_deinit(&w->predictions);
    frame_buffer_deinit(&w->small);
    free(w);
    return ok ? 0 : 1;
}
