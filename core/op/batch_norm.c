/* A normalization with batch statistics (over_batch.h): sums over the tokens of a panel here, in
 * double and in the order of the tokens, added in the order of the panels; between the passes over
 * the tokens the row of the registry turns them into coefficients, one map per channel:
 *
 *   y = (x - m) W + B,  dx = a dy + b (x - m) + c
 *
 * Mean and variance of a panel are taken about its first token and joined by Chan's formula, so
 * that a channel whose mean is large beside its spread loses no digits.
 */
#include "core/norm/over_batch.h"

#include "core/norm/norm.h"
#include "core/op/op.h"
#include "core/op/vector.h"

#include <string.h>

/* Statistics of a pass: kept_one, lambda, then rows of n doubles, then rows of n reals. */
enum { ONES = 2, ONE_KEPT = 0, ONE_LAMBDA = 1 };
enum { ROW_FIRST, ROW_SECOND, SHIFT, SCALE, KEPT, WEIGHT, ALONG_G, ALONG_Z, CONSTANT, ROWS };
enum { REAL_M, REAL_W, REAL_B, REAL_DY, REAL_X, REAL_C, REALS };

static size_t state_size(const graph *g, const batch_state *s, size_t n)
{
    size_t window = (size_t)g->spec->strategy.stat_window;
    if (s->shape == BATCH_ONE) return 1;
    return s->shape == BATCH_CHANNELS ? n : window * n;
}

/* What a node of this op knows. */
static const norm_args *own_of(const node *n)
{
    return n->own;
}

static int single(graph *g, int x, const batch_norm_args *how)
{
    node *n = graph_node(g, &op_batch_norm);
    const norm *kind = how->norm.norm;
    int rows = g->values[x].rows, cols = g->values[x].cols;
    size_t width = (size_t)cols;
    const batch_state *states = kind->batch->states;
    norm_args *own = graph_own(g, n, sizeof *own);
    *own = how->norm;
    n->role = own->role;
    for (int i = 0; i < NORM_PARAMS; i++) {
        if (how->norm.params[i] != NONE) n->params[n->n_params++] = how->norm.params[i];
    }
    if (how->eta != NONE) n->params[n->n_params++] = how->eta;
    n->partial_count = 2 * width;
    n->stat_count = ONES + (ROWS + REALS) * width;
    for (int i = 0; i < BATCH_STATES && states[i].name; i++)
        n->state_count += state_size(g, &states[i], width);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = graph_value(g, rows, cols), n->n_outputs = 1;
    return n->outputs[0];
}

static norm_args row_norm(const batch_norm_args *how, const norm *kind, int groups)
{
    norm_args row = how->norm;
    row.norm = kind;
    row.groups = groups;
    for (int i = 0; i < NORM_PARAMS; i++) row.params[i] = NONE;
    return row;
}

int op_batch_norm_build(graph *g, int x, const batch_norm_args *how)
{
    const batch_norm *kind = how->norm.norm->batch;
    int groups = g->spec->strategy.group_scale;
    if (kind->group_scales && groups) {
        norm_args scaling = row_norm(how, &norm_rmsnorm, groups);
        x = op_norm_build(g, x, &scaling);
    }
    if (!kind->lambda) return single(g, x, how);
    norm_args layer = row_norm(how, &norm_layernorm, 1);
    layer.params[NORM_GAIN] = how->layer[0];
    layer.params[NORM_BIAS] = how->layer[1];
    int a = op_norm_build(g, x, &layer);
    return op_blend_build(g, a, single(g, x, how));
}

/* --- where things are --- */

static size_t width_of(const node *n)
{
    return n->partial_count / 2;
}

static double *row_of(const exec *x, const node *n, int row)
{
    return exec_stats(x, n) + ONES + (size_t)row * width_of(n);
}

static real *reals_of(const exec *x, const node *n, int row)
{
    real *first = (real *)(void *)row_of(x, n, ROWS);
    return first + (size_t)row * width_of(n);
}

static double gain_at(const exec *x, const node *n, size_t c)
{
    int p = own_of(n)->params[NORM_GAIN];
    return p == NONE ? 1 : (double)exec_param(x, p)[c] + (own_of(n)->unit_offset ? 1 : 0);
}

static double bias_at(const exec *x, const node *n, size_t c)
{
    int p = own_of(n)->params[NORM_BIAS];
    return p == NONE ? 0 : (double)exec_param(x, p)[c];
}

static int eta_of(const node *n)
{
    return own_of(n)->norm->batch->has_eta ? n->params[n->n_params - 1] : NONE;
}

