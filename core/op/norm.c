/* A normalization from the registry (norm.h), row by row; with groups > 1 each row is that many
 * sub-rows, which share the gain (q and k normed per head) or have gains of their own (groupnorm).
 * With unit_offset the stored gain is w and the norm sees 1 + w.
 *
 * A frozen norm (LayerNorm removal, FakeLN) divides by a constant sigma instead of each row's own;
 * the mean still goes, gain and bias stay. sigma is the mean over the tokens of the first batch of
 * sqrt(var + eps), measured in exec_profile, where the norm is live; in causal models the first
 * position, whose deviation grows out of proportion in training, has a constant of its own. Where
 * all tokens have one deviation it is the live norm.
 * Source: arXiv:2507.02559; submarat/removing-layer-norm, train.py (FakeLayerNorm). */
#include "core/norm/norm.h"

#include "core/op/op.h"
#include "core/op/vector.h"

#include <string.h>

enum { SIGMA_REST, SIGMA_FIRST, FROZEN_SIGMAS };

static const norm_args *own_of(const node *n)
{
    return n->own;
}

const norm_args *op_norm_args(const node *n)
{
    return own_of(n);
}

/* How many numbers parameter kind of the node has. */
static size_t param_width(const graph *g, const node *n, norm_param kind)
{
    int p = own_of(n)->params[kind];
    return p == NONE ? 0 : g->params[p].count;
}

int op_norm_build(graph *g, int x, const norm_args *how)
{
    node *n = graph_node(g, &op_norm);
    norm_args *own = graph_own(g, n, sizeof *own);
    *own = *how;
    own->unit_offset = how->unit_offset && how->params[NORM_GAIN] != NONE;
    n->role = how->role;
    n->profiled = how->frozen;
    n->state_count = how->frozen ? how->first_apart ? FROZEN_SIGMAS : 1 : 0;
    for (int i = 0; i < NORM_PARAMS; i++) {
        if (how->params[i] != NONE) n->params[n->n_params++] = how->params[i];
        n->partial_count += g->failed ? 0 : param_width(g, n, (norm_param)i);
    }
    if (how->frozen && n->partial_count < FROZEN_SIGMAS) n->partial_count = FROZEN_SIGMAS;
    int rows = g->values[x].rows, cols = g->values[x].cols, y = graph_value(g, rows, cols);
    int stats = graph_value(g, rows * how->groups, NORM_STATS);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->outputs[1] = stats, n->n_outputs = 2;
    return y;
}

/* Where row r, group g of the span lies. */
typedef struct rows {
    size_t n, groups, width, ldx, ldy;
    size_t step; /* from the gains of one group to the next */
    const real *x;
    const real *p[NORM_PARAMS]; /* of group 0 */
    real *stats;
} rows;

static const real *offset_gain(const exec *x, const node *n, const span *s)
{
    const real *w = exec_param(x, own_of(n)->params[NORM_GAIN]);
    real *gain = exec_scratch(x, s->worker);
    size_t count = param_width(x->g, n, NORM_GAIN);
    for (size_t i = 0; i < count; i++) gain[i] = 1 + w[i];
    return gain;
}

static rows rows_of(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    rows a = {
        .n = (size_t)in->rows * (size_t)(s->b1 - s->b0),
        .groups = (size_t)own_of(n)->groups,
        .width = (size_t)(in->cols / own_of(n)->groups),
        .ldx = (size_t)in->ld,
        .ldy = (size_t)out->ld,
        .x = exec_value(x, n->inputs[0], s->b0),
        .stats = exec_value(x, n->outputs[1], s->b0),
    };
    for (int i = 0; i < NORM_PARAMS; i++)
        if (own_of(n)->params[i] != NONE) a.p[i] = exec_param(x, own_of(n)->params[i]);
    if (own_of(n)->unit_offset) a.p[NORM_GAIN] = offset_gain(x, n, s);
    a.step = own_of(n)->own_gains ? a.width : 0;
    return a;
}

static void group_params(const real *p[NORM_PARAMS], const rows *a, size_t group)
{
    memcpy(p, a->p, sizeof a->p);
    if (p[NORM_GAIN]) p[NORM_GAIN] += group * a->step;
    if (p[NORM_BIAS]) p[NORM_BIAS] += group * a->step;
}

/* Which constant a position has. */
static int sigma_of(const node *n, size_t position)
{
    return position == 0 && n->state_count == FROZEN_SIGMAS ? SIGMA_FIRST : SIGMA_REST;
}

/* Profiling, the row's own deviation is added up; else the constant takes its place. */
static void freeze(const exec *x, const node *n, size_t position, const span *s, real *stats)
{
    int which = sigma_of(n, position);
    if (x->profiling)
        exec_partials(x, n, s->panel)[which] += 1 / (double)stats[1];
    else
        stats[1] = (real)(1 / exec_state(x, n)[which]);
}

