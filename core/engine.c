/* The engine table: check, run and predict; estimate.c costs, run/runner.c loops over steps. */
#include "core/engine.h"

#include "core/base/format.h"
#include "core/estimate.h"
#include "core/loss/loss.h"
#include "core/model/check.h"
#include "core/model/model.h"
#include "core/model/weights.h"
#include "core/network/outline_walk.h"
#include "core/network/slot.h"
#include "core/op/op.h"
#include "core/optimizer/optimizer.h"
#include "core/placement/placement.h"
#include "core/probe/coordinate.h"
#include "core/proxy/proxy.h"
#include "core/run/runner.h"
#include "core/schedule/schedule.h"
#include "core/theory/theory.h"

#include <math.h>
#include <stdlib.h>

static const registry *const registries[] = {
    &mixer_registry,     &mlp_registry,       &model_registry,
    &placement_registry, &norm_registry,      &activation_registry,
    &position_registry,  &init_registry,      &data_registry,
    &loss_registry,      &optimizer_registry, &schedule_registry,
    &site_registry,      &metric_registry,    &op_registry,
    &format_registry,    &law_registry,       NULL,
};

static err_code check(const run_spec *spec, error *err)
{
    const spec_train *t = &spec->train;
    err_code code = model_table[spec->model.family]->check(spec, err);
    if (code) return code;
    if (data_table[spec->data.source]->needs_corpus && !spec->data.corpus[0])
        return error_set(err, ERR_COMBINATION, "/data/corpus",
                         "source text needs the name of a corpus");
    if (t->warmup > t->steps)
        return error_set(err, ERR_COMBINATION, "/train/warmup",
                         "warmup is %d; allowed are 0 to train.steps = %d", t->warmup, t->steps);
    for (int i = 0; i < spec->measure.n_steps; i++) {
        int step = spec->measure.steps[i];
        if (step < 0 || step > t->steps)
            return error_set(err, ERR_COMBINATION, "/measure/steps",
                             "step %d is not in 0..train.steps = %d", step, t->steps);
    }
    if ((code = parametrization_check(spec, err))) return code;
    if ((code = probe_coordinate_check(spec, err))) return code;
    int exponent;
    if (frexp(spec->rounding.loss_scale, &exponent) != 0.5)
        return error_set(err, ERR_COMBINATION, "/rounding/loss_scale",
                         "loss_scale is %g; it must be a power of two, so that dividing it out is "
                         "exact",
                         spec->rounding.loss_scale);
    return ERR_OK;
}

static void family_defaults(run_spec *spec)
{
    const model *m = model_table[spec->model.family];
    if (m->defaults) m->defaults(spec);
}

static err_code
cost(const run_spec *spec, int n_threads, bool want_tensors, estimate *out, error *err)
{
    err_code code = check(spec, err);
    return code ? code : estimate_run(spec, n_threads, want_tensors, out, err);
}

static err_code outline(const run_spec *spec, outline_visit *visit, void *user, error *err)
{
    err_code code = check(spec, err);
    if (code) return code;
    graph g;
    arena meta;
    arena_init(&meta, NULL, 0);
    graph_init(&g, spec, &meta);
    size_t bytes = meta.used + ARENA_ALIGN;
    void *tables = aligned_alloc(ARENA_ALIGN, bytes / ARENA_ALIGN * ARENA_ALIGN);
    if (!tables) return error_set(err, ERR_MEMORY, "", "no memory to draw the network");
    arena_init(&meta, tables, bytes);
    graph_init(&g, spec, &meta);
    model_table[spec->model.family]->build(&g);
    code = graph_finish(&g, err);
    if (!code) outline_walk(&g, visit, user);
    arena_release(tables, bytes);
    free(tables);
    return code;
}

static err_code predict(const run_spec *spec, const sink *to, error *err)
{
    err_code code = check(spec, err);
    if (code) return code;
    size_t bytes = (theory_bytes(spec, true) / ARENA_ALIGN + 1) * ARENA_ALIGN;
    void *memory = aligned_alloc(ARENA_ALIGN, bytes);
    if (!memory) return error_set(err, ERR_MEMORY, "", "no memory for %zu bytes of theory", bytes);
    theory_predict(spec, NULL, memory, to);
    arena_release(memory, bytes);
    free(memory);
    return ERR_OK;
}

