/* Entries and neurons that stand out; what the tokens of a whole batch have in common is in
 * correlation.h. */
#include "core/metric/outlier.h"
#include "core/probe/correlation.h"
#include "core/probe/gauge.h"

typedef struct tap_outliers {
    outlier *sums;  /* [B] */
    double *col_sq; /* [B, cols] */
} tap_outliers;

typedef struct state {
    tap_outliers *taps;
    double *work; /* work_numbers for each worker */
    size_t work_numbers;
    probe_correlation correlation;
} state;

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return gauge_is_plain(t) ? GAUGE_VALUE : 0;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    const size_t batch = (size_t)g->batch;
    state s = {.taps = arena_alloc(a, (size_t)g->n_taps * sizeof *s.taps)};
    for (int i = 0; i < g->n_taps; i++) {
        const value *v = &g->values[g->taps[i].value];
        const size_t entries = (size_t)v->rows * (size_t)v->cols;
        if (!reads(g, &g->taps[i])) continue;
        tap_outliers one = {.sums = arena_alloc(a, batch * sizeof *one.sums),
                            .col_sq = arena_alloc(a, batch * (size_t)v->cols * sizeof(double))};
        if (s.taps) s.taps[i] = one;
        s.work_numbers = entries > s.work_numbers ? entries : s.work_numbers;
    }
    s.work = arena_alloc(a, (size_t)n_threads * s.work_numbers * sizeof *s.work);
    probe_correlation_init(&s.correlation, g);
    probe_correlation_layout(&s.correlation, n_threads, a);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

static void value_made(void *own, const look *l)
{
    const state *s = own;
    const tap_outliers *to = &s->taps[l->at];
    const size_t rows = (size_t)l->v->rows, cols = (size_t)l->v->cols;
    to->sums[l->b] = (outlier){0};
    outlier_add(&to->sums[l->b], l->data, rows, cols, (size_t)l->v->ld, site_is_stream(l->t->site),
                to->col_sq + (size_t)l->b * cols, s->work + s->work_numbers * (size_t)l->worker);
}

static void stage_ended(void *own, const exec *x, const stage *st)
{
    state *s = own;
    probe_correlation_stage(&s->correlation, x, st);
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    const state *s = own;
    const tap *t = &g->taps[tap_index];
    outlier *sums = s->taps[tap_index].sums;
    probe_correlation_finish(&s->correlation, tap_index, out);
    for (int b = 1; b < g->batch; b++) outlier_merge(&sums[0], &sums[b]);
    outlier_finish(&sums[0], site_is_stream(t->site), s->taps[tap_index].col_sq, (size_t)g->batch,
                   (size_t)g->values[t->value].cols, out);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)with_grads;
    return !t->is_matrix &&
           (m == METRIC_mmr || m == METRIC_neuron_kurtosis || site_is_stream(t->site));
}

static double flops(const graph *g, const tap *t)
{
    const double entries = gauge_entries(g, t);
    const bool correlated = probe_correlation_wanted(g->spec) && site_is_stream(t->site);
    if (!gauge_is_plain(t)) return 0;
    return 400 * entries + (correlated ? 2 * g->values[t->value].cols * entries : 0);
}

const gauge gauge_outlier = {
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .stage = stage_ended,
    .finish = finish,
    .applies = applies,
    .flops = flops,
    .weight = 5,
};