static void profile(const exec *x, const node *n)
{
    double *sigma = exec_state_start(x, n), tokens[FROZEN_SIGMAS] = {0};
    size_t length = (size_t)x->g->values[n->inputs[0]].rows;
    for (size_t i = 0; i < length; i++)
        tokens[sigma_of(n, i)] += (double)x->g->batch * (double)own_of(n)->groups;
    for (size_t which = 0; which < n->state_count; which++) {
        double sum = 0;
        for (int panel = 0; panel < x->g->n_panels; panel++)
            sum += exec_partials(x, n, panel)[which];
        sigma[which] = sum / tokens[which];
    }
}

static bool state_row_of(const graph *g, const node *n, int i, state_row *out)
{
    static const char *const names[FROZEN_SIGMAS] = {"sigma", "sigma_first"};
    (void)g;
    if ((size_t)i >= n->state_count) return false;
    *out = (state_row){names[i], 1, {1, 0}};
    return true;
}

static void forward(const exec *x, const node *n, const span *s)
{
    rows a = rows_of(x, n, s);
    size_t length = (size_t)x->g->values[n->inputs[0]].rows;
    if (own_of(n)->frozen && x->profiling)
        memset(exec_partials(x, n, s->panel), 0, n->partial_count * sizeof(double));
    real *y = exec_value(x, n->outputs[0], s->b0);
    for (size_t r = 0; r < a.n; r++)
        for (size_t g = 0; g < a.groups; g++) {
            const real *row = a.x + r * a.ldx + g * a.width, *p[NORM_PARAMS];
            real *stats = a.stats + (r * a.groups + g) * NORM_STATS;
            group_params(p, &a, g);
            own_of(n)->norm->stats(stats, row, a.width, own_of(n)->eps);
            if (own_of(n)->frozen) freeze(x, n, r % length, s, stats);
            own_of(n)->norm->apply(y + r * a.ldy + g * a.width, stats, row, p, a.width);
        }
}

/* The panel's sums for the parameters, in the order of norm_param. */
static void sums_of(double *dp[NORM_PARAMS], const exec *x, const node *n, const span *s)
{
    double *at = exec_partials(x, n, s->panel);
    memset(at, 0, n->partial_count * sizeof *at);
    for (int i = 0; i < NORM_PARAMS; i++) {
        size_t width = param_width(x->g, n, (norm_param)i);
        dp[i] = width ? at : NULL;
        at += width;
    }
}

/* One walk over the rows while they are in cache: y again where it was not kept, the panel's sums
 * for the parameters, dx. */
static void backward(const exec *x, const node *n, const span *s)
{
    rows a = rows_of(x, n, s);
    double *sums[NORM_PARAMS] = {NULL};
    if (n->partial_count) sums_of(sums, x, n, s);
    const real *dy = exec_grad(x, n->outputs[0], s->b0), *base = exec_grad_base(x, n, 0, s->b0);
    real *y = n->recompute ? exec_value(x, n->outputs[0], s->b0) : NULL;
    real *dx = n->grads[0].wanted ? exec_grad(x, n->inputs[0], s->b0) : NULL;
    bool has_params = n->n_params > 0, frozen = own_of(n)->frozen;
    for (size_t r = 0; r < a.n; r++)
        for (size_t g = 0; g < a.groups; g++) {
            size_t in = r * a.ldx + g * a.width, out = r * a.ldy + g * a.width;
            const real *stats = a.stats + (r * a.groups + g) * NORM_STATS, *p[NORM_PARAMS];
            double *dp[NORM_PARAMS];
            group_params(p, &a, g);
            memcpy(dp, sums, sizeof sums);
            if (dp[NORM_GAIN]) dp[NORM_GAIN] += g * a.step;
            if (dp[NORM_BIAS]) dp[NORM_BIAS] += g * a.step;
            if (y) own_of(n)->norm->apply(y + out, stats, a.x + in, p, a.width);
            if (has_params) own_of(n)->norm->params(dp, dy + out, a.x + in, stats, p, a.width);
            if (dx)
                (frozen ? own_of(n)->norm->frozen_input : own_of(n)->norm->input)(
                    dx + in, base ? base + in : NULL, dy + out, a.x + in, stats, p, a.width);
        }
}

static size_t scratch(const graph *g, const node *n)
{
    return own_of(n)->unit_offset ? param_width(g, n, NORM_GAIN) : 0;
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    out->what = own_of(n)->norm->entry.name;
    out->frozen = own_of(n)->frozen;
}

const op op_norm = {
    .entry = {.name = "norm", .summary = "y = N(x), a row of the norms registry"},
    .remakes = true,
    .reads_inputs = 1,
    .reads_outputs = 2,
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .profile = profile,
    .state_row = state_row_of,
    .n_param_tasks = op_vector_tasks,
    .n_slices = op_one_slice,
    .param_task = op_vector_task,
    .describe = describe,
    .scratch = scratch,
};
