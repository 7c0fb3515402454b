/* Norms of the gradient at every tap, hidden ones too: what grad_norm_rel divides by may be one. */
#include "core/metric/gradient.h"
#include "core/probe/gauge.h"

static unsigned needs(const run_spec *spec, bool groups[GROUP_COUNT])
{
    (void)spec, (void)groups;
    return GAUGE_BACKWARD;
}

static unsigned reads(const graph *g, const tap *t)
{
    (void)g, (void)t;
    return GAUGE_GRADIENT | GAUGE_GRADIENT_SLABS;
}

/* [n_taps, B] */
static void *layout(const graph *g, int n_threads, arena *a)
{
    (void)n_threads;
    return arena_alloc(a, (size_t)g->n_taps * (size_t)g->batch * sizeof(gradient));
}

static gradient *sums_of(void *state, const graph *g, int tap_index)
{
    return (gradient *)state + (size_t)tap_index * (size_t)g->batch;
}

static void gradient_made(void *state, const look *l)
{
    gradient_reset(&sums_of(state, l->g, l->at)[l->b]);
}

static void slab_made(void *state, const look *l, const slab *s)
{
    gradient_add(&sums_of(state, l->g, l->at)[l->b], s);
}

static gradient over_batch(void *state, const graph *g, int tap_index)
{
    const gradient *sums = sums_of(state, g, tap_index);
    gradient sum = sums[0];
    for (int b = 1; b < g->batch; b++) gradient_merge(&sum, &sums[b]);
    return sum;
}

static metric_value relative(metric_value length, metric_value reference)
{
    if (length.reason) return length;
    if (reference.reason) return reference;
    return reference.value == 0 ? value_undefined(REASON_ZERO)
                                : value_of(length.value / reference.value);
}

static void finish(void *state, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    if (!with_grads) return;
    metric_value reference = value_undefined(REASON_NO_ENTRIES);
    const gradient sum = over_batch(state, g, tap_index);
    gradient_finish(&sum, out);
    if (g->reference_tap != NONE) {
        const gradient last = over_batch(state, g, g->reference_tap);
        reference = value_of(gradient_norm(&last));
    }
    out[METRIC_grad_norm_rel] = relative(out[METRIC_grad_norm], reference);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g;
    return with_grads && !(t->is_matrix && m == METRIC_grad_token_corr);
}

static double flops(const graph *g, const tap *t)
{
    return 5 * gauge_entries(g, t);
}

const gauge gauge_gradient = {
    .needs = needs,
    .reads = reads,
    .layout = layout,
    .gradient = gradient_made,
    .gradient_slab = slab_made,
    .finish = finish,
    .applies = applies,
    .flops = flops,
    .weight = 6,
};
