/* One worker process and the run it computes. */
#include "server/queue/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_run(const slot *t)
{
    return t->run.run_id != 0;
}

/* A worker ended on this run: once may be chance, twice is the run's fault. */
static void count_death(scheduler *s, slot *t, const char *how)
{
    error why = {0};
    if (t->run.attempts + 1 < DEATHS_MAX) {
        ending_add(s, t, ENDING_DEATH, NULL);
        return;
    }
    error_set(&why, ERR_WORKER, "",
              "the worker process %s; it is the second one that ended on this run", how);
    ending_add(s, t, ENDING_FAIL, &why);
}

void slot_kill(scheduler *s, slot *t, const char *why)
{
    if (t->state == SLOT_EMPTY || t->state == SLOT_DYING) return;
    scheduler_log(s, "worker %d: killed, it %s", (int)t->p.pid, why);
    proc_kill(&t->p, why);
    if (has_run(t)) count_death(s, t, why);
    t->state = SLOT_DYING;
}

void slot_drop(slot *t)
{
    proc_kill(&t->p, "was stopped");
    claimed_run_deinit(&t->run);
    intake_free(&t->in);
    t->reported = 0;
    if (t->state != SLOT_EMPTY) t->state = SLOT_DYING;
}

void slot_spawn(scheduler *s, slot *t)
{
    error err = {0};
    int64_t now = live_clock_ms();
    t->corpus_hash[0] = 0;
    t->pinged_ms = t->eof_ms = 0;
    t->seen_ms = now;
    t->silence_ms = (int64_t)(s->o.hang_s * 1000);
    if (proc_spawn(&t->p, &s->command, &err) == ERR_OK) {
        t->state = SLOT_STARTING;
        return;
    }
    scheduler_log(s, "%s", err.message);
    t->backoff_ms = t->backoff_ms ? 2 * t->backoff_ms : BACKOFF_MIN_MS;
    if (t->backoff_ms > BACKOFF_MAX_MS) t->backoff_ms = BACKOFF_MAX_MS;
    t->spawn_ms = now + t->backoff_ms;
    pthread_mutex_lock(&s->lock);
    s->start_error = err;
    pthread_mutex_unlock(&s->lock);
}

void slot_reap(scheduler *s, slot *t)
{
    char how[PROC_WHY];
    if (!proc_reap(&t->p, how)) return;
    if (t->state != SLOT_DYING) scheduler_log(s, "a worker %s", how);
    bool useless = t->state == SLOT_STARTING || t->state == SLOT_IDLE;
    if (has_run(t)) count_death(s, t, how);
    t->state = SLOT_EMPTY;
    t->held_bytes = 0;
    t->spawn_ms = live_clock_ms();
    if (!useless) return;
    t->backoff_ms = t->backoff_ms ? 2 * t->backoff_ms : BACKOFF_MIN_MS;
    if (t->backoff_ms > BACKOFF_MAX_MS) t->backoff_ms = BACKOFF_MAX_MS;
    t->spawn_ms += t->backoff_ms;
}

/* -- a run -- */

/* What the worker has already is not sent again. ERR_NOT_FOUND: gone for good. */
static err_code send_corpus(scheduler *s, slot *t, const claimed_run *run, error *err)
{
    if (!run->corpus[0] || strcmp(t->corpus_hash, run->corpus_hash) == 0) return ERR_OK;
    if (!s->text || strcmp(s->text->hash, run->corpus_hash) != 0) {
        proc_text *text = calloc(1, sizeof *text);
        if (!text) return error_set(err, ERR_MEMORY, "", "no memory for a corpus");
        void *bytes;
        text->references = 1;
        err_code code = store_get_corpus(s->store, run->corpus, &bytes, &text->n, text->hash, err);
        text->bytes = bytes;
        if (code == ERR_OK && strcmp(text->hash, run->corpus_hash) != 0)
            code = error_set(err, ERR_NOT_FOUND, "/data/corpus", "corpus \"%s\" has changed",
                             run->corpus);
        if (code != ERR_OK) {
            proc_text_unref(text);
            return code;
        }
        proc_text_unref(s->text);
        s->text = text;
    }
    err_code code = proc_send(&t->p, FRAME_CORPUS, s->text->hash, TEXT_SHA256 - 1, s->text, err);
    if (code == ERR_OK) memcpy(t->corpus_hash, s->text->hash, TEXT_SHA256);
    return code;
}

static err_code send_run(scheduler *s, slot *t, const claimed_run *run, error *err)
{
    frame_buffer b = {0};
    frame_put_u32(&b, (uint32_t)s->o.threads);
    frame_put_bytes(&b, run->spec, strlen(run->spec));
    err_code code = b.failed ? error_set(err, ERR_MEMORY, "", "no memory for a run")
                             : proc_send(&t->p, FRAME_RUN, b.bytes, b.n, NULL, err);
    frame_buffer_deinit(&b);
    return code;
}

/* Progress comes at least once per block of each pass: a block of a giant model may take longer
 * than hang_s, at the pace of a slow machine. */
static int64_t silence_ms(const scheduler *s, const claimed_run *run)
{
    const double slow = 1e9; /* flop/s */
    double blocks = (run->steps + 1.0) * (run->depth + 1.0);
    double extra = 2000 * run->flops / blocks / slow;
    return (int64_t)(s->o.hang_s * 1000 + (extra < 1e10 ? extra : 1e10));
}

