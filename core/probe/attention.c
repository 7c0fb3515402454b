/* What attention's rows say: their entropies, which the op has made, and sums over the entries of
 * probabilities and of logits. */
#include "core/metric/attention.h"
#include "core/op/op.h"
#include "core/probe/gauge.h"

#include <string.h>

typedef struct tap_rows {
    real *entropy;        /* [B, H, T], or NULL */
    attention_rows *sums; /* [B], or NULL */
} tap_rows;

typedef struct state {
    tap_rows *taps;
    double *order;     /* entropies of a tap, to be sorted */
    uint32_t *visible; /* [T] */
} state;

static bool is_of_logits(metric m)
{
    return m == METRIC_logit_scale || m == METRIC_logit_scale_centred || m == METRIC_logit_max;
}

static bool wants_entries(const run_spec *spec)
{
    const bool *m = spec->measure.metrics;
    return m[METRIC_attn_participation] || m[METRIC_logit_scale] || m[METRIC_logit_scale_centred] ||
           m[METRIC_logit_max];
}

static unsigned reads(const graph *g, const tap *t)
{
    if (!t->is_matrix) return 0;
    return (t->entropy != NONE ? GAUGE_VALUE : 0) |
           (wants_entries(g->spec) ? GAUGE_VALUE | GAUGE_SLABS : 0);
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    (void)n_threads;
    const size_t batch = (size_t)g->batch;
    size_t most = 0;
    state s = {.taps = arena_alloc(a, (size_t)g->n_taps * sizeof *s.taps)};
    for (int i = 0; i < g->n_taps; i++) {
        const tap *t = &g->taps[i];
        const size_t rows = (size_t)g->values[t->value].rows;
        tap_rows one = {NULL, NULL};
        if (t->is_matrix && t->entropy != NONE) {
            one.entropy = arena_alloc(a, batch * rows * sizeof *one.entropy);
            most = batch * rows > most ? batch * rows : most;
        }
        if (reads(g, t) & GAUGE_SLABS) one.sums = arena_alloc(a, batch * sizeof *one.sums);
        if (s.taps) s.taps[i] = one;
    }
    s.order = arena_alloc(a, most * sizeof *s.order);
    s.visible = arena_alloc(a, (size_t)g->seq_len * sizeof *s.visible);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

static void value_made(void *own, const look *l)
{
    const state *s = own;
    const tap_rows *at = &s->taps[l->at];
    const size_t count = (size_t)l->v->rows;
    if (at->entropy)
        memcpy(at->entropy + (size_t)l->b * count, exec_value(l->x, l->t->entropy, l->b),
               count * sizeof *at->entropy);
    if (at->sums) attention_rows_reset(&at->sums[l->b]);
}

static void slab_made(void *own, const look *l, const slab *of_head, size_t row)
{
    (void)row;
    const state *s = own;
    attention_rows_add(&s->taps[l->at].sums[l->b], of_head);
}

static void finish_entropies(state *s, const graph *g, int tap_index, metric_value out[])
{
    const value *v = &g->values[g->taps[tap_index].value];
    const node *n = &g->nodes[v->producer];
    const size_t length = (size_t)g->seq_len;
    for (size_t i = 0; i < length; i++)
        s->visible[i] = (uint32_t)(op_attention_end(n, i, length) - op_attention_first(n, i));
    attention_finish(s->taps[tap_index].entropy, (size_t)g->batch * (size_t)v->rows / length,
                     length, s->visible, s->order, out);
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    state *s = own;
    attention_rows *sums = s->taps[tap_index].sums;
    for (int b = 1; sums && b < g->batch; b++) attention_rows_merge(&sums[0], &sums[b]);
    if (sums) attention_rows_finish(&sums[0], out);
    if (s->taps[tap_index].entropy) finish_entropies(s, g, tap_index, out);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)with_grads;
    if (is_of_logits(m)) return site_role_of(t->site) == ROLE_pair_logits;
    if (m == METRIC_attn_participation) return site_role_of(t->site) == ROLE_pairs;
    return t->entropy != NONE;
}

static double flops(const graph *g, const tap *t)
{
    return t->is_matrix ? 12 * gauge_entries(g, t) : 0;
}

const gauge gauge_attention = {
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .slab = slab_made,
    .finish = finish,
    .applies = applies,
    .flops = flops,
    .weight = 6,
};