static double eta_value(const exec *x, const node *n)
{
    return eta_of(n) == NONE ? 0 : (double)*exec_param(x, eta_of(n));
}

static size_t tokens_of(const exec *x, const node *n, int sequences)
{
    return (size_t)x->g->values[n->inputs[0]].rows * (size_t)sequences;
}

static batch_pass pass_of(const exec *x, const node *n)
{
    batch_pass p = {
        .strategy = &x->g->spec->strategy,
        .n = width_of(n),
        .tokens = (double)tokens_of(x, n, x->g->batch),
        .eps = own_of(n)->eps,
        .shift = row_of(x, n, SHIFT),
        .scale = row_of(x, n, SCALE),
        .kept = row_of(x, n, KEPT),
        .kept_one = exec_stats(x, n) + ONE_KEPT,
        .weight = row_of(x, n, WEIGHT),
        .along_g = row_of(x, n, ALONG_G),
        .along_z = row_of(x, n, ALONG_Z),
        .constant = row_of(x, n, CONSTANT),
    };
    const batch_state *states = own_of(n)->norm->batch->states;
    size_t at = 0;
    for (int i = 0; i < BATCH_STATES && states[i].name; i++) {
        p.now[i] = exec_state(x, n) + at;
        p.next[i] = exec_state_next(x, n) + at;
        at += state_size(x->g, &states[i], p.n);
    }
    p.step = (int)*exec_state(x, n) + 1; /* the first part of the state */
    return p;
}

static void state_start(const graph *g, const node *n, double *state)
{
    const batch_state *states = own_of(n)->norm->batch->states;
    for (int i = 0; i < BATCH_STATES && states[i].name; i++) {
        size_t count = state_size(g, &states[i], width_of(n));
        for (size_t j = 0; j < count; j++) state[j] = states[i].start;
        state += count;
    }
}

static bool state_row_of(const graph *g, const node *n, int i, state_row *out)
{
    const batch_state *s = &own_of(n)->norm->batch->states[i];
    if (i >= BATCH_STATES || !s->name) return false;
    size_t window = (size_t)g->spec->strategy.stat_window, width = width_of(n);
    *out = (state_row){.name = s->name, .rank = 1, .dims = {s->shape == BATCH_ONE ? 1 : width, 0}};
    if (s->shape == BATCH_WINDOW) *out = (state_row){s->name, 2, {window, width}};
    return true;
}

/* --- forward --- */

CLONES static void sum_centred(
    double *restrict sum, double *restrict square, const real *x, size_t rows, size_t n, size_t ld)
{
    for (size_t c = 0; c < n; c++) sum[c] = square[c] = 0;
    for (size_t r = 1; r < rows; r++)
        for (size_t c = 0; c < n; c++) {
            double d = (double)x[r * ld + c] - (double)x[c];
            sum[c] += d;
            square[c] += d * d;
        }
}

CLONES static void
sum_squares(double *restrict square, const real *restrict x, size_t rows, size_t n, size_t ld)
{
    for (size_t c = 0; c < n; c++) square[c] = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < n; c++) square[c] += (double)x[r * ld + c] * (double)x[r * ld + c];
}

/* Panel sums: mean and sum of squares about it, or only the sum of squares, in the second row. */
static void prepare(const exec *x, const node *n, const span *s)
{
    size_t width = width_of(n), rows = tokens_of(x, n, s->b1 - s->b0);
    size_t ld = (size_t)x->g->values[n->inputs[0]].ld;
    const real *in = exec_value(x, n->inputs[0], s->b0);
    double *mean = exec_partials(x, n, s->panel), *square = mean + width;
    if (!own_of(n)->norm->batch->centred) {
        sum_squares(square, in, rows, width, ld);
        return;
    }
    sum_centred(mean, square, in, rows, width, ld);
    for (size_t c = 0; c < width; c++) {
        double off = mean[c] / (double)rows;
        square[c] -= mean[c] * off;
        mean[c] = (double)in[c] + off;
    }
}

static size_t panel_tokens(const exec *x, const node *n, int panel)
{
    return tokens_of(x, n, graph_panel_start(x->g, panel + 1) - graph_panel_start(x->g, panel));
}

static void join_panels(const exec *x, const node *n, double *mean, double *var)
{
    size_t width = width_of(n);
    double seen = (double)panel_tokens(x, n, 0);
    memcpy(mean, exec_partials(x, n, 0), 2 * width * sizeof *mean); /* the rows are adjacent */
    for (int panel = 1; panel < x->g->n_panels; panel++) {
        const double *other = exec_partials(x, n, panel);
        double more = (double)panel_tokens(x, n, panel), all = seen + more;
        for (size_t c = 0; c < width; c++) {
            double off = other[c] - mean[c];
            mean[c] += off * (more / all);
            var[c] += other[width + c] + off * off * (seen * more / all);
        }
        seen = all;
    }
    for (size_t c = 0; c < width; c++) var[c] /= seen;
}

