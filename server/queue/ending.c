/* What becomes of runs, written to the store; kept and tried again when the store cannot take it.
 */
#include "server/queue/internal.h"
#include "server/store/judgement.h"

#include <stdlib.h>

void ending_add(scheduler *s, slot *t, ending_kind kind, const error *why)
{
    ending *v = &s->endings[s->n_endings++];
    *v = (ending){.kind = kind, .run = t->run, .in = t->in, .reported = t->reported};
    if (why) v->why = *why;
    t->run = (claimed_run){0};
    t->in = (intake){0};
    t->reported = 0;
}

/* The result with what the rules make of it. */
static err_code finish(scheduler *s, ending *v, error *err)
{
    run_result r = intake_result(&v->in);
    judgement *j = calloc(1, sizeof *j);
    if (!j) return error_set(err, ERR_MEMORY, "", "no memory for a verdict");
    err_code code = judgement_make(j, v->run.spec, &r, err);
    if (code == ERR_OK) {
        r.rules = &j->rules;
        r.findings = j->findings;
        r.level = j->level;
    }
    /* What cannot be judged is still a result. */
    if (code != ERR_MEMORY)
        code = store_finish_run_and_skip(s->store, v->run.run_id, &r, &v->skipped, err);
    judgement_deinit(j);
    free(j);
    return code;
}

static err_code write_one(scheduler *s, ending *v, error *err)
{
    switch (v->kind) {
    case ENDING_FINISH:
        return finish(s, v, err);
    case ENDING_FAIL:
        return store_fail_run(s->store, v->run.run_id, &v->why, err);
    case ENDING_REQUEUE:
    case ENDING_DEATH:
        break;
    }
    return store_requeue_run(s->store, v->run.run_id, v->kind == ENDING_DEATH, err);
}

static void tell_live(scheduler *s, const ending *v)
{
    static const live_end ends[] = {[ENDING_FINISH] = LIVE_DONE,
                                    [ENDING_FAIL] = LIVE_FAILED,
                                    [ENDING_REQUEUE] = LIVE_REQUEUED,
                                    [ENDING_DEATH] = LIVE_REQUEUED};
    live_skipped(&s->live, v->run.job_id, v->skipped.n, v->skipped.flops);
    live_ended(&s->live, v->run.job_id, ends[v->kind], v->run.flops, v->reported);
}

/* True when it is settled. */
static bool settle(scheduler *s, ending *v)
{
    error err = {0};
    err_code code = write_one(s, v, &err);
    if (code == ERR_INTERNAL && v->kind == ENDING_FINISH) {
        v->kind = ENDING_FAIL;
        v->why = err;
        code = write_one(s, v, &err);
    }
    if (code == ERR_OK) tell_live(s, v);
    if (code == ERR_OK || code == ERR_CONFLICT) return true; /* conflict: cancelled meanwhile */
    if (!s->stuck)
        scheduler_log(s, "run %lld: %s; trying again", (long long)v->run.run_id, err.message);
    return false;
}

void ending_write_all(scheduler *s)
{
    int kept = 0;
    for (int i = 0; i < s->n_endings; i++) {
        ending *v = &s->endings[i];
        if (kept == 0 && settle(s, v)) {
            claimed_run_deinit(&v->run);
            intake_free(&v->in);
        } else
            s->endings[kept++] = *v;
    }
    s->n_endings = kept;
    s->stuck = kept > 0;
    if (kept) s->retry_ms = live_clock_ms() + RETRY_MS;
}
