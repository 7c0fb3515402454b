/* A normalization from the registry (norm.h), row by row; with groups > 1 each row is that many
 * sub-rows that share the gain (q and k normed per head). */
#include "core/norm.h"

#include "core/op.h"

#include <string.h>

int op_norm_build(graph *g, int x, const norm *kind, int gain, int bias, int groups, double eps)
{
    node *n = graph_node(g, &op_norm);
    n->norm = kind;
    n->groups = groups;
    n->eps = eps;
    if (gain != NONE) n->params[n->n_params++] = gain;
    if (bias != NONE) n->params[n->n_params++] = bias;
    int rows = g->values[x].rows, cols = g->values[x].cols, y = graph_value(g, rows, cols);
    int stats = graph_value(g, rows * groups, NORM_STATS);
    n->partial_count = n->n_params ? 2 * (size_t)(cols / groups) : 0;
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->outputs[1] = stats, n->n_outputs = 2;
    return y;
}

/* Where row r, group g of the span lies. */
typedef struct rows {
    size_t n, groups, width, ldx, ldy;
    const real *x, *gain, *bias;
    real *stats;
} rows;

static rows rows_of(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    return (rows){
        .n = (size_t)in->rows * (size_t)(s->b1 - s->b0),
        .groups = (size_t)n->groups,
        .width = (size_t)(in->cols / n->groups),
        .ldx = (size_t)in->ld,
        .ldy = (size_t)out->ld,
        .x = exec_value(x, n->inputs[0], s->b0),
        .stats = exec_value(x, n->outputs[1], s->b0),
        .gain = n->n_params ? exec_param(x, n->params[0]) : NULL,
        .bias = n->n_params == 2 ? exec_param(x, n->params[1]) : NULL,
    };
}

static void forward(const exec *x, const node *n, const span *s)
{
    rows a = rows_of(x, n, s);
    real *y = exec_value(x, n->outputs[0], s->b0);
    for (size_t r = 0; r < a.n; r++)
        for (size_t g = 0; g < a.groups; g++) {
            const real *row = a.x + r * a.ldx + g * a.width;
            real *stats = a.stats + (r * a.groups + g) * NORM_STATS;
            n->norm->stats(stats, row, a.width, n->eps);
            n->norm->apply(y + r * a.ldy + g * a.width, stats, row, a.gain, a.bias, a.width);
        }
}

/* One walk over the rows while they are in cache: y again where it was not kept, the panel's sums
 * for the parameters, dx. */
static void backward(const exec *x, const node *n, const span *s)
{
    rows a = rows_of(x, n, s);
    double *dgain = n->partial_count ? exec_partials(x, n, s->panel) : NULL;
    const real *dy = exec_grad(x, n->outputs[0], s->b0), *base = exec_grad_base(x, n, 0, s->b0);
    real *y = n->recompute ? exec_value(x, n->outputs[0], s->b0) : NULL;
    real *dx = n->grads[0].wanted ? exec_grad(x, n->inputs[0], s->b0) : NULL;
    if (dgain) memset(dgain, 0, n->partial_count * sizeof *dgain);
    for (size_t r = 0; r < a.n; r++)
        for (size_t g = 0; g < a.groups; g++) {
            size_t in = r * a.ldx + g * a.width, out = r * a.ldy + g * a.width;
            const real *stats = a.stats + (r * a.groups + g) * NORM_STATS;
            if (y) n->norm->apply(y + out, stats, a.x + in, a.gain, a.bias, a.width);
            if (dgain) n->norm->params(dgain, dgain + a.width, dy + out, a.x + in, stats, a.width);
            if (dx)
                n->norm->input(dx + in, base ? base + in : NULL, dy + out, a.x + in, stats, a.gain,
                               a.width);
        }
}

static int n_param_tasks(const graph *g, const node *n)
{
    (void)g;
    return n->n_params ? 1 : 0;
}

static int n_slices(const graph *g, const node *n, int i)
{
    (void)g, (void)n, (void)i;
    return 1;
}

static void param_task(const exec *x, const node *n, int task)
{
    (void)task;
    size_t width = n->partial_count / 2;
    for (int i = 0; i < n->n_params; i++) {
        real *grad = exec_param_grad(x, n->params[i]);
        for (size_t j = 0; j < width; j++) {
            double sum = 0;
            for (int panel = 0; panel < x->g->n_panels; panel++)
                sum += exec_partials(x, n, panel)[(size_t)i * width + j];
            grad[j] = (real)sum;
        }
        exec_slice(x, n->params[i], 0, grad, width);
    }
}

const op op_norm = {
    .entry = {.name = "norm", .summary = "y = N(x), a row of the norms registry"},
    .remakes = true,
    .reads_inputs = 1,
    .reads_outputs = 2,
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .n_param_tasks = n_param_tasks,
    .n_slices = n_slices,
    .param_task = param_task,
};
