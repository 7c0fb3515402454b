#include "core/probe/branch.h"

#include <string.h>

void probe_branch_init(probe_branch *p, const graph *g)
{
    const bool *m = g->spec->measure.metrics;
    *p = (probe_branch){
        .g = g, .alignment = m[METRIC_branch_alignment], .stalls = m[METRIC_bf16_stall]};
    p->sums = p->alignment || p->stalls || m[METRIC_branch_ratio] || m[METRIC_branch_cos];
}

void probe_branch_layout(probe_branch *p, arena *a)
{
    const graph *g = p->g;
    if (!p->sums) return;
    for (int i = 0; i < g->n_taps; i++) {
        const value *v = &g->values[g->taps[i].value];
        if (g->taps[i].added) p->numbers = (size_t)v->rows * (size_t)v->cols;
    }
    size_t batch = (size_t)g->batch;
    p->taps = arena_alloc(a, (size_t)g->n_taps * batch * sizeof *p->taps);
    for (int kind = 0; kind < 2 && p->alignment; kind++)
        p->last[kind] = arena_alloc(a, batch * p->numbers * sizeof(real));
}

static branch_sums *sums_of(const probe_branch *p, int tap_index)
{
    return p->taps + (size_t)tap_index * (size_t)p->g->batch;
}

/* With the block before, whose copy gives way to this one. */
static void align(probe_branch *p, const tap *t, branch_sums *s, const real *f, int b)
{
    real *last = p->last[t->site == SITE_mlp_branch] + (size_t)b * p->numbers;
    if (t->layer > 1) branch_add_last(s, f, last, p->numbers);
    memcpy(last, f, p->numbers * sizeof *f);
}

void probe_branch_values(probe_branch *p, const exec *x, const node *n, const span *s)
{
    if (!p->sums || n->branch_tap == NONE) return;
    const tap *t = &p->g->taps[n->branch_tap];
    const value *v = &p->g->values[t->value];
    int at = n->inputs[1] == t->value;
    real factor = n->op == &op_mix ? (real)op_mix_factor(n, !at) : 1;
    for (int b = s->b0; b < s->b1; b++) {
        const real *f = exec_value(x, t->value, b);
        branch_sums *sums = &sums_of(p, n->branch_tap)[b];
        *sums = (branch_sums){0};
        if (p->alignment) align(p, t, sums, f, b);
        const real *stream = exec_value(x, n->inputs[!at], b);
        if (n->op == &op_admin)
            branch_add_scaled(sums, f, stream, exec_param(x, n->params[0]), (size_t)v->rows,
                              (size_t)v->cols, p->stalls);
        else
            branch_add(sums, f, stream, factor, p->numbers, p->stalls);
    }
}

static int tap_before(const graph *g, int tap_index)
{
    for (int i = tap_index - 1; i >= 0; i--)
        if (g->taps[i].site == g->taps[tap_index].site) return i;
    return NONE;
}

void probe_branch_finish(probe_branch *p, int tap_index, metric_value out[])
{
    if (!p->sums || !p->g->taps[tap_index].added) return;
    int before = p->alignment ? tap_before(p->g, tap_index) : NONE;
    branch_sums *sums = sums_of(p, tap_index);
    for (int b = 1; b < p->g->batch; b++) branch_merge(&sums[0], &sums[b]);
    branch_finish(sums, before == NONE ? NULL : sums_of(p, before), out);
}
