/* What the tests of the server share: a directory that vanishes, and jobs made without the reader.
 */
#ifndef TESTS_SERVER_TEMP_H
#define TESTS_SERVER_TEMP_H

#include "server/job/field.h"
#include "server/store/store.h"
#include "tests/spec_defaults.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct temp {
    char dir[64];
    char db[96];
} temp;

static inline void temp_init(temp *t)
{
    snprintf(t->dir, sizeof t->dir, "/tmp/normscope-test-XXXXXX");
    if (!mkdtemp(t->dir)) abort();
    snprintf(t->db, sizeof t->db, "%s/test.db", t->dir);
}

static inline int temp_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void temp_deinit(temp *t)
{
    nftw(t->dir, temp_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline int64_t temp_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Integers that may not be 0 and are, as the field table has them: a worker reads the text again.
 */
static inline void temp_defaults(run_spec *s)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        int *at = (int *)((char *)s + f->offset);
        if (f->size && f->type == FIELD_INTEGER && *at == 0 && f->min > 0) *at = (int)f->number;
    }
}

/* A spec that the engine accepts; the first row of every registry is not always what is wanted, but
 * nothing here computes with it unless it says so. */
static inline run_spec temp_spec(int depth, uint64_t seed)
{
    run_spec s = {0};
    s.model = (spec_model){.d_model = 8,
                           .n_heads = 2,
                           .n_kv_heads = 2,
                           .d_ff = 16,
                           .vocab = 16,
                           .rope_base = 10000,
                           .bias = true,
                           .embed_scale = 1};
    s.strategy = (spec_strategy){.eps = 1e-5, .affine = true, .residual_scale = 1};
    s.depth = depth;
    spec_defaults(&s, s.strategy.norm);
    s.init.std = 0.02;
    s.data =
        (spec_data){.batch = 2, .seq_len = 8, .batches = 1, .variance = 1, .mask_fraction = 0.15};
    s.train = (spec_train){
        .lr = 1e-3, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = NAN};
    s.measure.n_steps = 1;
    s.measure.sites[SITE_resid_out] = s.measure.metrics[METRIC_var] = true;
    s.seed = seed;
    temp_defaults(&s);
    return s;
}

/* hash: any text, made long enough here. Every run allows rows_max measurements. */
static inline void temp_job(job *j, const char *hash, int n_runs, uint64_t rows_max)
{
    *j = (job){0};
    snprintf(j->name, sizeof j->name, "job %.32s", hash);
    memset(j->hash, '.', TEXT_SHA256 - 1);
    memcpy(j->hash, hash, strnlen(hash, TEXT_SHA256 - 1));
    j->resolved = strdup("{}");
    j->runs = calloc((size_t)n_runs, sizeof *j->runs);
    if (!j->resolved || !j->runs) abort();
    j->n_runs = n_runs;
    for (int i = 0; i < n_runs; i++) {
        j->runs[i].spec = temp_spec(2, (uint64_t)i);
        j->runs[i].cost = (estimate){
            .parameters = 100, .flops = 1e6, .peak_bytes = 1 << 20, .measurements = rows_max};
        snprintf(j->runs[i].arm, sizeof j->runs[i].arm, "{\"depth\":2}");
    }
}

static inline void temp_job_free(job *j)
{
    free(j->resolved);
    free(j->runs);
}

/* A number from any connection; -1 when the query fails. */
static inline int64_t temp_query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int64_t v = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static inline int64_t temp_ask(store *s, const char *sql)
{
    sqlite3 *db = store_reader(s, NULL);
    int64_t v = db ? temp_query(db, sql) : -1;
    store_release(s, db);
    return v;
}

#endif
