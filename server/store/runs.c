/* Runs in the store: claimed, finished with their results, failed, queued again. */
#include "server/store/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void claimed_run_deinit(claimed_run *r)
{
    free(r->spec);
    *r = (claimed_run){0};
}

/* -- claim -- */

static err_code read_claim(claimed_run *out, sqlite3_stmt *st, error *err)
{
    out->run_id = sqlite3_column_int64(st, 0);
    out->job_id = sqlite3_column_int64(st, 1);
    out->attempts = sqlite3_column_int(st, 2);
    out->spec = store_column_dup(st, 3);
    out->peak_bytes = (uint64_t)sqlite3_column_int64(st, 4);
    out->rows_max = (uint64_t)sqlite3_column_int64(st, 5);
    out->flops = sqlite3_column_double(st, 6);
    out->depth = sqlite3_column_int(st, 7);
    out->steps = sqlite3_column_int(st, 8);
    store_column_copy(out->corpus, sizeof out->corpus, st, 9);
    store_column_copy(out->corpus_hash, sizeof out->corpus_hash, st, 10);
    return out->spec ? ERR_OK : error_set(err, ERR_MEMORY, "", "cannot claim a run: out of memory");
}

static err_code next_run(store *s, uint64_t peak_bytes, claimed_run *out, bool *found, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_NEXT_RUN, err);
    if (!st) return ERR_STORE;
    int rc = sqlite3_step(st);
    err_code code = ERR_OK;
    if (rc == SQLITE_ROW && (uint64_t)sqlite3_column_int64(st, 4) <= peak_bytes) {
        code = read_claim(out, st, err);
        *found = code == ERR_OK;
    } else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        code = store_fault(s, s->db, rc, "look for a queued run", err);
    sqlite3_reset(st);
    return code;
}

static err_code mark_claimed(store *s, const claimed_run *r, error *err)
{
    char now[STORE_TIME];
    store_now(now);
    sqlite3_stmt *st = store_stmt(s, SQL_CLAIM_RUN, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, r->run_id);
    store_bind_text(st, 2, now);
    err_code code = store_do(s, st, "claim a run", err);
    if (code != ERR_OK) return code;
    st = store_stmt(s, SQL_START_JOB, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, r->job_id);
    store_bind_text(st, 2, now);
    return store_do(s, st, "claim a run", err);
}

/* Looks before it begins a transaction: only the scheduler takes runs out of the queue, so what was
 * seen can at most have been cancelled meanwhile, which next_run inside the transaction notices. */
static err_code peek(store *s, uint64_t peak_bytes, bool *worth, error *err)
{
    sqlite3_stmt *st;
    err_code code = ERR_OK;
    pthread_mutex_lock(&s->lock);
    st = store_stmt(s, SQL_NEXT_RUN, err);
    int rc = st ? sqlite3_step(st) : SQLITE_ERROR;
    *worth = rc == SQLITE_ROW && (uint64_t)sqlite3_column_int64(st, 4) <= peak_bytes;
    if (!st)
        code = ERR_STORE;
    else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        code = store_fault(s, s->db, rc, "look for a queued run", err);
    if (st) sqlite3_reset(st);
    pthread_mutex_unlock(&s->lock);
    return code;
}

err_code store_claim_run(store *s, uint64_t peak_bytes, claimed_run *out, bool *found, error *err)
{
    bool worth = false;
    *found = false;
    *out = (claimed_run){0};
    err_code code = peek(s, peak_bytes, &worth, err);
    if (code != ERR_OK || !worth) return code;
    code = store_begin_unsynced(s, err);
    if (code != ERR_OK) return code;
    code = next_run(s, peak_bytes, out, found, err);
    if (code == ERR_OK && *found) code = mark_claimed(s, out, err);
    code = store_end_unsynced(s, code, err);
    if (code != ERR_OK) {
        claimed_run_deinit(out);
        *found = false;
    }
    return code;
}

/* -- results -- */

/* NaN has no place in SQL: it is NULL with a reason. An infinity is a number there. */
static void bind_value(store *s, sqlite3_stmt *st, int i, double value, reason why)
{
    if (why == REASON_NONE) why = reason_of(value);
    if (isnan(value) || (why != REASON_NONE && isfinite(value)))
        sqlite3_bind_null(st, i);
    else
        sqlite3_bind_double(st, i, value);
    if (why == REASON_NONE)
        sqlite3_bind_null(st, i + 1);
    else
        sqlite3_bind_int64(st, i + 1, s->reason_ids[why]);
}

static bool known(const measurement *m)
{
    return (unsigned)m->site < SITE_COUNT && (unsigned)m->metric < METRIC_COUNT &&
           (unsigned)m->reason < REASON_COUNT && (unsigned)m->item_kind < ITEM_COUNT;
}