void slot_give(scheduler *s, slot *t, claimed_run *run)
{
    error err = {0};
    err_code code = send_corpus(s, t, run, &err);
    if (code == ERR_OK) code = send_run(s, t, run, &err);
    t->run = *run;
    *run = (claimed_run){0};
    if (code == ERR_NOT_FOUND) {
        ending_add(s, t, ENDING_FAIL, &err);
        s->again = true;
        return;
    }
    if (code != ERR_OK) { /* memory or store: later perhaps */
        ending_add(s, t, ENDING_REQUEUE, NULL);
        s->retry_ms = live_clock_ms() + RETRY_MS;
        scheduler_log(s, "%s", err.message);
        return;
    }
    intake_begin(&t->in, t->run.rows_max, t->run.steps);
    t->state = SLOT_BUSY;
    t->reported = 0;
    t->seen_ms = live_clock_ms();
    t->silence_ms = silence_ms(s, &t->run);
    t->held_bytes = t->run.peak_bytes;
    slot_write(t);
}

static void run_ended(scheduler *s, slot *t, ending_kind kind, const error *why)
{
    ending_add(s, t, kind, why);
    t->state = SLOT_IDLE;
    t->held_bytes = 0;
    t->backoff_ms = 0;
    t->silence_ms = (int64_t)(s->o.hang_s * 1000);
}

/* -- frames -- */

static void sign_of_life(scheduler *s, int64_t now)
{
    pthread_mutex_lock(&s->lock);
    s->sign_ms = now;
    pthread_mutex_unlock(&s->lock);
}

static err_code on_progress(scheduler *s, slot *t, const frame_buffer *b, error *err)
{
    progress p;
    err_code code = frame_get_progress(&p, b, err);
    if (code != ERR_OK) return code;
    double computed = p.fraction * t->run.flops;
    live_progress(&s->live, t->run.job_id, &p, computed - t->reported);
    t->reported = computed;
    return ERR_OK;
}

static err_code on_busy_frame(scheduler *s, slot *t, const frame_buffer *b, error *err)
{
    error why = {0};
    err_code code;
    switch (t->p.reader.type) {
    case FRAME_PROGRESS:
        return on_progress(s, t, b, err);
    case FRAME_PARAMS:
        return intake_params(&t->in, b, err);
    case FRAME_MEASURE:
        return intake_rows(&t->in, b, err);
    case FRAME_PREDICT:
        return intake_predictions(&t->in, b, err);
    case FRAME_STEP:
        return intake_steps(&t->in, b, err);
    case FRAME_DONE:
        code = intake_done(&t->in, b, err);
        if (code == ERR_OK) run_ended(s, t, ENDING_FINISH, NULL);
        return code;
    case FRAME_FAILED:
        code = frame_get_error(&why, b, err);
        if (code == ERR_OK) run_ended(s, t, ENDING_FAIL, &why);
        return code;
    default:
        return error_set(err, ERR_WORKER, "", "it sent a frame that no run sends");
    }
}

static err_code on_frame(scheduler *s, slot *t, int64_t now, error *err)
{
    const frame_buffer *b = &t->p.reader.payload;
    frame_type type = t->p.reader.type;
    if (type == FRAME_HELLO && t->state == SLOT_STARTING) {
        if (b->n != 4 || frame_get_u32(b->bytes) != FRAME_PROTOCOL)
            return error_set(err, ERR_WORKER, "", "it speaks another protocol");
        t->state = SLOT_IDLE;
    } else if (type == FRAME_PONG && t->pinged_ms) {
        t->pinged_ms = 0;
        t->backoff_ms = 0;
    } else if (t->state == SLOT_BUSY) {
        err_code code = on_busy_frame(s, t, b, err);
        if (code != ERR_OK) return code;
    } else
        return error_set(err, ERR_WORKER, "", "it sent a frame of type %d unasked", (int)type);
    sign_of_life(s, now);
    return ERR_OK;
}

/* No memory on our side is not the run's fault: it is queued again, uncounted, after a pause. */
static void give_up(scheduler *s, slot *t, const error *err)
{
    char why[PROC_WHY];
    if (err->code == ERR_MEMORY && has_run(t)) {
        scheduler_log(s, "%s", err->message);
        ending_add(s, t, ENDING_REQUEUE, NULL);
        s->retry_ms = live_clock_ms() + RETRY_MS;
    }
    snprintf(why, sizeof why, "sent garbage: %.120s", err->message);
    slot_kill(s, t, why);
}

static void pipe_ended(slot *t)
{
    if (t->eof_ms == 0) t->eof_ms = live_clock_ms();
}

bool slot_read(scheduler *s, slot *t)
{
    error err = {0};
    int64_t now = live_clock_ms();
    for (int i = 0; i < FRAMES_AT_ONCE; i++) {
        if (t->p.out_fd < 0 || t->eof_ms || t->state == SLOT_DYING) return false;
        switch (frame_read(&t->p.reader, t->p.out_fd, &err)) {
        case FRAME_AGAIN:
            return false;
        case FRAME_EOF:
            pipe_ended(t);
            return false;
        case FRAME_BROKEN:
            /* Half a frame and then the end: how the process ended says more than that. */
            if (t->p.reader.eof)
                pipe_ended(t);
            else
                give_up(s, t, &err);
            return false;
        case FRAME_READY:
            t->seen_ms = now;
            if (on_frame(s, t, now, &err) != ERR_OK) give_up(s, t, &err);
            break;
        }
    }
    return true;
}

void slot_write(slot *t)
{
    /* A broken pipe is followed by the end of the process, which says why. */
    if (!proc_flush(&t->p)) pipe_ended(t);
}
