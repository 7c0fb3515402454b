/* Moments of the values at every tap. */
#include "core/metric/moments.h"
#include "core/probe/gauge.h"

typedef struct tap_moments {
    moments *sums;    /* [B] */
    double *token_sq; /* [B, rows] */
} tap_moments;

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return t->hidden ? 0 : GAUGE_VALUE | GAUGE_SLABS;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    (void)n_threads;
    const size_t batch = (size_t)g->batch;
    tap_moments *taps = arena_alloc(a, (size_t)g->n_taps * sizeof *taps);
    for (int i = 0; i < g->n_taps; i++) {
        if (!reads(g, &g->taps[i])) continue;
        const size_t rows = (size_t)g->values[g->taps[i].value].rows;
        tap_moments one = {.sums = arena_alloc(a, batch * sizeof *one.sums),
                           .token_sq = arena_alloc(a, batch * rows * sizeof *one.token_sq)};
        if (taps) taps[i] = one;
    }
    return taps;
}

static void value_made(void *state, const look *l)
{
    const tap_moments *taps = state;
    moments_reset(&taps[l->at].sums[l->b]);
}

static void slab_made(void *state, const look *l, const slab *s, size_t row)
{
    const tap_moments *taps = state, *own = &taps[l->at];
    moments_add(&own->sums[l->b], s, own->token_sq + (size_t)l->b * (size_t)l->v->rows + row);
}

static void finish(void *state, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    const tap_moments *taps = state, *own = &taps[tap_index];
    const size_t rows = (size_t)g->values[g->taps[tap_index].value].rows;
    for (int b = 1; b < g->batch; b++) moments_merge(&own->sums[0], &own->sums[b]);
    moments_finish(&own->sums[0], own->token_sq, (size_t)g->batch * rows, out);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)with_grads;
    return !(t->is_matrix && (m == METRIC_var_feat || m == METRIC_var_token));
}

const gauge gauge_moments = {
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .slab = slab_made,
    .finish = finish,
    .applies = applies,
    .weight = 6,
};
