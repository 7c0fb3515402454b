/* The engine table: check, estimate, run. */
#include "core/engine.h"

#include "core/base/format.h"
#include "core/graph/cost.h"
#include "core/loss/loss.h"
#include "core/model/check.h"
#include "core/model/model.h"
#include "core/model/weights.h"
#include "core/network/outline_walk.h"
#include "core/network/slot.h"
#include "core/optimizer/optimizer.h"
#include "core/placement/placement.h"
#include "core/proxy/proxy.h"
#include "core/run/metric_cost.h"
#include "core/run/profile.h"
#include "core/run/report.h"
#include "core/run/tensors.h"
#include "core/run/train.h"
#include "core/schedule/schedule.h"
#include "core/theory/theory.h"

#include <stdlib.h>
#include <string.h>

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

/* measure.eval: probes have passes of their own where there are running statistics to use. */
static bool has_eval(const session *s)
{
    return s->spec->measure.eval && exec_sums_over_batch(&s->g);
}

/* One for each update and one after the last; extras at each probed step. */
static double count_passes(const session *s)
{
    int probes = s->spec->measure.n_steps;
    return s->spec->train.steps + 1 + (has_eval(s) ? probes : 0) + probes * extra_passes(s);
}

/* A session that is planned and gone when visit returns; table_bytes are what its tables take. It
 * is that of a run, or where o is not NULL as o says. */
typedef void planned(session *s, size_t table_bytes, void *user);

/* The only allocations of core/ are here, in outline and in predict: tables of the graph, gone
 * before they return. */
static err_code plan_only(const run_spec *spec,
                          bool want_tensors,
                          const plan_options *o,
                          planned *visit,
                          void *user,
                          error *err)
{
    err_code code = ERR_OK;
    size_t bytes = session_table_bytes(spec);
    void *tables = aligned_alloc(ARENA_ALIGN, bytes / ARENA_ALIGN * ARENA_ALIGN + ARENA_ALIGN);
    session *s = malloc(sizeof *s);
    if (!tables || !s) {
        code = error_set(err, ERR_MEMORY, "", "no memory to plan the run");
        goto out;
    }
    arena meta;
    arena_init(&meta, tables, bytes);
    code = o ? session_build_as(s, spec, o, &meta, err)
             : session_build(s, spec, want_tensors, &meta, err);
    if (!code) visit(s, meta.used, user);
out:
    free(s);
    arena_release(tables, bytes);
    free(tables);
    return code;
}

struct estimating {
    int n_threads;
    const run_spec *spec; /* of the run; add_proxies */
    proxy_family family;
    double units;
    double pass_flops; /* of the run */
    estimate *out;
};

static void fill_estimate(session *s, size_t table_bytes, void *user)
{
    struct estimating *e = user;
    arena counting;
    arena_init(&counting, NULL, 0);
    session_layout(s, e->n_threads, &counting);
    double flops = cost_pass_flops(&s->g);
    *e->out = (estimate){
        .parameters = s->p.param_count,
        .flops = flops * (s->backward ? 3.0 : 1.0) * count_passes(s) +
                 (exec_profiles(&s->g) ? flops : 0),
        .traffic_bytes = cost_pass_traffic(&s->g, s->backward),
        .peak_bytes = sizeof *s + table_bytes + 2 * ARENA_ALIGN + counting.used,
        /* a run that diverges is probed once more */
        .measurements =
            report_rows(s) * (uint64_t)(s->spec->measure.n_steps + 1) + proxy_rows(s->spec),
        .measured_flops = flops * (s->backward ? 3.0 : 1.0) * s->spec->measure.n_steps,
    };
    metric_cost_of(s, e->out->metrics);
    for (int k = 0; k < GROUP_COUNT; k++) {
        e->out->metrics[k].flops *= s->spec->measure.n_steps;
        e->out->metrics[k].passes *= s->spec->measure.n_steps;
    }
    e->pass_flops = flops * (s->backward ? 3.0 : 1.0);
}

