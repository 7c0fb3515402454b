/* The plan: buffers that live at the same time never share bytes, the memory of a block does not
 * depend on the depth, and a run given too little memory says so. Also the team: each task once. */
#include "core/engine.h"
#include "core/op/op.h"
#include "core/run/session.h"
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

static run_spec small(int depth, const char *placement, const char *norm_name, int steps)
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
                                 .norm = row("norms", norm_name),
                                 .eps = 1e-5,
                                 .affine = true,
                                 .final_norm = true,
                                 .residual_scale = 0.5};
    spec_defaults(&s, row("norms", "layernorm"));
    s.init.std = 0.02;
    s.data = (spec_data){.batch = 3, .seq_len = 6, .batches = 1};
    s.train = (spec_train){
        .steps = steps, .lr = 1e-3, .clip = (double)NAN, .optimizer = row("optimizers", "adamw")};
    s.measure.n_steps = 1;
    for (int i = 0; i < SITE_COUNT; i++) s.measure.sites[i] = true;
    for (int i = 0; i < METRIC_COUNT; i++) s.measure.metrics[i] = true;
    return s;
}

static const char *const placements[] = {"none", "post_ln", "pre_ln", "peri_ln"};
static const char *const norms[] = {"layernorm", "batchnorm", "prepbn"};
enum { PLACEMENTS = 4, NORMS = 3 };

/* A planned session and what holds it. */
typedef struct planned {
    session *s;
    void *memory;
    size_t bytes;
} planned;

static planned plan_of(const run_spec *spec)
{
    planned x = {.bytes = session_table_bytes(spec)};
    arena a;
    error err = {0};
    x.memory = aligned_alloc(ARENA_ALIGN, (x.bytes / ARENA_ALIGN + 1) * ARENA_ALIGN);
    x.s = malloc(sizeof *x.s);
    ck_assert(x.memory && x.s);
    arena_init(&a, x.memory, x.bytes);
    ck_assert_msg(session_build(x.s, spec, false, &a, &err) == ERR_OK, "%s", err.message);
    return x;
}

static void planned_free(planned *x)
{
    arena_release(x->memory, x->bytes);
    free(x->s);
    free(x->memory);
}

START_TEST(test_buffers_alive_together_do_not_overlap)
{
    run_spec spec = small(3, placements[_i / 2 % PLACEMENTS], norms[_i / 2 / PLACEMENTS], _i % 2);
    planned x = plan_of(&spec);
    const plan *p = &x.s->p;
    int pairs = 0;
    for (int i = 0; i < p->n_buffers; i++)
        for (int j = 0; j < i; j++) {
            const buffer *u = &p->buffers[i], *v = &p->buffers[j];
            if (u->last < v->first || v->last < u->first) continue;
            pairs++;
            ck_assert(u->offset + u->bytes <= v->offset || v->offset + v->bytes <= u->offset);
            ck_assert(u->offset + u->bytes <= p->tensor_bytes);
        }
    ck_assert_int_gt(pairs, 1000);
    planned_free(&x);
}
END_TEST

static bool share_a_parameter(const node *a, const node *b)
{
    for (int i = 0; i < a->n_params; i++)
        for (int k = 0; k < b->n_params; k++)
            if (a->params[i] == b->params[k]) return true;
    return false;
}

/* Tasks between one that waits and the next run at once. The output matrix is the embedding, and
 * with fixnorm the lengths of its rows are a third part of its gradient. */
START_TEST(test_no_two_tasks_that_run_at_once_make_one_gradient)
{
    run_spec spec = small(2, placements[_i % PLACEMENTS], "layernorm", 1);
    int waits = 0;
    spec.strategy.fixnorm = _i >= PLACEMENTS;
    planned x = plan_of(&spec);
    const plan *p = &x.s->p;
    for (int at = p->n_forward; at < p->n_stages; at++) {
        const stage *st = &p->stages[at];
        const plan_task *t = &p->tasks[st->first_task];
        for (int i = 0, first = 0; st->kind == STAGE_TASKS && i < st->n_tasks; i++) {
            if (t[i].waits) first = i, waits++;
            for (int k = first; k < i; k++)
                ck_assert(t[k].node == t[i].node ||
                          !share_a_parameter(&x.s->g.nodes[t[k].node], &x.s->g.nodes[t[i].node]));
        }
    }
    ck_assert_int_eq(waits, spec.strategy.fixnorm);
    planned_free(&x);
}
END_TEST

/* At which stage each call of a node comes, as exec makes them. */
typedef struct times {
    int prepare, reduce, forward, backward_prepare, param_task, backward;
} times;

static void note_spans(times *t, const graph *g, const stage *st, int at)
{
    int end = st->first_node + st->n_nodes;
    for (int i = st->first_node; i < end; i++) {
        ck_assert_int_eq(g->nodes[i].op->prepare != NULL, i < st->first_node + st->n_heads);
        if (!st->backward)
            t[i].forward = at;
        else if (g->nodes[i].op->prepare)
            t[i].backward_prepare = at;
        else
            t[i].backward = t[i].backward_prepare = at;
    }
    for (int i = end; i < end + st->n_next; i++) {
        ck_assert(g->nodes[i].op->prepare != NULL);
        ck_assert_int_eq(g->nodes[i].segment, st->segment);
        *(st->backward ? &t[i].backward : &t[i].prepare) = at;
    }
}