static err_code check_input(const run_spec *spec, const run_input *input, error *err)
{
    size_t least = (size_t)spec->data.seq_len + 2;
    if (!data_table[spec->data.source]->needs_corpus) return ERR_OK;
    if (!input || !input->corpus || input->corpus_bytes < least)
        return error_set(err, ERR_RANGE, "/data/corpus",
                         "the corpus has %zu bytes; seq_len needs at least %zu",
                         input && input->corpus ? input->corpus_bytes : (size_t)0, least);
    return ERR_OK;
}

/* A session with its tables, at the beginning of the memory. */
static err_code build(session **out,
                      arena *a,
                      const run_spec *spec,
                      const sink *to,
                      void *memory,
                      size_t memory_bytes,
                      error *err)
{
    arena_init(a, memory, memory_bytes);
    *out = arena_alloc(a, sizeof **out);
    if (!*out)
        return error_set(err, ERR_MEMORY, "", "%zu bytes are too few for this run", memory_bytes);
    return session_build(*out, spec, to->want_probe_tensors, a, err);
}

static err_code run(const run_spec *spec,
                    const run_input *input,
                    void *memory,
                    size_t memory_bytes,
                    team *t,
                    const sink *to,
                    run_summary *summary,
                    error *err)
{
    *summary = (run_summary){.diverged_step = -1, .diverged_layer = -1, .diverged_site = SITE_run};
    err_code code = check(spec, err);
    if (!code) code = check_input(spec, input, err);
    if (code) return code;
    arena a;
    session *s;
    code = build(&s, &a, spec, to, memory, memory_bytes, err);
    if (!code && proxy_any(spec)) {
        proxy_job job = {.spec = spec,
                         .input = input,
                         .memory = memory,
                         .memory_bytes = memory_bytes,
                         .team = t,
                         .to = to,
                         .total = proxy_units(spec) + session_passes(s) + exec_profiles(&s->g)};
        arena_release(memory, memory_bytes);
        code = proxy_run(&job, err);
        if (!code) code = build(&s, &a, spec, to, memory, memory_bytes, err);
    }
    if (!code) {
        arena counting;
        arena_init(&counting, NULL, 0);
        session sizes = *s;
        session_layout(&sizes, t->size, &counting);
        if (counting.used > a.size - a.used)
            code = error_set(err, ERR_MEMORY, "", "the run needs %zu bytes, it was given %zu",
                             a.used + counting.used, memory_bytes);
    }
    if (!code) {
        session_layout(s, t->size, &a);
        session_fill(s, input, t);
        const theory_data first = {s->data.tokens, s->data.loss_mask};
        if (s->theory) theory_predict(spec, &first, s->theory, to);
        code = runner_run(s, proxy_units(spec), to, summary, err);
    }
    arena_release(memory, memory_bytes);
    return code;
}

static bool placement_final_norm(int placement_row)
{
    return placement_table[placement_row]->final_norm;
}

static bool init_depth_scale(int scheme)
{
    return init_table[scheme]->depth_scale;
}

static bool activation_gated(int row)
{
    return activation_table[row]->gate != NULL;
}

static int norm_warmup(int row)
{
    return norm_table[row]->warmup;
}

/* A norm that has no form for one head falls back to RMSNorm. */
static int head_norm(int row)
{
    return norm_fits_head(norm_table[row]) ? row : registry_find(&norm_registry, "rmsnorm");
}

static use_set uses(const run_spec *spec)
{
    return strategy_uses(spec) | extra_uses(spec);
}

extern const engine engine_table; /* renamed engine_f32 or engine_f64 when the build is linked */

const engine engine_table = {
    .precision = REAL_BITS == 64 ? "float64" : "float32",
    .registries = registries,
    .check = check,
    .estimate = cost,
    .run = run,
    .predict = predict,
    .family_defaults = family_defaults,
    .placement_final_norm = placement_final_norm,
    .init_depth_scale = init_depth_scale,
    .init_std = init_default_std,
    .init_table_std = init_table_std,
    .activation_gated = activation_gated,
    .norm_warmup = norm_warmup,
    .head_norm = head_norm,
    .uses = uses,
    .outline = outline,
};
