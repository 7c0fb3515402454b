/* Jobs in the store: add, find, delete, cancel, and the state that follows from the runs. */
#include "server/job/differs.h"
#include "server/job/field.h"
#include "server/job/reader.h"
#include "server/machine/version.h"
#include "server/store/internal.h"
#include "server/verdict/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *choice(const run_spec *spec, const char *kind, int row)
{
    const registry *const *all = engine_for(spec->precision)->registries;
    for (; *all; all++)
        if (strcmp((*all)->kind, kind) == 0)
            return row >= 0 && row < (*all)->n ? (*all)->rows[row]->name : NULL;
    return NULL;
}

static int64_t as_int64(uint64_t v)
{
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

err_code store_derive_job(store *s, int64_t job_id, error *err)
{
    char now[STORE_TIME];
    store_now(now);
    sqlite3_stmt *st = store_stmt(s, SQL_DERIVE_JOB, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, job_id);
    err_code code = store_do(s, st, "update a job", err);
    if (code != ERR_OK) return code;
    st = store_stmt(s, SQL_END_JOB, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, job_id);
    store_bind_text(st, 2, now);
    code = store_do(s, st, "update a job", err);
    return code ? code : store_judge_job(s, job_id, err);
}

/* -- add -- */

/* What a run reads, as it is now. hash "" when it reads nothing. */
static err_code find_corpus(store *s, const run_spec *spec, char hash[TEXT_SHA256], error *err)
{
    const char *name = spec->data.corpus;
    hash[0] = 0;
    if (!*name) return ERR_OK;
    sqlite3_stmt *st = store_stmt(s, SQL_CORPUS_OF, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, name);
    int rc = sqlite3_step(st);
    int64_t bytes = 0;
    if (rc == SQLITE_ROW) {
        store_column_copy(hash, TEXT_SHA256, st, 0);
        bytes = sqlite3_column_int64(st, 1);
    }
    sqlite3_reset(st);
    if (rc == SQLITE_DONE)
        return error_set(err, ERR_NOT_FOUND, "/data/corpus",
                         "there is no corpus \"%s\"; upload it with PUT /api/v1/corpora/%s", name,
                         name);
    if (rc != SQLITE_ROW) return store_fault(s, s->db, rc, "look up a corpus", err);
    if (bytes < (int64_t)spec->data.seq_len + 2)
        return error_set(err, ERR_RANGE, "/data/corpus",
                         "corpus \"%s\" has %lld bytes; seq_len %d needs at least %d", name,
                         (long long)bytes, spec->data.seq_len, spec->data.seq_len + 2);
    return ERR_OK;
}

/* NULL where the network has nothing of the kind. */
static void bind_if_used(sqlite3_stmt *st, int at, const run_spec *p, field_id id, int value)
{
    if (field_means(&field_table[id], engine_for(p->precision)->uses(p)))
        sqlite3_bind_int(st, at, value);
    else
        sqlite3_bind_null(st, at);
}

static const char *choice_if_used(const run_spec *p, const char *kind, field_id id, int row)
{
    bool means = field_means(&field_table[id], engine_for(p->precision)->uses(p));
    return means ? choice(p, kind, row) : NULL;
}

static void bind_choices(sqlite3_stmt *st, const run_spec *p)
{
    store_bind_text(st, 5, choice(p, "models", p->model.family));
    store_bind_text(st, 6, p->model.mask == MASK_CAUSAL ? "causal" : "bidirectional");
    store_bind_text(st, 7, choice(p, "placements", p->strategy.placement));
    store_bind_text(st, 8, choice(p, "norms", p->strategy.norm));
    sqlite3_bind_int(st, 9, p->depth);
    sqlite3_bind_int(st, 10, p->model.d_model);
    bind_if_used(st, 11, p, FIELD_model_n_heads, p->model.n_heads);
    bind_if_used(st, 12, p, FIELD_model_d_ff, p->model.d_ff);
    store_bind_text(st, 13,
                    choice_if_used(p, "positions", FIELD_model_position, p->model.position));
    store_bind_text(st, 14,
                    choice_if_used(p, "activations", FIELD_model_activation, p->model.activation));
    store_bind_text(st, 15, choice(p, "inits", p->init.scheme));
    store_bind_text(st, 16, choice(p, "data_sources", p->data.source));
    sqlite3_bind_int(st, 17, p->data.batch);
    sqlite3_bind_int(st, 18, p->data.seq_len);
    store_bind_text(st, 19, choice(p, "losses", p->train.loss));
    store_bind_text(st, 20, choice(p, "optimizers", p->train.optimizer));
    sqlite3_bind_double(st, 21, p->train.lr);
    sqlite3_bind_int(st, 22, p->train.steps);
    store_bind_text(st, 23, p->precision == PRECISION_FLOAT64 ? "float64" : "float32");
}

static err_code add_run(store *s, int64_t job_id, int idx, const job *j, error *err)
{
    const job_run *r = &j->runs[idx];
    char hash[TEXT_SHA256];
    err_code code = find_corpus(s, &r->spec, hash, err);
    if (code != ERR_OK) return code;
    char *spec = reader_run_text_with(&r->spec, j->expect);
    if (!spec) return error_set(err, ERR_MEMORY, "", "cannot store run %d: out of memory", idx);
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_RUN, err);
    if (!st) {
        free(spec);
        return ERR_STORE;
    }
    sqlite3_bind_int64(st, 1, job_id);
    sqlite3_bind_int(st, 2, idx);
    sqlite3_bind_text(st, 3, r->arm[0] ? r->arm : "{}", -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, as_int64(r->spec.seed));
    bind_choices(st, &r->spec);
    sqlite3_bind_text(st, 24, spec, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 25, as_int64(r->cost.parameters));
    sqlite3_bind_double(st, 26, r->cost.flops);
    sqlite3_bind_int64(st, 27, as_int64(r->cost.peak_bytes));
    sqlite3_bind_int64(st, 28, as_int64(r->cost.measurements));
    store_bind_text(st, 29, r->spec.data.corpus);
    store_bind_text(st, 30, hash);
    code = store_do(s, st, "store a run", err);
    sqlite3_clear_bindings(st);
    free(spec);
    return code;
}

