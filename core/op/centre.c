/* y = x - mean(x) over the features of a token; dx = dy - mean(dy). */
#include "core/op/op.h"

int op_centre_build(graph *g, int x)
{
    node *n = graph_node(g, &op_centre);
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

CLONES static void centre_row(real *y, const real *base, const real *restrict x, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    real mean = (real)(sum / (double)n);
    if (base)
        for (size_t i = 0; i < n; i++) y[i] = base[i] + (x[i] - mean);
    else
        for (size_t i = 0; i < n; i++) y[i] = x[i] - mean;
}

static size_t rows_of(const exec *x, const node *n, const span *s)
{
    return (size_t)x->g->values[n->outputs[0]].rows * (size_t)(s->b1 - s->b0);
}

static void forward(const exec *x, const node *n, const span *s)
{
    size_t cols = (size_t)x->g->values[n->outputs[0]].cols;
    const real *from = exec_value(x, n->inputs[0], s->b0);
    real *y = exec_value(x, n->outputs[0], s->b0);
    for (size_t r = 0; r < rows_of(x, n, s); r++)
        centre_row(y + r * cols, NULL, from + r * cols, cols);
}

static void backward(const exec *x, const node *n, const span *s)
{
    size_t cols = (size_t)x->g->values[n->outputs[0]].cols;
    const real *dy = exec_grad(x, n->outputs[0], s->b0), *base = exec_grad_base(x, n, 0, s->b0);
    real *dx = exec_grad(x, n->inputs[0], s->b0);
    for (size_t r = 0; r < rows_of(x, n, s); r++)
        centre_row(dx + r * cols, base ? base + r * cols : NULL, dy + r * cols, cols);
}

const op op_centre = {
    .entry = {.name = "centre", .summary = "y = x - mean(x), over the features of a token"},
    .can_add = true,
    .forward = forward,
    .backward = backward,
};