static err_code twice(const char *what, int step, int layer, error *err)
{
    return error_set(err, ERR_INTERNAL, "", "%s was reported twice (step %d, layer %d)", what, step,
                     layer);
}

/* The id of a parameter (0: none); last and its id are kept from row to row. */
static err_code
param_of(store *s, const char *param, const char **last, int64_t *param_id, error *err)
{
    if (param == *last) return ERR_OK;
    err_code code = ERR_OK;
    *param_id = 0;
    if (param) code = store_dict_param(s, param, param_id, err);
    *last = param;
    return code;
}

static err_code add_measurements(store *s, int64_t run_id, const run_result *r, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_MEASUREMENT, err);
    if (!st) return ERR_STORE;
    const char *last = NULL;
    int64_t param_id = 0;
    sqlite3_bind_int64(st, 1, run_id);
    for (size_t i = 0; i < r->n_measurements; i++) {
        const measurement *m = &r->measurements[i];
        if (!known(m)) return error_set(err, ERR_INTERNAL, "", "a measurement has no name");
        err_code code = param_of(s, m->param, &last, &param_id, err);
        if (code != ERR_OK) return code;
        sqlite3_bind_int(st, 2, m->step);
        sqlite3_bind_int(st, 3, m->layer);
        sqlite3_bind_int64(st, 4, s->site_ids[m->site]);
        sqlite3_bind_int64(st, 5, s->metric_ids[m->metric]);
        sqlite3_bind_int64(st, 6, param_id);
        bind_value(s, st, 7, m->value, m->reason);
        sqlite3_bind_int(st, 9, m->item);
        sqlite3_bind_int64(st, 10, s->item_kind_ids[m->item_kind]);
        int rc = sqlite3_step(st);
        sqlite3_reset(st);
        if (rc == SQLITE_CONSTRAINT_PRIMARYKEY)
            return twice(metric_registry.rows[m->metric]->name, m->step, m->layer, err);
        if (rc != SQLITE_DONE) return store_fault(s, s->db, rc, "store a measurement", err);
    }
    return ERR_OK;
}

static err_code add_predictions(store *s, int64_t run_id, const run_result *r, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_PREDICTION, err);
    if (!st) return ERR_STORE;
    const char *last = NULL;
    int64_t param_id = 0;
    sqlite3_bind_int64(st, 1, run_id);
    for (size_t i = 0; i < r->n_predictions; i++) {
        const prediction *p = &r->predictions[i];
        if ((unsigned)p->site >= SITE_COUNT || (unsigned)p->metric >= METRIC_COUNT ||
            (unsigned)p->reason >= REASON_COUNT || (unsigned)p->law >= LAW_COUNT)
            return error_set(err, ERR_INTERNAL, "", "a prediction has no name");
        err_code code = param_of(s, p->param, &last, &param_id, err);
        if (code != ERR_OK) return code;
        sqlite3_bind_int(st, 2, p->layer);
        sqlite3_bind_int64(st, 3, s->site_ids[p->site]);
        sqlite3_bind_int64(st, 4, s->metric_ids[p->metric]);
        bind_value(s, st, 5, p->value, p->reason);
        sqlite3_bind_double(st, 7, p->tolerance);
        sqlite3_bind_int64(st, 8, s->law_ids[p->law]);
        sqlite3_bind_int64(st, 9, param_id);
        int rc = sqlite3_step(st);
        sqlite3_reset(st);
        if (rc == SQLITE_CONSTRAINT_PRIMARYKEY)
            return twice(metric_registry.rows[p->metric]->name, 0, p->layer, err);
        if (rc != SQLITE_DONE) return store_fault(s, s->db, rc, "store a prediction", err);
    }
    return ERR_OK;
}

/* After the last update nothing needs a gradient: the engine then gives NaN and no learning rate.
 */
static reason grad_reason(const step_record *t)
{
    return isnan(t->grad_norm) && t->lr == 0 && isfinite(t->loss) ? REASON_ABSENT : REASON_NONE;
}

static err_code add_steps(store *s, int64_t run_id, const run_result *r, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_STEP, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, run_id);
    for (size_t i = 0; i < r->n_steps; i++) {
        const step_record *t = &r->steps[i];
        sqlite3_bind_int(st, 2, t->step);
        bind_value(s, st, 3, t->loss, REASON_NONE);
        sqlite3_bind_double(st, 5, t->lr);
        bind_value(s, st, 6, t->grad_norm, grad_reason(t));
        int rc = sqlite3_step(st);
        sqlite3_reset(st);
        if (rc == SQLITE_CONSTRAINT_PRIMARYKEY) return twice("a step", t->step, -1, err);
        if (rc != SQLITE_DONE) return store_fault(s, s->db, rc, "store a step", err);
    }
    return ERR_OK;
}