static void note_times(times *t, const session *s)
{
    const plan *p = &s->p;
    for (int i = 0; i < s->g.n_nodes; i++) t[i] = (times){-1, -1, -1, -1, -1, -1};
    for (int at = 0; at < p->n_stages; at++) {
        const stage *st = &p->stages[at];
        ck_assert_int_eq(st->backward, at >= p->n_forward);
        if (st->kind == STAGE_SPANS) note_spans(t, &s->g, st, at);
        for (int k = 0; st->kind == STAGE_TASKS && k < st->n_tasks; k++) {
            times *own = &t[p->tasks[st->first_task + k].node];
            *(st->backward ? &own->param_task : &own->reduce) = at;
        }
    }
}

static void assert_alive(const plan *p, int index, int at)
{
    if (index == NONE) return;
    ck_assert_int_le(p->buffers[index].first, at);
    ck_assert_int_ge(p->buffers[index].last, at);
}

static int root_of(const graph *g, int v)
{
    return g->values[v].parent == NONE ? v : g->values[v].parent;
}

/* Everything a call reads or writes is alive when it comes. */
static void assert_operands_alive(const session *s, const node *n, const times *t)
{
    const graph *g = &s->g;
    const plan *p = &s->p;
    for (int k = 0; k < n->n_inputs; k++) {
        const value *v = &g->values[root_of(g, n->inputs[k])];
        assert_alive(p, v->buffer[0], t->forward);
        if (t->prepare >= 0) assert_alive(p, v->buffer[0], t->prepare);
        if (n->op->reads_inputs >> k & 1) {
            assert_alive(p, v->buffer[1], t->backward_prepare);
            assert_alive(p, v->buffer[1], t->backward);
        }
        if (n->op->param_inputs >> k & 1) assert_alive(p, v->buffer[1], t->param_task);
        if (!n->grads[k].wanted) continue;
        assert_alive(p, n->grads[k].base, t->backward);
        assert_alive(p, g->values[n->inputs[k]].grad_buffer, t->backward);
    }
    const value *y = &g->values[n->outputs[0]];
    assert_alive(p, y->buffer[0], t->forward);
    if (n->recompute) assert_alive(p, y->buffer[1], t->backward_prepare);
    assert_alive(p, y->grad_buffer, t->backward_prepare);
    assert_alive(p, y->grad_buffer, t->backward);
    if (t->param_task >= 0) assert_alive(p, y->grad_buffer, t->param_task);
}

START_TEST(test_every_call_finds_its_buffers_alive)
{
    run_spec spec = small(3, placements[_i % PLACEMENTS], norms[_i / PLACEMENTS], 1);
    planned x = plan_of(&spec);
    const graph *g = &x.s->g;
    times *t = malloc((size_t)g->n_nodes * sizeof *t);
    int heads = 0;
    ck_assert_ptr_nonnull(t);
    note_times(t, x.s);
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        ck_assert_int_ge(t[i].forward, 0);
        ck_assert_int_ge(t[i].backward, x.s->p.n_forward);
        assert_operands_alive(x.s, n, &t[i]);
        if (!n->op->prepare) continue;
        heads++;
        ck_assert_int_ge(t[i].prepare, 0);
        ck_assert_int_lt(t[i].prepare, t[i].reduce);
        ck_assert_int_lt(t[i].reduce, t[i].forward);
        ck_assert_int_lt(t[i].backward_prepare, t[i].param_task);
        ck_assert_int_lt(t[i].param_task, t[i].backward);
    }
    ck_assert_int_eq(heads > 0, _i >= PLACEMENTS);
    free(t);
    planned_free(&x);
}
END_TEST

START_TEST(test_only_sums_over_the_batch_cut_a_segment)
{
    run_spec spec = small(3, "peri_ln", norms[_i], 1);
    planned x = plan_of(&spec);
    const plan *p = &x.s->p;
    int segments = x.s->g.n_segments, cuts = _i ? 4 * 3 + 1 : 0; /* norms of the blocks, final */
    ck_assert_int_eq(p->n_forward, segments + 2 * cuts);
    ck_assert_int_eq(p->n_stages, p->n_forward + 2 * (segments + cuts));
    ck_assert_int_eq(p->state_count > 0, _i > 0);
    planned_free(&x);
}
END_TEST

START_TEST(test_memory_of_a_block_does_not_depend_on_depth)
{
    estimate e[3];
    error err = {0};
    const int depths[] = {10, 20, 1000};
    for (int i = 0; i < 3; i++) {
        run_spec spec = small(depths[i], "pre_ln", norms[_i], 0);
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
    run_spec spec = small(2, placements[_i % PLACEMENTS], norms[_i / PLACEMENTS], 1);
    spec.measure.steps[1] = 1;
    spec.measure.n_steps = 2;
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
    run_spec spec = small(4, "pre_ln", norms[_i], 5);
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
    tcase_add_loop_test(t, test_buffers_alive_together_do_not_overlap, 0, 2 * PLACEMENTS * NORMS);
    tcase_add_loop_test(t, test_no_two_tasks_that_run_at_once_make_one_gradient, 0, 2 * PLACEMENTS);
    tcase_add_loop_test(t, test_every_call_finds_its_buffers_alive, 0, PLACEMENTS * NORMS);
    tcase_add_loop_test(t, test_only_sums_over_the_batch_cut_a_segment, 0, NORMS);
    tcase_add_loop_test(t, test_memory_of_a_block_does_not_depend_on_depth, 0, NORMS);
    tcase_add_loop_test(t, test_a_run_needs_exactly_what_the_estimate_says, 0, PLACEMENTS * NORMS);
    tcase_add_loop_test(t, test_cancel_stops_within_a_stage, 0, NORMS);
    tcase_add_loop_test(t, test_a_team_runs_each_task_once, 0, 4);
    suite_add_tcase(s, t);
    return suite_run(s);
}