static err_code insert_job(store *s, const job *j, const char *request, int64_t *id, error *err)
{
    char now[STORE_TIME];
    store_now(now);
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_JOB, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, j->hash);
    sqlite3_bind_text(st, 2, j->name, -1, SQLITE_STATIC);
    store_bind_text(st, 3, now);
    sqlite3_bind_text(st, 4, request ? request : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, j->resolved ? j->resolved : "", -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 6, j->n_runs);
    json_out differs = {0};
    job_differs(&differs, j);
    store_bind_text(st, 7, differs.text);
    err_code code = store_do(s, st, "store a job", err);
    sqlite3_clear_bindings(st);
    json_deinit(&differs);
    if (code != ERR_OK) return code;
    *id = sqlite3_last_insert_rowid(s->db);
    for (int i = 0; i < j->n_runs && code == ERR_OK; i++) code = add_run(s, *id, i, j, err);
    return code;
}

/* An equal job whose results another build computed is not found: equal bits are promised for one
 * build, and a corrected engine must not be answered with old numbers. */
static err_code find_job(store *s, const job *j, int64_t *id, bool *found, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_FIND_JOB, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, j->hash);
    store_bind_text(st, 2, version_build());
    int rc = sqlite3_step(st);
    *found = rc == SQLITE_ROW;
    if (*found) *id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) return ERR_OK;
    return store_fault(s, s->db, rc, "look up a job", err);
}

err_code
store_add_job(store *s, const job *j, const char *request, int64_t *id, bool *existing, error *err)
{
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    code = find_job(s, j, id, existing, err);
    if (code == ERR_OK && !*existing) code = insert_job(s, j, request, id, err);
    return store_end(s, code, err);
}

err_code store_find_job(store *s, const job *j, int64_t *id, bool *found, error *err)
{
    pthread_mutex_lock(&s->lock);
    err_code code = find_job(s, j, id, found, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

/* -- delete and cancel -- */

static bool is_active(const char *state)
{
    return strcmp(state, "queued") == 0 || strcmp(state, "running") == 0;
}

static err_code read_state(store *s, int64_t id, char state[16], error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_JOB_STATE_OF, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, id);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) store_column_copy(state, 16, st, 0);
    sqlite3_reset(st);
    if (rc == SQLITE_ROW) return ERR_OK;
    if (rc == SQLITE_DONE)
        return error_set(err, ERR_NOT_FOUND, "", "there is no job %lld", (long long)id);
    return store_fault(s, s->db, rc, "look up a job", err);
}

static err_code delete_job(store *s, int64_t id, error *err)
{
    char state[16];
    err_code code = read_state(s, id, state, err);
    if (code != ERR_OK) return code;
    if (is_active(state))
        return error_set(err, ERR_CONFLICT, "", "job %lld is %s; cancel it first", (long long)id,
                         state);
    sqlite3_stmt *st = store_stmt(s, SQL_DELETE_JOB, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, id);
    return store_do(s, st, "delete a job", err);
}

