/* The plan: buffers that live at the same time never share bytes, the memory of a block does not
 * depend on the depth, and a run given too little memory says so. Also the team: each task once. */
#include "core/engine.h"
#include "core/session.h"
#include "tests/spec_defaults.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const engine engine_table;

static int row(const char *kind, const char *name)
{
    for (const registry *const *r = engine_table.registries; *r; r++)
        if (!strcmp((*r)->kind, kind)) return registry_find(*r, name);
    return -1;
}

static run_spec small(int depth, const char *placement, int steps)
{
    run_spec s = {.depth = depth, .seed = 1};
    s.model = (spec_model){.d_model = 16,
                           .n_heads = 2,
                           .n_kv_heads = 1,
                           .d_ff = 32,
                           .vocab = 11,
                           .position = row("positions", "rope"),
                           .rope_base = 1e4,
                           .activation = row("activations", "swiglu"),
                           .bias = true,
                           .tied = true,
                           .qk_norm = true,
                           .embed_scale = 1};
    s.strategy = (spec_strategy){.placement = row("placements", placement),
                                 .norm = row("norms", "layernorm"),
                                 .eps = 1e-5,
                                 .affine = true,
                                 .final_norm = true,
                                 .residual_scale = 0.5};
    spec_defaults(&s, row("norms", "layernorm"));
    s.init = (spec_init){.std = 0.02, .embed_std = (double)NAN, .head_std = (double)NAN};
    s.data = (spec_data){.batch = 3, .seq_len = 6, .batches = 1};
    s.train = (spec_train){
        .steps = steps, .lr = 1e-3, .clip = (double)NAN, .optimizer = row("optimizers", "adamw")};
    s.measure.n_steps = 1;
    for (int i = 0; i < SITE_COUNT; i++) s.measure.sites[i] = true;
    for (int i = 0; i < METRIC_COUNT; i++) s.measure.metrics[i] = true;
    return s;
}

static const char *const placements[] = {"none", "post_ln", "pre_ln", "peri_ln"};

START_TEST(test_buffers_alive_together_do_not_overlap)
{
    run_spec spec = small(3, placements[_i / 2], _i % 2);
    size_t bytes = session_table_bytes(&spec);
    void *memory = aligned_alloc(ARENA_ALIGN, (bytes / ARENA_ALIGN + 1) * ARENA_ALIGN);
    session *s = malloc(sizeof *s);
    ck_assert(memory && s);
    arena a;
    error err = {0};
    arena_init(&a, memory, bytes);
    ck_assert_msg(session_build(s, &spec, false, &a, &err) == ERR_OK, "%s", err.message);
    const plan *p = &s->p;
    int pairs = 0;
    for (int i = 0; i < p->n_buffers; i++)
        for (int j = 0; j < i; j++) {
            const buffer *x = &p->buffers[i], *y = &p->buffers[j];
            if (x->last < y->first || y->last < x->first) continue;
            pairs++;
            ck_assert(x->offset + x->bytes <= y->offset || y->offset + y->bytes <= x->offset);
            ck_assert(x->offset + x->bytes <= p->tensor_bytes);
        }
    ck_assert_int_gt(pairs, 1000);
    arena_release(memory, bytes);
    free(s);
    free(memory);
}
END_TEST

START_TEST(test_memory_of_a_block_does_not_depend_on_depth)
{
    estimate e[3];
    error err = {0};
    const int depths[] = {10, 20, 1000};
    for (int i = 0; i < 3; i++) {
        run_spec spec = small(depths[i], "pre_ln", 0);
        ck_assert_int_eq(engine_table.estimate(&spec, 1, false, &e[i], &err), ERR_OK);
    }
    double near = (double)(e[1].peak_bytes - e[0].peak_bytes) / 10,
           far = (double)(e[2].peak_bytes - e[1].peak_bytes) / 980;
    /* alignment of tables may differ by a few lines */
    ck_assert_double_eq_tol(far / near, 1, 0.01);
}
END_TEST