static void join_squares(const exec *x, const node *n, double *square)
{
    size_t width = width_of(n);
    double tokens = (double)tokens_of(x, n, x->g->batch);
    for (size_t c = 0; c < width; c++) {
        double sum = 0;
        for (int panel = 0; panel < x->g->n_panels; panel++)
            sum += exec_partials(x, n, panel)[width + c];
        square[c] = sum / tokens;
    }
}

/* y = gain (x - shift) scale + bias + eta x as one map. */
static void set_map(const exec *x, const node *n, const batch_pass *p)
{
    real *m = reals_of(x, n, REAL_M), *w = reals_of(x, n, REAL_W), *b = reals_of(x, n, REAL_B);
    double eta = eta_value(x, n);
    for (size_t c = 0; c < p->n; c++) {
        m[c] = (real)p->shift[c];
        w[c] = (real)(p->scale[c] * gain_at(x, n, c) + eta);
        b[c] = (real)(bias_at(x, n, c) + eta * (double)m[c]);
    }
}

static void reduce(const exec *x, const node *n)
{
    const batch_norm *kind = own_of(n)->norm->batch;
    batch_pass p = pass_of(x, n);
    double *first = row_of(x, n, ROW_FIRST), *second = row_of(x, n, ROW_SECOND);
    p.mean = first, p.var = second, p.square = first;
    for (size_t c = 0; c < p.n; c++) p.shift[c] = 0, p.weight[c] = 1;
    if (x->eval) {
        kind->eval(&p);
    } else {
        if (kind->centred)
            join_panels(x, n, first, second);
        else
            join_squares(x, n, first);
        kind->forward(&p);
        p.next[0][0] = p.step;
    }
    exec_stats(x, n)[ONE_LAMBDA] = kind->lambda && !x->eval ? kind->lambda(&p) : 0;
    set_map(x, n, &p);
}

double op_batch_norm_lambda(const exec *x, const node *n)
{
    return exec_stats(x, n)[ONE_LAMBDA];
}

CLONES static void apply(real *restrict y,
                         const real *restrict x,
                         const real *restrict m,
                         const real *restrict w,
                         const real *restrict b,
                         size_t n)
{
    for (size_t c = 0; c < n; c++) y[c] = (x[c] - m[c]) * w[c] + b[c];
}

static void forward(const exec *x, const node *n, const span *s)
{
    size_t width = width_of(n), rows = tokens_of(x, n, s->b1 - s->b0);
    size_t ldx = (size_t)x->g->values[n->inputs[0]].ld;
    const real *in = exec_value(x, n->inputs[0], s->b0);
    real *y = exec_value(x, n->outputs[0], s->b0);
    for (size_t r = 0; r < rows; r++)
        apply(y + r * width, in + r * ldx, reals_of(x, n, REAL_M), reals_of(x, n, REAL_W),
              reals_of(x, n, REAL_B), width);
}

/* --- backward --- */

CLONES static void sum_gradients(double *restrict sum,
                                 double *restrict along,
                                 const real *restrict dy,
                                 const real *restrict x,
                                 const real *restrict m,
                                 size_t n)
{
    for (size_t c = 0; c < n; c++) {
        sum[c] += (double)dy[c];
        along[c] += (double)dy[c] * (double)(x[c] - m[c]);
    }
}

/* Panel sums of dy and dy (x - m); y again where it was not kept. */
static void backward_prepare(const exec *x, const node *n, const span *s)
{
    size_t width = width_of(n), rows = tokens_of(x, n, s->b1 - s->b0);
    size_t ldx = (size_t)x->g->values[n->inputs[0]].ld;
    const real *in = exec_value(x, n->inputs[0], s->b0), *dy = exec_grad(x, n->outputs[0], s->b0);
    double *sum = exec_partials(x, n, s->panel);
    memset(sum, 0, 2 * width * sizeof *sum);
    if (n->recompute) forward(x, n, s);
    for (size_t r = 0; r < rows; r++)
        sum_gradients(sum, sum + width, dy + r * width, in + r * ldx, reals_of(x, n, REAL_M),
                      width);
}

static void join_gradients(const exec *x, const node *n, double *sum, double *along)
{
    size_t width = width_of(n);
    memset(sum, 0, width * sizeof *sum);
    memset(along, 0, width * sizeof *along);
    for (int panel = 0; panel < x->g->n_panels; panel++) {
        const double *more = exec_partials(x, n, panel);
        for (size_t c = 0; c < width; c++) sum[c] += more[c], along[c] += more[width + c];
    }
}

