/* y[t, v] = x[t, v] / ||E_v||: where x = z E', the logits of a matrix whose rows have length 1. E
 * is the embedding under strategy.fixnorm, when it is the output matrix too.
 *
 * Backward:  dx = dy/||E_v||,  dE_v = -E_v/||E_v||^3 sum over tokens of dy x, the sum in double and
 * in the order of the tokens. A row of zeros gives Inf or NaN: a result.
 */
#include "core/graph/rounding.h"
#include "core/op/op.h"

enum { SLICE_ROWS = 256 };

int op_unit_rows_build(graph *g, int x, int table)
{
    node *n = graph_node(g, &op_unit_rows);
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->params[n->n_params++] = table;
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

CLONES static double square_sum(const real *restrict e, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)e[i] * (double)e[i];
    return sum;
}

/* 1/||E_v|| of all rows, in the worker's scratch. */
static const real *factors(const exec *x, const node *n, const span *s)
{
    const param *w = &x->g->params[n->params[0]];
    const real *table = exec_param(x, n->params[0]);
    real *factor = exec_scratch(x, s->worker);
    for (size_t v = 0; v < w->dims[0]; v++)
        factor[v] = (real)(1 / sqrt(square_sum(table + v * w->dims[1], w->dims[1])));
    return factor;
}

CLONES static void multiply(real *restrict y, const real *restrict x, const real *factor, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = factor[i] * x[i];
}

static void multiply_rows(const exec *x, const node *n, const span *s, real *to, const real *from)
{
    const value *v = &x->g->values[n->outputs[0]];
    const real *factor = factors(x, n, s);
    size_t rows = (size_t)v->rows * (size_t)(s->b1 - s->b0), cols = (size_t)v->cols;
    for (size_t r = 0; r < rows; r++) multiply(to + r * cols, from + r * cols, factor, cols);
}

static void forward(const exec *x, const node *n, const span *s)
{
    multiply_rows(x, n, s, exec_value(x, n->outputs[0], s->b0), exec_value(x, n->inputs[0], s->b0));
}

static void backward(const exec *x, const node *n, const span *s)
{
    multiply_rows(x, n, s, exec_grad(x, n->inputs[0], s->b0), exec_grad(x, n->outputs[0], s->b0));
}

static int n_slices(const graph *g, const node *n, int i)
{
    return (int)((g->params[n->params[i]].dims[0] + SLICE_ROWS - 1) / SLICE_ROWS);
}

static int n_param_tasks(const graph *g, const node *n)
{
    return n_slices(g, n, 0);
}

CLONES static void add_products(double *restrict sum, const real *a, const real *b, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += (double)a[i] * (double)b[i];
}

static void param_task(const exec *x, const node *n, int task)
{
    const graph *g = x->g;
    const param *w = &g->params[n->params[0]];
    const value *v = &g->values[n->outputs[0]];
    size_t first = (size_t)task * SLICE_ROWS, rows = w->dims[0] - first, width = w->dims[1];
    if (rows > SLICE_ROWS) rows = SLICE_ROWS;
    const real *from = exec_value(x, n->inputs[0], 0) + first,
               *dy = exec_grad(x, n->outputs[0], 0) + first,
               *e = exec_param(x, n->params[0]) + first * width;
    real *grad = exec_param_grad(x, n->params[0]) + first * width;
    double sums[SLICE_ROWS] = {0};
    size_t tokens = (size_t)v->rows * (size_t)g->batch, cols = (size_t)v->cols;
    for (size_t t = 0; t < tokens; t++) add_products(sums, from + t * cols, dy + t * cols, rows);
    for (size_t r = 0; r < rows; r++, e += width) {
        double square = square_sum(e, width);
        real along = (real)(-sums[r] / (square * sqrt(square)));
        for (size_t i = 0; i < width; i++) {
            real *at = &grad[r * width + i];
            *at = n->accumulates & 1 ? *at + along * e[i] : along * e[i];
        }
    }
    exec_matrix_slice(x, n, n->params[0], task, grad, rows * width);
}

static size_t scratch(const graph *g, const node *n)
{
    return (size_t)g->values[n->inputs[0]].cols;
}

const op op_unit_rows = {
    .entry = {.name = "unit_rows", .summary = "y = x / ||E_v||, logits of rows of length 1"},
    .param_inputs = 1,
    .forward = forward,
    .backward = backward,
    .n_param_tasks = n_param_tasks,
    .n_slices = n_slices,
    .param_task = param_task,
    .scratch = scratch,
};
