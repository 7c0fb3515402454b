/* Group sharpness: the Hessian H of the loss on the probed batch, in all parameters or in those of
 * one block, by Lanczos on H v (hvp.h).
 *
 * Three-term recurrence without reorthogonalization: the vectors of a whole basis would be as many
 * copies of the weights. What is lost of orthogonality makes copies of eigenvalues that have been
 * found and moves none (Paige 1980). lambda_max comes from below, lambda_min from above.
 *
 * Where the backward pass is not the derivative of the forward pass, H is not symmetric and has no
 * such values: REASON_ASYMMETRIC.
 *
 * With sgd and momentum b a quadratic is stable below (2 + 2 b)/lr (Polyak 1964; Cohen et al. 2021,
 * arXiv:2103.00065). Adam's threshold is about its preconditioned Hessian and is not given.
 */
#include "core/extra/hvp.h"
#include "core/extra/lanczos.h"
#include "core/optimizer/optimizer.h"
#include "core/probe/gauge.h"
#include "core/run/extra.h"
#include "core/run/session.h"
#include "core/schedule/schedule.h"

#include <stdio.h>

#if REAL_BITS == 64
#define ASYMMETRY 1e-3
#else
#define ASYMMETRY 3e-2
#endif

typedef struct spectrum_ends {
    double largest, smallest, change;
    int iterations;
    bool asymmetric;
} spectrum_ends;

typedef struct sharpness {
    bool ends, curvature, blocks; /* what is wanted */
    int iterations;
    hvp h;
    real *v[3]; /* each like the parameters */
    double *diag, *off;
    spectrum_ends whole, *block; /* [L + 1] */
    metric_value along;          /* g'Hg/g'g */
} sharpness;

static bool wants(const run_spec *spec, metric m)
{
    return spec->measure.metrics[m];
}

static sharpness shape_of(const session *s)
{
    const run_spec *spec = s->spec;
    return (sharpness){
        .ends = wants(spec, METRIC_hessian_max) || wants(spec, METRIC_hessian_min) ||
                wants(spec, METRIC_hessian_change) || wants(spec, METRIC_hessian_iterations),
        .curvature = wants(spec, METRIC_hessian_grad),
        .blocks = wants(spec, METRIC_hessian_max_block),
        .iterations = spec->measure.iterations,
    };
}

/* A product is two gradients; in the parameters of a block, of the segments from it on. */
static double passes(const session *s)
{
    sharpness w = shape_of(s);
    double depth = s->spec->depth, segments = depth + 2, blocks = 0;
    for (int l = 1; l <= s->spec->depth && w.blocks; l++) blocks += (segments - l) / segments;
    return w.ends * 2.0 * w.iterations + w.curvature * 3 +
           w.blocks * (1 / 3.0 + 2 * w.iterations * blocks);
}

static void *layout(const session *s, int n_threads, arena *a)
{
    (void)n_threads;
    sharpness w = shape_of(s);
    sharpness *out = arena_alloc(a, sizeof *out);
    hvp_layout(&w.h, &s->p, a);
    for (int i = 0; i < 3; i++) w.v[i] = arena_alloc(a, s->p.param_count * sizeof *w.v[i]);
    w.diag = arena_alloc(a, (size_t)w.iterations * sizeof *w.diag);
    w.off = arena_alloc(a, (size_t)w.iterations * sizeof *w.off);
    w.block = arena_alloc(a, ((size_t)s->spec->depth + 1) * sizeof *w.block);
    if (out) *out = w;
    return out;
}

static void finish(const sharpness *w, int k, double apart, spectrum_ends *out)
{
    double before = k > 1 ? lanczos_eigenvalue(w->diag, w->off, k - 1, true) : 0;
    out->largest = lanczos_eigenvalue(w->diag, w->off, k, true);
    out->smallest = lanczos_eigenvalue(w->diag, w->off, k, false);
    out->change = fabs(out->largest - before) / fabs(out->largest);
    out->iterations = k;
    out->asymmetric = apart > ASYMMETRY * fmax(fabs(out->largest), fabs(out->smallest));
}

/* The start is drawn from `random`; the entries are those of w->h. */
static err_code lanczos(sharpness *w, const rng *random, spectrum_ends *out, const extra_pass *how)
{
    const flat *f = &w->h.f;
    real *before = w->v[0], *now = w->v[1], *next = w->v[2];
    double left = 0, apart = 0;
    int k = 0;
    flat_normal(f, now, random);
    flat_scale(f, now, 1 / sqrt(flat_dot(f, now, now)));
    while (k < w->iterations) {
        if (hvp_apply(&w->h, now, next, how->progress, how->user)) return ERR_CANCELLED;
        double size = sqrt(flat_dot(f, next, next));
        if (k) {
            apart = fmax(apart, fabs(flat_dot(f, before, next) - left));
            flat_add(f, next, -left, before);
        }
        w->diag[k] = flat_dot(f, now, next);
        flat_add(f, next, -w->diag[k], now);
        left = w->off[k] = sqrt(flat_dot(f, next, next));
        k++;
        if (!(left > size * 16 * REAL_EPSILON)) break;
        flat_scale(f, next, 1 / left);
        real *spare = before;
        before = now, now = next, next = spare;
    }
    finish(w, k, apart, out);
    return ERR_OK;
}