static void set_vector(const exec *x, int p, const double *grad, size_t n)
{
    if (p == NONE) return;
    real *out = exec_param_grad(x, p);
    for (size_t i = 0; i < n; i++) out[i] = (real)grad[i];
    exec_slice(x, p, 0, out, n);
}

/* From sums of dy and of dy (x - m). */
static void
set_params(const exec *x, const node *n, batch_pass *p, const double *sum, const double *along)
{
    const real *m = reals_of(x, n, REAL_M);
    double total = 0, *dgain = p->along_g; /* not yet in use */
    for (size_t c = 0; c < p->n; c++) {
        total += along[c] + (double)m[c] * sum[c];
        dgain[c] = p->weight[c] * p->scale[c] * along[c];
    }
    set_vector(x, own_of(n)->params[NORM_GAIN], dgain, p->n);
    set_vector(x, own_of(n)->params[NORM_BIAS], sum, p->n);
    set_vector(x, eta_of(n), &total, 1);
}

static void set_input_map(const exec *x, const node *n, const batch_pass *p)
{
    real *a = reals_of(x, n, REAL_DY), *b = reals_of(x, n, REAL_X), *k = reals_of(x, n, REAL_C);
    double eta = eta_value(x, n);
    for (size_t c = 0; c < p->n; c++) {
        a[c] = (real)(p->along_g[c] * gain_at(x, n, c) + eta);
        b[c] = (real)(p->along_z[c] * p->scale[c]);
        k[c] = (real)p->constant[c];
    }
}

static void param_task(const exec *x, const node *n, int task)
{
    (void)task;
    batch_pass p = pass_of(x, n);
    double *sum = row_of(x, n, ROW_FIRST), *along = row_of(x, n, ROW_SECOND);
    join_gradients(x, n, sum, along);
    set_params(x, n, &p, sum, along);
    for (size_t c = 0; c < p.n; c++) {
        double share = gain_at(x, n, c) / p.tokens;
        sum[c] *= share;
        along[c] *= share * p.scale[c];
        p.along_g[c] = p.scale[c];
        p.along_z[c] = p.constant[c] = 0;
    }
    p.g = sum, p.gz = along;
    if (!x->eval) own_of(n)->norm->batch->backward(&p);
    set_input_map(x, n, &p);
}

CLONES static void input(real *dx,
                         const real *base,
                         const real *restrict dy,
                         const real *restrict x,
                         const real *restrict m,
                         const real *restrict a,
                         const real *restrict b,
                         const real *restrict k,
                         size_t n)
{
    if (base)
        for (size_t c = 0; c < n; c++)
            dx[c] = base[c] + (a[c] * dy[c] + b[c] * (x[c] - m[c]) + k[c]);
    else
        for (size_t c = 0; c < n; c++) dx[c] = a[c] * dy[c] + b[c] * (x[c] - m[c]) + k[c];
}

static void backward(const exec *x, const node *n, const span *s)
{
    if (!n->grads[0].wanted) return;
    size_t width = width_of(n), rows = tokens_of(x, n, s->b1 - s->b0);
    size_t ldx = (size_t)x->g->values[n->inputs[0]].ld;
    const real *in = exec_value(x, n->inputs[0], s->b0), *dy = exec_grad(x, n->outputs[0], s->b0);
    const real *base = exec_grad_base(x, n, 0, s->b0);
    real *dx = exec_grad(x, n->inputs[0], s->b0);
    for (size_t r = 0; r < rows; r++)
        input(dx + r * ldx, base ? base + r * ldx : NULL, dy + r * width, in + r * ldx,
              reals_of(x, n, REAL_M), reals_of(x, n, REAL_DY), reals_of(x, n, REAL_X),
              reals_of(x, n, REAL_C), width);
}

static int n_param_tasks(const graph *g, const node *n)
{
    (void)g, (void)n;
    return 1;
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    out->what = own_of(n)->norm->entry.name;
}

const op op_batch_norm = {
    .entry = {.name = "batch_norm",
              .summary =
                  "y = N(x) with statistics over the tokens of the batch, a row of the norms "
                  "registry"},
    .remakes = true,
    .reads_inputs = 1,
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .prepare = prepare,
    .reduce = reduce,
    .backward_prepare = backward_prepare,
    .state_start = state_start,
    .state_row = state_row_of,
    .n_param_tasks = n_param_tasks,
    .n_slices = op_one_slice,
    .param_task = param_task,
    .describe = describe,
};
