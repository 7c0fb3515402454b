/* Branches: each is measured where it meets its stream, at the sum, when both have just been read; a
 * copy of it waits for the branch of the same place in the next block.
 */
#include "core/metric/branch.h"
#include "core/op/op.h"
#include "core/probe/gauge.h"

#include <math.h>
#include <string.h>

typedef struct state {
    const graph *g;
    bool alignment, stalls; /* wanted */
    branch_sums *taps;      /* [n_taps, B] */
    real *last;             /* [places, B, T, D] branches of the block before */
    size_t numbers;         /* of one sequence */
} state;

static bool wants_sums(const run_spec *spec)
{
    const bool *m = spec->measure.metrics;
    return m[METRIC_branch_alignment] || m[METRIC_bf16_stall] || m[METRIC_branch_ratio] ||
           m[METRIC_branch_cos];
}

static unsigned needs(const run_spec *spec, bool groups[GROUP_COUNT])
{
    (void)groups;
    return spec->measure.metrics[METRIC_qk_to_v_grad_ratio] ? GAUGE_BACKWARD | GAUGE_PARAMETERS : 0;
}

static unsigned reads(const graph *g, const tap *t)
{
    return t->added && wants_sums(g->spec) ? GAUGE_ELSEWHERE : 0;
}

/* Places of branches in a block are their sites: how many come before this one. */
static size_t places_before(const graph *g, int where)
{
    bool has[SITE_COUNT] = {false};
    size_t n = 0;
    for (int i = 0; i < g->n_taps; i++) has[g->taps[i].site] |= g->taps[i].added;
    for (int k = 0; k < where; k++) n += has[k];
    return n;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    (void)n_threads;
    const bool *m = g->spec->measure.metrics;
    const size_t batch = (size_t)g->batch;
    if (!wants_sums(g->spec)) return NULL;
    state s = {.g = g, .alignment = m[METRIC_branch_alignment], .stalls = m[METRIC_bf16_stall]};
    for (int i = 0; i < g->n_taps; i++) {
        const value *v = &g->values[g->taps[i].value];
        if (g->taps[i].added) s.numbers = (size_t)v->rows * (size_t)v->cols;
    }
    s.taps = arena_alloc(a, (size_t)g->n_taps * batch * sizeof *s.taps);
    if (s.alignment)
        s.last = arena_alloc(a, places_before(g, SITE_COUNT) * batch * s.numbers * sizeof *s.last);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

static branch_sums *sums_of(const state *s, int tap_index)
{
    return s->taps + (size_t)tap_index * (size_t)s->g->batch;
}

/* With the block before, whose copy gives way to this one. */
static void align(state *s, const tap *t, branch_sums *sums, const real *f, int b)
{
    const size_t place = places_before(s->g, (int)t->site);
    real *last = s->last + (place * (size_t)s->g->batch + (size_t)b) * s->numbers;
    if (t->layer > 1) branch_add_last(sums, f, last, s->numbers);
    memcpy(last, f, s->numbers * sizeof *f);
}

static void sum_made(void *own, const exec *x, const node *n, const span *now)
{
    state *s = own;
    const tap *t = &s->g->taps[n->branch_tap];
    const value *v = &s->g->values[t->value];
    const int at = n->inputs[1] == t->value;
    const real factor = n->op == &op_mix ? (real)op_mix_factor(n, !at) : 1;
    for (int b = now->b0; b < now->b1; b++) {
        const real *f = exec_value(x, t->value, b);
        branch_sums *sums = &sums_of(s, n->branch_tap)[b];
        *sums = (branch_sums){0};
        if (s->alignment) align(s, t, sums, f, b);
        const real *stream = exec_value(x, n->inputs[!at], b);
        if (n->op == &op_admin)
            branch_add_scaled(sums, f, stream, exec_param(x, n->params[0]), (size_t)v->rows,
                              (size_t)v->cols, s->stalls);
        else
            branch_add(sums, f, stream, factor, s->numbers, s->stalls);
    }
}

static int tap_before(const graph *g, int tap_index)
{
    for (int i = tap_index - 1; i >= 0; i--)
        if (g->taps[i].site == g->taps[tap_index].site) return i;
    return NONE;
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    const state *s = own;
    const int before = s->alignment ? tap_before(g, tap_index) : NONE;
    branch_sums *sums = sums_of(s, tap_index);
    for (int b = 1; b < g->batch; b++) branch_merge(&sums[0], &sums[b]);
    branch_finish(sums, before == NONE ? NULL : sums_of(s, before), out);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)with_grads;
    return t->added && m != METRIC_qk_to_v_grad_ratio &&
           (m != METRIC_branch_alignment || t->layer > 1);
}

/* Of the block whose query matrix is parameter q. */
static void tell_qk_to_v(const gauge_run *r, int q, gauge_emit *emit, void *user)
{
    const graph *g = r->g;
    const param *p = &g->params[q];
    double keys = 0, values = 0;
    if (!g->spec->measure.metrics[METRIC_qk_to_v_grad_ratio]) return;
    if (!r->backward || p->grad_buffer == NONE || p->matrix != MATRIX_query) return;
    for (int i = q + 1; i < g->n_params && g->params[i].layer == p->layer; i++) {
        if (g->params[i].matrix == MATRIX_key) keys = r->grad_sq(r->session, i);
        if (g->params[i].matrix == MATRIX_value) values = r->grad_sq(r->session, i);
    }
    const double above = r->grad_sq(r->session, q) + keys;
    emit(user, p->layer, SITE_param, p->role, METRIC_qk_to_v_grad_ratio,
         values == 0 ? value_undefined(REASON_ZERO) : value_of(sqrt(above / values)));
}

static uint64_t rows(const graph *g)
{
    return g->spec->measure.metrics[METRIC_qk_to_v_grad_ratio] ? (uint64_t)g->n_params : 0;
}

static double flops(const graph *g, const tap *t)
{
    return site_role_of(t->site) == ROLE_branch ? 8 * gauge_entries(g, t) : 0;
}

const gauge gauge_branch = {
    .needs = needs,
    .reads = reads,
    .layout = layout,
    .sum = sum_made,
    .finish = finish,
    .applies = applies,
    .param = tell_qk_to_v,
    .rows = rows,
    .flops = flops,
    .weight = 5,
};
