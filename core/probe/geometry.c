/* How alike the tokens of a sequence are; cosines that must wait for the end of a stage are in
 * cosine.h. */
#include "core/metric/geometry.h"
#include "core/metric/fit.h"
#include "core/probe/cosine.h"
#include "core/probe/gauge.h"

typedef struct state {
    geometry *sums; /* [n_taps, B] */
    probe_cosine cosine;
} state;

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return gauge_is_plain(t) ? GAUGE_VALUE | GAUGE_SLABS : 0;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    state s = {.sums = arena_alloc(a, (size_t)g->n_taps * (size_t)g->batch * sizeof *s.sums)};
    probe_cosine_init(&s.cosine, g);
    probe_cosine_layout(&s.cosine, n_threads, a);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

static geometry *sums_of(const state *s, const graph *g, int tap_index)
{
    return s->sums + (size_t)tap_index * (size_t)g->batch;
}

static void value_made(void *own, const look *l)
{
    geometry_reset(&sums_of(own, l->g, l->at)[l->b]);
}

static void slab_made(void *own, const look *l, const slab *s, size_t row)
{
    (void)row;
    geometry_add(&sums_of(own, l->g, l->at)[l->b], s);
}

static void stage_ended(void *own, const exec *x, const stage *st)
{
    state *s = own;
    probe_cosine_stage(&s->cosine, x, st);
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    state *s = own;
    geometry *sums = sums_of(s, g, tap_index);
    for (int b = 1; b < g->batch; b++) geometry_merge(&sums[0], &sums[b]);
    geometry_finish(&sums[0], out);
    probe_cosine_finish(&s->cosine, tap_index, out);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)with_grads;
    return !t->is_matrix && m != METRIC_angle_exponent;
}

static void run(const void *own, const gauge_run *r, gauge_emit *emit, void *user)
{
    (void)own;
    const run_spec *spec = r->g->spec;
    fit f;
    if (!spec->measure.metrics[METRIC_angle_exponent]) return;
    fit_growth(r->series[SERIES_APART] + 1, spec->depth, &f);
    emit(user, -1, SITE_run, NULL, METRIC_angle_exponent,
         spec->data.seq_len < 2 ? value_undefined(REASON_ONE_TOKEN) : f.slope);
}

static double flops(const graph *g, const tap *t)
{
    const bool *m = g->spec->measure.metrics;
    const value *v = &g->values[t->value];
    const double entries = gauge_entries(g, t);
    if (!gauge_is_plain(t)) return 0;
    return 4.0 * (v->rows + v->cols) + (m[METRIC_cos_abs_mean] ? 2 * v->rows * entries : 0) +
           (m[METRIC_cos_mean_centred] ? 8 * entries : 0);
}

const gauge gauge_geometry = {
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .slab = slab_made,
    .stage = stage_ended,
    .finish = finish,
    .applies = applies,
    .run = run,
    .flops = flops,
    .weight = 6,
};
