/* One op, or a few, as a graph with everything it needs to run: an input [B, T, D], what build
 * makes of it, and a synthetic loss sum g.y unless build ends in one of its own (it returns NONE
 * then). Two panels, of one and of two sequences.
 */
#ifndef TESTS_CORE_RIG_H
#define TESTS_CORE_RIG_H

#include "core/base/rng.h"
#include "core/graph/pass.h"
#include "core/op/op.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { B = 3, T = 5, D = 12, V = 7, MEMORY = 1 << 22 };

typedef struct rig_shape {
    int length, width; /* T, D */
    int threads;
    size_t memory;
    bool keep_all; /* every value stays to be looked at; else buffers are shared as in a run */
} rig_shape;

typedef struct rig {
    run_spec spec;
    graph g;
    plan p;
    exec x;
    team team;
    int input;
    real *inputs, *seed; /* [B, T, D] and up to twice that */
    void *memory;
    size_t memory_bytes;
} rig;

static inline void *rig_take(arena *a, size_t count, size_t size)
{
    void *p = arena_alloc(a, (count ? count : 1) * size);
    ck_assert_ptr_nonnull(p);
    return p;
}

static inline void rig_fill(real *v, size_t n, const char *name, double scale_by)
{
    rng r = rng_stream(5, "test", name);
    for (size_t i = 0; i < n; i++) v[i] = (real)(scale_by * rng_normal(&r, i));
}

static inline void rig_start_as(rig *r,
                                const rig_shape *shape,
                                const spec_strategy *strategy,
                                int (*build)(graph *g, int x))
{
    error err = {0};
    size_t tokens = (size_t)B * (size_t)shape->length, count = tokens * (size_t)shape->width;
    memset(r, 0, sizeof *r);
    r->spec.depth = 1;
    r->spec.data.batch = B, r->spec.data.seq_len = shape->length;
    r->spec.model.d_model = shape->width, r->spec.model.rope_base = 100;
    r->spec.strategy = (spec_strategy){.stat_keep = 0.9, .stat_window = 4, .progress_steps = 10};
    if (strategy) r->spec.strategy = *strategy;
    r->memory_bytes = shape->memory;
    r->memory = aligned_alloc(ARENA_ALIGN, r->memory_bytes);
    ck_assert_ptr_nonnull(r->memory);
    arena a;
    arena_init(&a, r->memory, r->memory_bytes);
    graph_init(&r->g, &r->spec, &a);
    r->g.n_panels = 2; /* of one and of two sequences */
    r->input = op_input_build(&r->g);
    int y = build(&r->g, r->input);
    if (y != NONE) op_project_build(&r->g, y);
    graph_mark_gradients(&r->g);
    ck_assert_int_eq(graph_finish(&r->g, &err), ERR_OK);
    plan_options o = {.backward = true, .keep_param_grads = true, .keep_all = shape->keep_all};
    ck_assert_msg(plan_make(&r->p, &r->g, &o, &a, &err) == ERR_OK, "%s", err.message);
    ck_assert_int_eq(team_start(&r->team, shape->threads, &err), ERR_OK);
    int32_t *ids = rig_take(&a, tokens + B, sizeof *ids);
    for (size_t i = 0; i < tokens + B; i++) ids[i] = (int32_t)(i * 3 % V);
    r->seed = rig_take(&a, 2 * count, sizeof *r->seed);
    rig_fill(r->seed, 2 * count, "seed", 1);
    r->inputs = rig_take(&a, count, sizeof *r->inputs);
    rig_fill(r->inputs, count, "inputs", 1);
    r->x =
        (exec){.g = &r->g,
               .p = &r->p,
               .team = &r->team,
               .tensors = rig_take(&a, r->p.tensor_bytes, 1),
               .params = rig_take(&a, r->p.param_count, sizeof(real)),
               .partials = rig_take(&a, r->p.partial_count, sizeof(double)),
               .slices = rig_take(&a, r->p.slice_count, sizeof(double)),
               .stats = rig_take(&a, r->p.stat_count, sizeof(double)),
               .state = {rig_take(&a, r->p.state_count, sizeof(double)),
                         rig_take(&a, r->p.state_count, sizeof(double))},
               .constants = rig_take(&a, r->g.n_constants, sizeof(real)),
               .scratch = rig_take(&a, (size_t)shape->threads * r->p.scratch_reals, sizeof(real)),
               .losses = rig_take(&a, B, sizeof(double)),
               .tokens = ids,
               .inputs = r->inputs,
               .grad_seed = r->seed,
               .grad_scale = 1,
               .loss_scale = y == NONE ? 1 / (double)tokens : 1};
    rig_fill(r->x.params, r->p.param_count, "params", 0.5);
    for (int i = 0; i < r->g.n_nodes; i++)
        if (r->g.nodes[i].fill)
            r->g.nodes[i].fill(&r->g, &r->g.nodes[i], r->x.constants + r->g.nodes[i].constants,
                               NULL);
    exec_begin_state(&r->x);
    if (exec_profiles(&r->g)) ck_assert_int_eq(exec_profile(&r->x, NULL, NULL), ERR_OK);
}

/* strategy NULL: what is common; else every value stays. */
static inline void rig_start(rig *r, const spec_strategy *strategy, int (*build)(graph *g, int x))
{
    rig_shape usual = {
        .length = T, .width = D, .threads = 1, .memory = MEMORY, .keep_all = strategy != NULL};
    rig_start_as(r, &usual, strategy, build);
}

static inline void rig_stop(rig *r)
{
    team_stop(&r->team);
    arena_release(r->memory, r->memory_bytes);
    free(r->memory);
}

static inline double rig_loss(rig *r)
{
    double loss;
    ck_assert_int_eq(exec_forward(&r->x, NULL, NULL, &loss), ERR_OK);
    return loss;
}

#endif