/* Steps an UPDATE ... RETURNING job_id that is guarded by the run's state. */
static err_code transition(store *s, sqlite3_stmt *st, int64_t run_id, int64_t *job_id, error *err)
{
    int rc = sqlite3_step(st);
    bool moved = rc == SQLITE_ROW;
    if (moved) {
        *job_id = sqlite3_column_int64(st, 0);
        rc = sqlite3_step(st);
    }
    err_code code = ERR_OK;
    if (rc != SQLITE_DONE)
        code = store_fault(s, s->db, rc, "update a run", err);
    else if (!moved)
        code = error_set(err, ERR_CONFLICT, "", "run %lld is not running", (long long)run_id);
    sqlite3_reset(st);
    return code;
}

static err_code
finish_run(store *s, int64_t run_id, const run_result *r, skipped_runs *skipped, error *err)
{
    char now[STORE_TIME];
    const run_summary *u = &r->summary;
    int64_t job_id = 0;
    store_now(now);
    sqlite3_stmt *st = store_stmt(s, SQL_FINISH_RUN, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, run_id);
    store_bind_text(st, 2, now);
    sqlite3_bind_double(st, 3, r->wall_ms);
    sqlite3_bind_int(st, 4, u->diverged);
    if (u->diverged) {
        sqlite3_bind_int(st, 5, u->diverged_step);
        sqlite3_bind_int(st, 6, u->diverged_layer);
        if ((unsigned)u->diverged_site < SITE_COUNT)
            store_bind_text(st, 7, site_registry.rows[u->diverged_site]->name);
    }
    sqlite3_bind_int(st, 8, u->steps_done);
    store_bind_text(st, 9, r->provenance);
    store_bind_text(st, 10, r->corpus_hash);
    err_code code = transition(s, st, run_id, &job_id, err);
    if (code == ERR_OK) code = add_measurements(s, run_id, r, err);
    if (code == ERR_OK) code = add_predictions(s, run_id, r, err);
    if (code == ERR_OK) code = add_steps(s, run_id, r, err);
    if (code == ERR_OK && r->rules) code = store_judge_run(s, run_id, r, err);
    if (code == ERR_OK && r->rules) code = store_skip_runs(s, job_id, run_id, skipped, err);
    if (code == ERR_OK) code = store_derive_job(s, job_id, err);
    return code;
}

err_code store_finish_run_and_skip(
    store *s, int64_t run_id, const run_result *r, skipped_runs *skipped, error *err)
{
    *skipped = (skipped_runs){0};
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    code = store_end(s, finish_run(s, run_id, r, skipped, err), err);
    if (code != ERR_OK) *skipped = (skipped_runs){0};
    return code;
}

err_code store_finish_run(store *s, int64_t run_id, const run_result *r, error *err)
{
    skipped_runs skipped;
    return store_finish_run_and_skip(s, run_id, r, &skipped, err);
}

static err_code fail_run(store *s, int64_t run_id, const error *why, error *err)
{
    char now[STORE_TIME], name[32];
    int64_t job_id = 0;
    store_now(now);
    const char *upper = error_name(why->code);
    size_t n = 0;
    for (; upper[n] && n < sizeof name - 1; n++)
        name[n] = upper[n] >= 'A' && upper[n] <= 'Z' ? (char)(upper[n] + 32) : upper[n];
    name[n] = 0;
    sqlite3_stmt *st = store_stmt(s, SQL_FAIL_RUN, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, run_id);
    store_bind_text(st, 2, now);
    store_bind_text(st, 3, name);
    store_bind_text(st, 4, error_sentence(why->code));
    sqlite3_bind_text(st, 5, why->message, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 6, why->pointer, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 7, why->code == ERR_WORKER);
    err_code code = transition(s, st, run_id, &job_id, err);
    return code ? code : store_derive_job(s, job_id, err);
}

err_code store_fail_run(store *s, int64_t run_id, const error *why, error *err)
{
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    return store_end(s, fail_run(s, run_id, why, err), err);
}

/* -- back to the queue -- */

static err_code requeue_run(store *s, int64_t run_id, bool count_attempt, error *err)
{
    int64_t job_id = 0;
    sqlite3_stmt *st = store_stmt(s, SQL_REQUEUE_RUN, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, run_id);
    sqlite3_bind_int(st, 2, count_attempt);
    err_code code = transition(s, st, run_id, &job_id, err);
    return code ? code : store_derive_job(s, job_id, err);
}

err_code store_requeue_run(store *s, int64_t run_id, bool count_attempt, error *err)
{
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    return store_end(s, requeue_run(s, run_id, count_attempt, err), err);
}

err_code store_recover(store *s, error *err)
{
    static const store_sql statements[] = {SQL_RECOVER_RUNS, SQL_RECOVER_JOBS};
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    for (int i = 0; i < 2 && code == ERR_OK; i++) {
        sqlite3_stmt *st = store_stmt(s, statements[i], err);
        code = st ? store_do(s, st, "recover the queue", err) : ERR_STORE;
    }
    return store_end(s, code, err);
}
