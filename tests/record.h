/* Runs one spec on an engine and keeps everything it emits, for small models in tests.
 *
 * record_run fills the tensors of the run through edit (NULL: the engine's own init), copies what
 * the engine emits, and fails the test when the engine does. record_deinit frees.
 */
#ifndef TESTS_RECORD_H
#define TESTS_RECORD_H

#include "tests/pattern.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct record_tensor {
    char name[96];
    enum tensor_when when;
    int step;
    int rank;
    size_t dims[4], n;
    double *data;
} record_tensor;

typedef void record_edit(void *user, const run_spec *spec, const tensor_view *t);

typedef struct record {
    const run_spec *spec;
    record_edit *edit;
    void *user;
    measurement *measurements;
    size_t n_measurements;
    step_record *steps;
    size_t n_steps;
    record_tensor *tensors;
    size_t n_tensors;
    run_summary summary;
} record;

static inline void *record_grow(void *array, size_t n, size_t more, size_t size)
{
    size_t old = n == 0 ? 0 : 1, want = 1;
    while (old != 0 && old < n) old *= 2;
    while (want < n + more) want *= 2;
    if (want == old) return array;
    void *p = realloc(array, want * size);
    ck_assert_ptr_nonnull(p);
    return p;
}

static inline void record_measure(void *user, const measurement *m, size_t n)
{
    record *r = user;
    r->measurements = record_grow(r->measurements, r->n_measurements, n, sizeof *m);
    memcpy(r->measurements + r->n_measurements, m, n * sizeof *m);
    r->n_measurements += n;
}

static inline void record_step(void *user, const step_record *s)
{
    record *r = user;
    r->steps = record_grow(r->steps, r->n_steps, 1, sizeof *s);
    r->steps[r->n_steps++] = *s;
}

static inline bool
record_tensor_view(void *user, enum tensor_when when, int step, const tensor_view *t)
{
    record *r = user;
    if (when == TENSOR_INITIAL || when == TENSOR_PROXY) {
        if (r->edit != NULL) r->edit(r->user, r->spec, t);
        return true;
    }
    r->tensors = record_grow(r->tensors, r->n_tensors, 1, sizeof *r->tensors);
    record_tensor *k = &r->tensors[r->n_tensors++];
    *k = (record_tensor){.when = when, .step = step, .rank = t->rank, .n = pattern_count(t)};
    snprintf(k->name, sizeof k->name, "%s", t->name);
    memcpy(k->dims, t->dims, sizeof k->dims);
    k->data = malloc((k->n + 1) * sizeof *k->data);
    ck_assert_ptr_nonnull(k->data);
    for (size_t i = 0; i < k->n; i++) k->data[i] = pattern_load(t, i);
    return true;
}

static inline void record_deinit(record *r)
{
    for (size_t i = 0; i < r->n_tensors; i++) free(r->tensors[i].data);
    free(r->tensors);
    free(r->measurements);
    free(r->steps);
    *r = (record){0};
}

static inline void record_run(record *r,
                              const engine *e,
                              const run_spec *spec,
                              int threads,
                              bool probe_tensors,
                              record_edit *edit,
                              void *user)
{
    *r = (record){.spec = spec, .edit = edit, .user = user};
    sink s = {.user = r,
              .measure = record_measure,
              .step = record_step,
              .tensor = record_tensor_view,
              .want_probe_tensors = probe_tensors};
    error err = {0};
    estimate cost;
    if (e->estimate(spec, threads, probe_tensors, &cost, &err) != ERR_OK)
        ck_abort_msg("estimate: %s: %s", err.pointer, err.message);
    size_t bytes = (cost.peak_bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    team t;
    ck_assert_ptr_nonnull(memory);
    ck_assert_int_eq(team_start(&t, threads, &err), ERR_OK);
    run_input input = {0};
    if (e->run(spec, &input, memory, bytes, &t, &s, &r->summary, &err) != ERR_OK)
        ck_abort_msg("run: %s: %s", err.pointer, err.message);
    team_stop(&t);
    free(memory);
    ck_assert_msg(r->n_measurements <= cost.measurements,
                  "%zu measurements, estimated at most %llu", r->n_measurements,
                  (unsigned long long)cost.measurements);
}

/* The tensor with this name, of the first matching step when step is -1; NULL when there is none.
 */
static inline const record_tensor *
record_find(const record *r, enum tensor_when when, int step, const char *name)
{
    for (size_t i = 0; i < r->n_tensors; i++) {
        const record_tensor *t = &r->tensors[i];
        if (t->when == when && (step < 0 || t->step == step) && strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

static inline const record_tensor *
record_need(const record *r, enum tensor_when when, int step, const char *name)
{
    const record_tensor *t = record_find(r, when, step, name);
    if (t == NULL) ck_abort_msg("the engine gave no tensor '%s' at step %d", name, step);
    return t;
}

#endif