static err_code along_gradient(sharpness *w, const extra_pass *how)
{
    const flat *f = &w->h.f;
    real *g = w->v[0], *hg = w->v[1];
    if (hvp_gradient(&w->h, g, how->progress, how->user)) return ERR_CANCELLED;
    double square = flat_dot(f, g, g);
    if (hvp_apply(&w->h, g, hg, how->progress, how->user)) return ERR_CANCELLED;
    w->along = square == 0 ? value_undefined(REASON_ZERO) : value_of(flat_dot(f, g, hg) / square);
    return ERR_OK;
}

static rng start_of(const session *s, int step, int layer)
{
    char name[48];
    snprintf(name, sizeof name, "step %d layer %d", step, layer);
    return rng_stream(s->spec->seed, "sharpness", name);
}

/* Parameters of block l stand together; false when it has none. */
static bool entries_of(const graph *g, int layer, size_t *first, size_t *end)
{
    int p = 0, last;
    while (p < g->n_params && g->params[p].layer != layer) p++;
    if (p == g->n_params) return false;
    for (last = p; last + 1 < g->n_params && g->params[last + 1].layer == layer;) last++;
    *first = g->params[p].data;
    *end = g->params[last].data + g->params[last].count;
    return true;
}

/* From the last block down, so that what lies before a block has not been disturbed. */
static err_code measure_blocks(session *s, sharpness *w, const extra_pass *how)
{
    size_t first, end;
    err_code code = exec_forward_part(&s->x, 0, s->g.n_segments - 1, how->progress, how->user);
    for (int l = s->spec->depth; l >= 1 && !code; l--) {
        w->block[l] = (spectrum_ends){.largest = 0};
        if (!entries_of(&s->g, l, &first, &end)) continue;
        rng random = start_of(s, how->step, l);
        hvp_begin(&w->h, &s->x, first, end);
        code = lanczos(w, &random, &w->block[l], how);
    }
    return code;
}

static err_code run(session *s, void *state, const extra_pass *how)
{
    sharpness *w = state;
    rng random = start_of(s, how->step, -1);
    err_code code = ERR_OK;
    hvp_begin(&w->h, &s->x, 0, s->p.param_count);
    if (w->curvature) code = along_gradient(w, how);
    if (!code && w->ends) code = lanczos(w, &random, &w->whole, how);
    return !code && w->blocks ? measure_blocks(s, w, how) : code;
}

static metric_value unless_asymmetric(const spectrum_ends *e, double number)
{
    return e->asymmetric ? value_undefined(REASON_ASYMMETRIC) : value_of(number);
}

static void report_limit(const session *s, extra_emit *emit, void *user)
{
    const spec_train *t = &s->spec->train;
    int next = s->extras.step + 1;
    if (!t->steps || optimizer_table[t->optimizer] != &optimizer_sgd) return;
    double rate = schedule_rate(t, next < t->steps ? next : t->steps);
    emit(user, -1, SITE_run, METRIC_hessian_limit,
         rate > 0 ? value_of((2 + 2 * t->momentum) / rate) : value_undefined(REASON_ZERO));
}

static void report(const session *s, const void *state, extra_emit *emit, void *user)
{
    const sharpness *w = state;
    const spectrum_ends *e = &w->whole;
    if (w->ends) {
        emit(user, -1, SITE_run, METRIC_hessian_max, unless_asymmetric(e, e->largest));
        emit(user, -1, SITE_run, METRIC_hessian_min, unless_asymmetric(e, e->smallest));
        emit(user, -1, SITE_run, METRIC_hessian_change, value_of(e->change));
        emit(user, -1, SITE_run, METRIC_hessian_iterations, value_of(e->iterations));
    }
    if (w->curvature) emit(user, -1, SITE_run, METRIC_hessian_grad, w->along);
    report_limit(s, emit, user);
    for (int l = 1; l <= s->spec->depth && w->blocks; l++)
        emit(user, l, SITE_run, METRIC_hessian_max_block,
             unless_asymmetric(&w->block[l], w->block[l].largest));
}

const extra extra_sharpness = {.group = GROUP_sharpness,
                               .uses = USES(ITERATIONS),
                               .param_grads = true,
                               .passes = passes,
                               .layout = layout,
                               .run = run,
                               .report = report};

const gauge gauge_sharpness = {.passes = passes};
