/* y = x + p with a learned p: one number for all features, or one per feature.
 * dx = dy,  dp = sum of dy over tokens (and over features where p is one number). */
#include "core/op/op.h"
#include "core/op/vector.h"

#include <string.h>

int op_shift_build(graph *g, int x, int p)
{
    node *n = graph_node(g, &op_shift);
    n->params[0] = p, n->n_params = 1;
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    if (g->failed) return y;
    n->partial_count = g->params[p].count;
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

CLONES static void add_number(real *restrict y, const real *restrict x, real p, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] + p;
}

CLONES static void
add_row(real *restrict y, const real *restrict x, const real *restrict p, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] + p[i];
}

CLONES static double row_sum(const real *x, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    return sum;
}

CLONES static void pass_on(real *dx, const real *base, const real *dy, size_t n)
{
    if (base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + dy[i];
    else
        memcpy(dx, dy, n * sizeof *dx);
}

static void forward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    const real *p = exec_param(x, n->params[0]), *from = exec_value(x, n->inputs[0], s->b0);
    real *y = exec_value(x, n->outputs[0], s->b0);
    size_t rows = (size_t)out->rows * (size_t)(s->b1 - s->b0), cols = (size_t)out->cols;
    for (size_t r = 0; r < rows; r++) {
        if (n->partial_count == 1)
            add_number(y + r * (size_t)out->ld, from + r * (size_t)in->ld, p[0], cols);
        else
            add_row(y + r * (size_t)out->ld, from + r * (size_t)in->ld, p, cols);
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    const real *dy = exec_grad(x, n->outputs[0], s->b0), *base = exec_grad_base(x, n, 0, s->b0);
    real *dx = n->grads[0].wanted ? exec_grad(x, n->inputs[0], s->b0) : NULL;
    double *sums = exec_partials(x, n, s->panel);
    size_t rows = (size_t)out->rows * (size_t)(s->b1 - s->b0), cols = (size_t)out->cols;
    memset(sums, 0, n->partial_count * sizeof *sums);
    for (size_t r = 0; r < rows; r++) {
        const real *dyr = dy + r * (size_t)out->ld;
        size_t at = r * (size_t)in->ld;
        if (n->partial_count == 1)
            sums[0] += row_sum(dyr, cols);
        else
            for (size_t i = 0; i < cols; i++) sums[i] += (double)dyr[i];
        if (dx) pass_on(dx + at, base ? base + at : NULL, dyr, cols);
    }
}

const op op_shift = {
    .entry = {.name = "shift", .summary = "y = x + p, p learned: one number or one per feature"},
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .n_param_tasks = op_vector_tasks,
    .n_slices = op_one_slice,
    .param_task = op_vector_task,
};
