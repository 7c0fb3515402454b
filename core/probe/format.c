/* What number formats would do to values and gradients, and where the stream leaves them. */
#include "core/probe/format.h"

#include "core/metric/headroom.h"
#include "core/probe/gauge.h"

static const metric of_values[HEADROOM_FORMATS] = {
#define FORMAT(name, ...) METRIC_##name##_overflow_layer,
#include "core/base/format.def"
#undef FORMAT
};

static const metric of_gradients[HEADROOM_FORMATS] = {
#define FORMAT(name, ...) METRIC_grad_##name##_overflow_layer,
#include "core/base/format.def"
#undef FORMAT
};

typedef struct state {
    headroom_counts *counts[2]; /* [n_taps, B]: values, gradients; or NULL */
} state;

/* Some of those of a tap, by kind. */
static void wanted_kinds(const run_spec *spec, bool kinds[2])
{
    kinds[0] = kinds[1] = false;
    for (int m = 0; m < METRIC_COUNT; m++)
        if (spec->measure.metrics[m] && headroom_is_metric(m))
            kinds[headroom_is_of_gradients(m)] = true;
}

static unsigned needs(const run_spec *spec, bool groups[GROUP_COUNT])
{
    bool kinds[2];
    wanted_kinds(spec, kinds);
    for (int k = 0; k < HEADROOM_FORMATS; k++) {
        const bool in_group = metric_group_of(of_values[k]) == GROUP_format;
        groups[GROUP_moments] |= in_group && spec->measure.metrics[of_values[k]];
        groups[GROUP_gradient] |= spec->measure.metrics[of_gradients[k]];
    }
    return kinds[1] ? GAUGE_BACKWARD : 0;
}

static unsigned reads(const graph *g, const tap *t)
{
    bool kinds[2];
    if (t->hidden) return 0;
    wanted_kinds(g->spec, kinds);
    return (kinds[0] ? GAUGE_VALUE : 0) | (kinds[1] ? GAUGE_GRADIENT : 0);
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    (void)n_threads;
    bool kinds[2];
    state s = {{NULL, NULL}};
    wanted_kinds(g->spec, kinds);
    for (int i = 0; i < 2; i++)
        if (kinds[i])
            s.counts[i] =
                arena_alloc(a, (size_t)g->n_taps * (size_t)g->batch * sizeof *s.counts[i]);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

static headroom_counts *counts_of(const state *s, int kind, const graph *g, int tap_index)
{
    return s->counts[kind] + (size_t)tap_index * (size_t)g->batch;
}

static void add(const look *l, headroom_counts *counts)
{
    headroom_reset(counts);
    for (size_t r = 0; l->data && r < (size_t)l->v->rows; r++) {
        size_t begin, end;
        gauge_visible(l, r, &begin, &end);
        headroom_add(counts, l->data + r * (size_t)l->v->ld + begin, end - begin);
    }
}

static void value_made(void *own, const look *l)
{
    add(l, &counts_of(own, 0, l->g, l->at)[l->b]);
}

static void gradient_made(void *own, const look *l)
{
    add(l, &counts_of(own, 1, l->g, l->at)[l->b]);
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    const state *s = own;
    for (int kind = 0; kind < 2; kind++) {
        if (!s->counts[kind] || (kind == 1 && !with_grads)) continue;
        headroom_counts *counts = counts_of(s, kind, g, tap_index);
        for (int b = 1; b < g->batch; b++) headroom_merge(&counts[0], &counts[b]);
        headroom_finish(&counts[0], kind == 1, out);
    }
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)t;
    return headroom_is_metric((int)m) && (with_grads || !headroom_is_of_gradients((int)m));
}

/* Does x leave the k-th format? Where a run rounds to one that saturates it gets no further than
 * to its largest number. */
static bool leaves(double x, int k, int rounded_to)
{
    const format f = (format)(FORMAT_fp16 + k);
    const bool ends = format_table[f].saturates && rounded_to == (int)f;
    return ends ? x >= headroom_max(k) : x > headroom_max(k);
}

static metric_value layer_or_absent(int layer)
{
    return layer == NONE ? value_undefined(REASON_ABSENT) : value_of(layer);
}

static int first_overflow(const gauge_run *r, int k)
{
    const run_spec *spec = r->g->spec;
    for (int l = 0; l <= spec->depth; l++)
        if (leaves(r->series[SERIES_MAX_ABS][l], k, spec->rounding.activations)) return l;
    return NONE;
}

/* From the output down, as the backward pass goes. */
static int first_grad_overflow(const gauge_run *r, int k)
{
    const run_spec *spec = r->g->spec;
    for (int l = spec->depth; l >= 0; l--)
        if (leaves(r->series[SERIES_GRAD_MAX][l] * spec->rounding.loss_scale, k,
                   spec->rounding.gradients))
            return l;
    return NONE;
}

void probe_format_run(metric_group group, const gauge_run *r, gauge_emit *emit, void *user)
{
    for (int k = 0; k < HEADROOM_FORMATS; k++) {
        if (metric_group_of(of_values[k]) == group)
            emit(user, -1, SITE_run, NULL, of_values[k], layer_or_absent(first_overflow(r, k)));
        if (metric_group_of(of_gradients[k]) == group && r->backward)
            emit(user, -1, SITE_run, NULL, of_gradients[k],
                 layer_or_absent(first_grad_overflow(r, k)));
    }
}

static void run(const void *own, const gauge_run *r, gauge_emit *emit, void *user)
{
    (void)own;
    probe_format_run(GROUP_format, r, emit, user);
}

static double flops(const graph *g, const tap *t)
{
    bool kinds[2];
    wanted_kinds(g->spec, kinds);
    return t->hidden ? 0 : 6 * gauge_entries(g, t) * (kinds[0] + kinds[1]);
}

const gauge gauge_format = {
    .needs = needs,
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .gradient = gradient_made,
    .finish = finish,
    .applies = applies,
    .run = run,
    .flops = flops,
    .weight = 10,
};
