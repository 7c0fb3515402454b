#include "core/run/runner.h"

#include "core/graph/cost.h"
#include "core/graph/pass.h"
#include "core/optimizer/optimizer.h"
#include "core/run/profile.h"
#include "core/run/report.h"
#include "core/run/tensors.h"
#include "core/run/train.h"

#include <math.h>
#include <string.h>

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
    if (s->probe.needs & GAUGE_PARAMETERS) train_weight_norms(s);
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
    if (measured && (s->probe.needs & GAUGE_PARAMETERS)) train_weight_norms(s);
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
    bool probed = is_probed(&r->s->spec->measure, r->step), eval = probed && session_has_eval(r->s);
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
    r->pass_share = 1 / (r->passes + session_passes(s) + exec_profiles(&s->g));
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

err_code
runner_run(session *s, double passes_made, const sink *to, run_summary *summary, error *err)
{
    runner r = {.s = s, .to = to, .summary = summary, .passes = passes_made};
    write_size(s, to);
    return train(&r, err);
}