/* Proxies have passes of their own, in the same memory. */
static void add_proxies(session *s, size_t table_bytes, void *user)
{
    struct estimating *e = user;
    proxy_work work;
    arena counting;
    arena_init(&counting, NULL, 0);
    session_layout(s, e->n_threads, &counting);
    proxy_layout(s, e->family, e->n_threads, &work, &counting);
    uint64_t bytes = proxy_pass_bytes() + table_bytes + 2 * ARENA_ALIGN + counting.used;
    if (bytes > e->out->peak_bytes) e->out->peak_bytes = bytes;
    metric_cost *cost = &e->out->metrics[GROUP_proxy];
    double flops = 3 * cost_pass_flops(&s->g) * e->units + proxy_work_flops(s, e->spec, e->family);
    e->out->flops += flops;
    cost->passes += flops / e->pass_flops;
}

static err_code
estimate_run(const run_spec *spec, int n_threads, bool want_tensors, estimate *out, error *err)
{
    struct estimating e = {.n_threads = n_threads, .spec = spec, .out = out};
    err_code code = check(spec, err);
    if (!code) code = plan_only(spec, want_tensors, NULL, fill_estimate, &e, err);
    for (int f = 0; f < PROXY_FAMILIES && !code; f++) {
        run_spec derived;
        e.family = (proxy_family)f;
        e.units = proxy_family_units(spec, e.family);
        if (!proxy_needs(spec, e.family) || !proxy_derive(spec, e.family, &derived)) continue;
        plan_options kept = proxy_keeps(spec, e.family);
        code = plan_only(&derived, false, &kept, add_proxies, &e, err);
    }
    if (!code)
        metric_cost_factors(out->metrics, e.pass_flops, out->traffic_bytes, spec->measure.n_steps);
    return code;
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

/* A run under way. */
typedef struct runner {
    session *s;
    const sink *to;
    run_summary *summary;
    int step;
    double passes;     /* complete, those of proxies among them */
    double inside;     /* of the extras of this step, so far */
    double pass_share; /* of the whole run */
} runner;

static bool tell(runner *r, int layer, double inside)
{
    progress p = {.step = r->step,
                  .steps = r->s->spec->train.steps,
                  .layer = layer,
                  .layers = r->s->spec->depth,
                  .fraction = (r->passes + inside) * r->pass_share};
    return r->to->progress(r->to->user, &p);
}

static bool on_stage(void *user, int at, int n_stages, int layer)
{
    runner *r = user;
    if (!r->to->progress) return true;
    int n_forward = r->s->p.n_forward;
    double inside = at < n_forward ? (at + 1.0) / n_forward / 3
                                   : (1 + 2.0 * (at + 1 - n_forward) / (n_stages - n_forward)) / 3;
    return tell(r, layer, inside);
}

/* Of the many parts of passes of an extra. */
static bool on_extra_stage(void *user, int at, int n_stages, int layer)
{
    (void)n_stages;
    runner *r = user;
    double most = extra_passes(r->s);
    r->inside += extra_stage_share(&r->s->x, at);
    return !r->to->progress || tell(r, layer, r->inside < most ? r->inside : most);
}

static bool is_probed(const spec_measure *m, int step)
{
    for (int i = 0; i < m->n_steps; i++)
        if (m->steps[i] == step) return true;
    return false;
}

/* Where the forward pass first met a non-finite value: the site of the first node that made one, or
 * of the next named value it feeds. */
static const value *named_value(const graph *g, int v)
{
    if (g->values[v].site != NONE) return &g->values[v];
    for (int i = v + 1; i < g->n_values && g->values[i].parent == v; i++)
        if (g->values[i].site != NONE) return &g->values[i];
    return NULL;
}

static void located(runner *r, int layer, int where)
{
    r->summary->diverged_layer = layer;
    r->summary->diverged_site = (site)where;
}

static void locate_value(runner *r)
{
    const graph *g = &r->s->g;
    int first = atomic_load(&r->s->x.first_bad);
    for (int place = first; place < g->n_nodes * NODE_OUTPUTS; place++) {
        const node *n = &g->nodes[place / NODE_OUTPUTS];
        int k = NODE_OUTPUTS - 1 - place % NODE_OUTPUTS;
        const value *v = k < n->n_outputs ? named_value(g, n->outputs[k]) : NULL;
        if (!v) continue;
        located(r, v->layer, v->site);
        return;
    }
}

/* The same for the backward pass: the next named value is below. Gradients of values may all be
 * finite and those of a parameter not, which come after them in each layer. */
static void locate_gradient(runner *r)
{
    const session *s = r->s;
    for (int i = atomic_load(&s->x.first_bad_grad); i >= 0; i--) {
        const value *v = named_value(&s->g, s->g.nodes[i].outputs[0]);
        if (!v) continue;
        located(r, v->layer, v->site);
        return;
    }
    for (int p = 0; p < s->g.n_params; p++) {
        const param *w = &s->g.params[p];
        if (w->grad_buffer != NONE && !isfinite(train_grad_sq(s, p)) &&
            w->layer >= r->summary->diverged_layer)
            located(r, w->layer, SITE_param);
    }
}

/* The pass that diverged is run again, measured and searched, so that the result shows where. */
static err_code diverge(runner *r, double *found)
{
    session *s = r->s;
    s->x.watch = probe_watch(&s->probe);
    s->x.locate = true;
    err_code code = exec_forward(&s->x, on_stage, r, found);
    if (!code && s->backward) code = exec_backward(&s->x, on_stage, r);
    s->x.locate = false;
    if (code) return code;
    r->summary->diverged = true;
    r->summary->diverged_step = r->step;
    located(r, -1, SITE_run);
    locate_value(r);
    r->summary->diverged_backward = isfinite(*found) && r->summary->diverged_layer < 0;
    if (r->summary->diverged_backward) locate_gradient(r);
    return ERR_OK;
}

static err_code refused(error *err)
{
    return error_set(err, ERR_IO, "", "a tensor could not be handed over");
}

/* The numbers and tensors of the pass that has just been made. */
static err_code report(runner *r, const report_pass *pass, error *err)
{
    report_measurements(r->s, pass, r->to);
    if (r->s->want_tensors && r->to->tensor && !report_probe_tensors(r->s, r->step, r->to))
        return refused(err);
    return ERR_OK;
}

/* A pass with running statistics that is measured and changes nothing; the pass of the training
 * loop follows. Its loss may be NaN or infinite: that says nothing about training. */
static err_code eval_step(runner *r, error *err)
{
    session *s = r->s;
    report_pass pass = {.step = r->step, .backward = s->backward};
    s->x.watch = probe_watch(&s->probe);
    s->x.eval = true;
    err_code code = exec_forward(&s->x, on_stage, r, &pass.loss);
    if (!code && s->backward) code = exec_backward(&s->x, on_stage, r);
    s->x.watch = NULL;
    s->x.eval = false;
    if (code) return exec_cancelled(err);
    if (s->probe.parameter) train_weight_norms(s);
    r->passes++;
    return report(r, &pass, err);
}

/* One pass of the training loop: forward, backward where needed, update, report. measured: unless
 * it diverges, this is the pass to measure; reported: the step has its measurements already. */
static err_code train_step(runner *r, bool measured, bool reported, bool *stop, error *err)
{
    session *s = r->s;
    bool update_follows = r->step < s->spec->train.steps;
    bool backward = s->backward && (measured || update_follows);
    step_record record = {.step = r->step, .grad_norm = (double)NAN};
    s->x.watch = measured ? probe_watch(&s->probe) : NULL;
    if (exec_forward(&s->x, on_stage, r, &record.loss)) return exec_cancelled(err);
    bool bad = !isfinite(record.loss);
    if (!bad && backward) {
        if (exec_backward(&s->x, on_stage, r)) return exec_cancelled(err);
        record.grad_norm = train_grad_norm(s);
        bad = update_follows && !isfinite(record.grad_norm);
    }
    if (bad) {
        if (diverge(r, &record.loss)) return exec_cancelled(err);
        backward = s->backward;
        measured = !reported;
        if (backward) record.grad_norm = train_grad_norm(s);
    }
    if (measured && s->probe.parameter) train_weight_norms(s);
    bool updated = update_follows && !bad;
    if (updated) {
        record.lr = train_update(s, r->step + 1, record.grad_norm);
        exec_commit(&s->x);
        r->summary->steps_done = r->step + 1;
    }
    s->grad_norms[r->step] = record.grad_norm;
    if (r->to->step) r->to->step(r->to->user, &record);
    report_pass pass = {
        .step = r->step, .loss = record.loss, .backward = backward, .updated = updated};
    *stop = bad;
    r->passes++;
    return measured ? report(r, &pass, err) : ERR_OK;
}

/* Measurements with passes of their own, before the pass that is measured. */
static err_code extra_step(runner *r, bool eval, error *err)
{
    session *s = r->s;
    extra_pass how = {.step = r->step, .progress = on_extra_stage, .user = r};
    if (!extra_any(s->spec)) return ERR_OK;
    r->inside = 0;
    s->x.eval = eval;
    err_code code = extra_run(s, &how);
    s->x.eval = false;
    r->passes += extra_passes(s);
    return code ? exec_cancelled(err) : ERR_OK;
}

static err_code run_step(runner *r, bool *stop, error *err)
{
    bool probed = is_probed(&r->s->spec->measure, r->step), eval = probed && has_eval(r->s);
    session_use_batch(r->s, r->step);
    err_code code = probed ? extra_step(r, eval, err) : ERR_OK;
    if (!code && eval) code = eval_step(r, err);
    return code ? code : train_step(r, probed && !eval, eval, stop, err);
}

static err_code profile(runner *r, error *err)
{
    session_use_batch(r->s, 0);
    return exec_profile(&r->s->x, on_stage, r) ? exec_cancelled(err) : ERR_OK;
}

/* Initial weights and state, as the sink leaves them. */
static err_code start(runner *r, error *err)
{
    session *s = r->s;
    bool profiles = exec_profiles(&s->g);
    exec_begin_state(&s->x);
    train_project(s);
    if (profiles) {
        err_code code = profile(r, err);
        if (code) return code;
        r->passes++;
    }
    if (!r->to->tensor) return ERR_OK;
    profile_mark before = profiles ? profile_mark_of(&s->x) : (profile_mark){0};
    if (!report_tensors(s, TENSOR_INITIAL, 0, r->to)) return refused(err);
    train_project(s); /* weights may have been loaded */
    return profiles && profile_is_stale(&s->x, before) ? profile(r, err) : ERR_OK;
}

static err_code train(runner *r, error *err)
{
    session *s = r->s;
    int passes = s->spec->train.steps + 1;
    bool stop = false;
    r->pass_share = 1 / (r->passes + count_passes(s) + exec_profiles(&s->g));
    err_code code = start(r, err);
    if (code) return code;
    for (int i = 0; i < OPTIMIZER_STATES; i++)
        if (s->states[i]) memset(s->states[i], 0, s->p.param_count * sizeof(real));
    for (r->step = 0; r->step < passes && !stop; r->step++)
        if ((code = run_step(r, &stop, err))) return code;
    if (s->spec->train.steps) report_trace(s, r->step, r->to);
    if (r->to->tensor && !report_tensors(s, TENSOR_FINAL, s->spec->train.steps, r->to))
        return refused(err);
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

/* The proxies that need no pass: the size of the network. */
static void write_size(const session *s, const sink *to)
{
    const spec_measure *m = &s->spec->measure;
    const double sizes[] = {(double)s->p.param_count, cost_pass_flops(&s->g)};
    const metric metrics[] = {METRIC_param_count, METRIC_pass_flops};
    for (int i = 0; i < 2; i++) {
        measurement row = {.layer = -1, .site = SITE_run, .metric = metrics[i], .value = sizes[i]};
        if (m->metrics[metrics[i]] && m->sites[SITE_run] && to->measure)
            to->measure(to->user, &row, 1);
    }
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
                         .total = proxy_units(spec) + count_passes(s) + exec_profiles(&s->g)};
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
        runner r = {.s = s, .to = to, .summary = summary, .passes = proxy_units(spec)};
        write_size(s, to);
        code = train(&r, err);
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
    .estimate = estimate_run,
    .run = run,
    .predict = predict,
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