static void ignore(void *user, const measurement *m, size_t n)
{
    size_t *rows = user;
    *rows += n;
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(m[i].reason == REASON_NONE,
                         isfinite(m[i].value) && m[i].reason == REASON_NONE);
}

START_TEST(test_a_run_needs_exactly_what_the_estimate_says)
{
    run_spec spec = small(2, placements[_i], 1);
    spec.measure.steps[0] = 1;
    estimate e;
    error err = {0};
    team t;
    run_summary summary;
    size_t rows = 0;
    sink to = {.user = &rows, .measure = ignore};
    ck_assert_int_eq(engine_table.estimate(&spec, 2, false, &e, &err), ERR_OK);
    ck_assert_int_eq(team_start(&t, 2, &err), ERR_OK);
    char *memory = aligned_alloc(ARENA_ALIGN, (e.peak_bytes / ARENA_ALIGN + 1) * ARENA_ALIGN);
    ck_assert_msg(engine_table.run(&spec, NULL, memory, e.peak_bytes, &t, &to, &summary, &err) ==
                      ERR_OK,
                  "%s", err.message);
    ck_assert_uint_gt(rows, 100);
    ck_assert_uint_le(rows, e.measurements);
    for (size_t bytes = 0; bytes < e.peak_bytes * 9 / 10; bytes += e.peak_bytes / 50 + 1)
        ck_assert_int_eq(engine_table.run(&spec, NULL, memory, bytes, &t, &to, &summary, &err),
                         ERR_MEMORY);
    free(memory);
    team_stop(&t);
}
END_TEST

static bool stop_at_third(void *user, const progress *p)
{
    int *calls = user;
    ck_assert_double_le(p->fraction, 1);
    return ++*calls < 3;
}

START_TEST(test_cancel_stops_within_a_stage)
{
    run_spec spec = small(4, "pre_ln", 5);
    estimate e;
    error err = {0};
    team t;
    run_summary summary;
    int calls = 0;
    sink to = {.user = &calls, .progress = stop_at_third};
    ck_assert_int_eq(engine_table.estimate(&spec, 1, false, &e, &err), ERR_OK);
    ck_assert_int_eq(team_start(&t, 1, &err), ERR_OK);
    void *memory = aligned_alloc(ARENA_ALIGN, (e.peak_bytes / ARENA_ALIGN + 1) * ARENA_ALIGN);
    ck_assert_int_eq(engine_table.run(&spec, NULL, memory, e.peak_bytes, &t, &to, &summary, &err),
                     ERR_CANCELLED);
    ck_assert_int_eq(calls, 3);
    free(memory);
    team_stop(&t);
}
END_TEST

static void count_task(void *context, int task, int worker)
{
    (void)worker;
    atomic_int *seen = context;
    atomic_fetch_add(&seen[task], 1);
}

START_TEST(test_a_team_runs_each_task_once)
{
    team t;
    error err = {0};
    ck_assert_int_eq(team_start(&t, _i + 1, &err), ERR_OK);
    for (int round = 0; round < 200; round++) {
        atomic_int seen[37] = {0};
        team_run(&t, count_task, seen, round % 37 + 1);
        for (int i = 0; i < 37; i++) ck_assert_int_eq(atomic_load(&seen[i]), i <= round % 37);
    }
    team_stop(&t);
    ck_assert_int_eq(team_start(&t, 0, &err), ERR_RANGE);
    ck_assert_int_eq(team_start(&t, TEAM_MAX + 1, &err), ERR_RANGE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plan");
    TCase *t = tcase_create("plan");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_buffers_alive_together_do_not_overlap, 0, 8);
    tcase_add_test(t, test_memory_of_a_block_does_not_depend_on_depth);
    tcase_add_loop_test(t, test_a_run_needs_exactly_what_the_estimate_says, 0, 4);
    tcase_add_test(t, test_cancel_stops_within_a_stage);
    tcase_add_loop_test(t, test_a_team_runs_each_task_once, 0, 4);
    suite_add_tcase(s, t);
    return suite_run(s);
}
