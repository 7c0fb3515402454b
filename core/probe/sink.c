/* The share of attention on the first token, A [H, T, T] the probabilities of a sequence.
 *
 *   s_h             mean over sequences and queries i of A_hi0, those that see key 0 and another one
 *   attn_sink_mean  mean over heads of s_h
 *   attn_sink_max   max over heads of s_h
 *
 * Causal attention so leaves out query 0, whose probability on key 0 is 1 by necessity, and with a
 * window those that no longer see it. Where no query is left (T = 1, or a window of 1):
 * REASON_NO_ENTRIES. A NaN in the column makes both NaN. Uniform causal attention: s_h is the mean of
 * 1/(i + 1) over i = 1..T-1. Sums are float64, of queries in order, then of sequences.
 * Source: Xiao et al. 2023, arXiv:2309.17453; mean and maximum over heads are ours.
 */
#include "core/probe/gauge.h"

#include <math.h>

typedef struct state {
    double *shares; /* [n_taps, B, heads] sums over queries */
    size_t *seen;   /* [n_taps] queries of a sequence that are counted */
    size_t heads;   /* the most of any tap */
} state;

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return site_role_of(t->site) == ROLE_pairs ? GAUGE_VALUE : 0;
}

static size_t heads_of(const graph *g, const tap *t)
{
    const value *v = &g->values[t->value];
    return (size_t)v->rows / (size_t)v->cols;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    (void)n_threads;
    const size_t taps = (size_t)g->n_taps, batch = (size_t)g->batch;
    state s = {.heads = 0};
    for (int i = 0; i < g->n_taps; i++)
        if (reads(g, &g->taps[i]) && heads_of(g, &g->taps[i]) > s.heads)
            s.heads = heads_of(g, &g->taps[i]);
    s.shares = arena_alloc(a, taps * batch * s.heads * sizeof *s.shares);
    s.seen = arena_alloc(a, taps * sizeof *s.seen);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

static double *shares_of(const state *s, const graph *g, int tap_index, int b)
{
    return s->shares + ((size_t)tap_index * (size_t)g->batch + (size_t)b) * s->heads;
}

static void value_made(void *own, const look *l)
{
    const state *s = own;
    const size_t length = (size_t)l->v->cols;
    double *shares = shares_of(s, l->g, l->at, l->b);
    size_t seen = 0;
    for (size_t h = 0; h < heads_of(l->g, l->t); h++) shares[h] = 0;
    for (size_t r = 0; r < (size_t)l->v->rows; r++) {
        size_t begin, end;
        gauge_visible(l, r, &begin, &end);
        if (begin > 0 || end < 2) continue;
        shares[r / length] += (double)l->data[r * (size_t)l->v->ld];
        seen += r < length;
    }
    if (l->b == 0) s->seen[l->at] = seen;
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    const state *s = own;
    const size_t heads = heads_of(g, &g->taps[tap_index]);
    const double count = (double)s->seen[tap_index] * g->batch;
    double *sums = shares_of(s, g, tap_index, 0), all = 0, most = 0;
    out[METRIC_attn_sink_mean] = out[METRIC_attn_sink_max] = value_undefined(REASON_NO_ENTRIES);
    if (!s->seen[tap_index]) return;
    for (size_t h = 0; h < heads; h++) {
        for (int b = 1; b < g->batch; b++) sums[h] += shares_of(s, g, tap_index, b)[h];
        all += sums[h] / count;
        most = fmax(most, sums[h] / count);
    }
    out[METRIC_attn_sink_mean] = value_of(all / (double)heads);
    out[METRIC_attn_sink_max] = value_of(isnan(all) ? all : most);
}

/* One entry of each row, as far apart as rows are. */
static double flops(const graph *g, const tap *t)
{
    return reads(g, t) ? 4.0 * g->values[t->value].rows : 0;
}

const gauge gauge_sink = {
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .finish = finish,
    .flops = flops,
    .weight = 6,
};