err_code store_delete_job(store *s, int64_t id, error *err)
{
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    return store_end(s, delete_job(s, id, err), err);
}

static err_code cancel_job(store *s, int64_t id, bool *was_active, error *err)
{
    static const store_sql statements[] = {SQL_CANCEL_RUNS, SQL_CANCEL_JOB};
    char state[16], now[STORE_TIME];
    err_code code = read_state(s, id, state, err);
    if (code != ERR_OK) return code;
    *was_active = is_active(state);
    if (!*was_active) return ERR_OK;
    store_now(now);
    for (int i = 0; i < 2 && code == ERR_OK; i++) {
        sqlite3_stmt *st = store_stmt(s, statements[i], err);
        if (!st) return ERR_STORE;
        sqlite3_bind_int64(st, 1, id);
        store_bind_text(st, 2, now);
        code = store_do(s, st, "cancel a job", err);
    }
    return code;
}

err_code store_cancel_job(store *s, int64_t job_id, bool *was_active, error *err)
{
    *was_active = false;
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    return store_end(s, cancel_job(s, job_id, was_active, err), err);
}

/* -- counts -- */

#define STATE_COLUMNS                                                                              \
    "SELECT j.id, j.state, j.runs_total, sum(r.state = 'queued'), sum(r.state = 'running'), "      \
    "sum(r.state = 'done'), sum(r.state = 'failed'), sum(r.state = 'cancelled'), total(r.flops), " \
    "total(CASE WHEN r.state NOT IN ('queued', 'running') THEN r.flops END), "                     \
    "sum(r.state = 'skipped') "                                                                    \
    "FROM jobs j JOIN runs r ON r.job_id = j.id WHERE "

static void read_job_state(job_state *out, sqlite3_stmt *st)
{
    out->id = sqlite3_column_int64(st, 0);
    store_column_copy(out->state, sizeof out->state, st, 1);
    out->runs_total = sqlite3_column_int(st, 2);
    out->queued = sqlite3_column_int(st, 3);
    out->running = sqlite3_column_int(st, 4);
    out->done = sqlite3_column_int(st, 5);
    out->failed = sqlite3_column_int(st, 6);
    out->cancelled = sqlite3_column_int(st, 7);
    out->flops = sqlite3_column_double(st, 8);
    out->flops_ended = sqlite3_column_double(st, 9);
    out->skipped = sqlite3_column_int(st, 10);
}

err_code store_job_state(store *s, int64_t job_id, job_state *out, error *err)
{
    sqlite3 *db = store_reader(s, err);
    if (!db) return ERR_STORE;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, STATE_COLUMNS "j.id = ?1 GROUP BY j.id", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, job_id);
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW) read_job_state(out, st);
    }
    sqlite3_finalize(st);
    err_code code = ERR_OK;
    if (rc == SQLITE_DONE)
        code = error_set(err, ERR_NOT_FOUND, "", "there is no job %lld", (long long)job_id);
    else if (rc != SQLITE_ROW)
        code = store_fault(s, db, rc, "read a job", err);
    store_release(s, db);
    return code;
}

static err_code append_state(job_state **list, size_t *n, size_t *cap, sqlite3_stmt *st, error *err)
{
    if (*n == *cap) {
        size_t grown_cap = *cap ? 2 * *cap : 64;
        job_state *grown = realloc(*list, grown_cap * sizeof *grown);
        if (!grown) return error_set(err, ERR_MEMORY, "", "cannot list jobs: out of memory");
        *list = grown;
        *cap = grown_cap;
    }
    read_job_state(&(*list)[(*n)++], st);
    return ERR_OK;
}

err_code store_active_jobs(store *s, job_state **out, size_t *n, error *err)
{
    static const char sql[] =
        STATE_COLUMNS "j.state IN ('queued', 'running') GROUP BY j.id ORDER BY j.id";
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    sqlite3 *db = store_reader(s, err);
    if (!db) return ERR_STORE;
    sqlite3_stmt *st = NULL;
    err_code code = ERR_OK;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    while (rc == SQLITE_OK && code == ERR_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        code = append_state(out, n, &cap, st, err);
        rc = SQLITE_OK;
    }
    if (code == ERR_OK && rc != SQLITE_DONE) code = store_fault(s, db, rc, "list jobs", err);
    sqlite3_finalize(st);
    store_release(s, db);
    if (code != ERR_OK) {
        free(*out);
        *out = NULL;
        *n = 0;
    }
    return code;
}
