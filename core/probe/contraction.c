/* How much attention matrices mix, and what is left of differences after those so far: taps come in
 * the order of the graph, so each product begins where the one before ended. */
#include "core/metric/contraction.h"
#include "core/probe/gauge.h"
#include "core/probe/spectrum.h"

typedef struct state {
    contraction *sums; /* [n_taps, B] */
    int first;         /* tap where products begin, or NONE */
    double *paths;     /* [B, T, T] */
    char *work;        /* work_bytes for each worker */
    size_t work_bytes;
} state;

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return site_role_of(t->site) == ROLE_pairs ? GAUGE_VALUE : 0;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    const size_t length = (size_t)g->seq_len, batch = (size_t)g->batch;
    state s = {.first = NONE};
    for (int i = g->n_taps - 1; i >= 0; i--)
        if (reads(g, &g->taps[i])) s.first = i;
    if (s.first != NONE) {
        s.sums = arena_alloc(a, (size_t)g->n_taps * batch * sizeof *s.sums);
        s.work_bytes = contraction_work_bytes(length);
        s.work = arena_alloc(a, (size_t)n_threads * s.work_bytes);
        if (g->spec->measure.metrics[METRIC_attn_path_contraction])
            s.paths = arena_alloc(a, batch * length * length * sizeof *s.paths);
    }
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

static contraction *sums_of(const state *s, const graph *g, int tap_index)
{
    return s->sums + (size_t)tap_index * (size_t)g->batch;
}

static void value_made(void *own, const look *l)
{
    const state *s = own;
    const size_t length = (size_t)l->g->seq_len;
    contraction_add(&sums_of(s, l->g, l->at)[l->b], l->data, (size_t)l->v->rows / length, length,
                    s->paths ? s->paths + (size_t)l->b * length * length : NULL, l->at == s->first,
                    s->work + (size_t)l->worker * s->work_bytes);
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    contraction *sums = sums_of(own, g, tap_index);
    for (int b = 1; b < g->batch; b++) contraction_merge(&sums[0], &sums[b]);
    contraction_finish(&sums[0], out);
}

static double flops(const graph *g, const tap *t)
{
    const double length = g->seq_len, heads = g->values[t->value].rows / length;
    const bool path = g->spec->measure.metrics[METRIC_attn_path_contraction];
    const double one = spectrum_flops(length, length, 2);
    if (!reads(g, t)) return 0;
    return heads * one + (path ? one + 2 * length * length * length : 0);
}

const gauge gauge_contraction = {
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .finish = finish,
    .flops = flops,
    .weight = 6,
};
