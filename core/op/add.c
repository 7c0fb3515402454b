/* y = a + b. Both gradients are dy itself: the plan shares the buffer, and backward runs
 * only where an input already has a gradient from elsewhere to add to, or must have one of its own.
 */
#include "core/op/op.h"

int op_add_build(graph *g, int a, int b)
{
    node *n = graph_node(g, &op_add);
    int y = graph_value(g, g->values[a].rows, g->values[a].cols);
    n->inputs[0] = a, n->inputs[1] = b, n->n_inputs = 2;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

CLONES static void add(real *restrict y, const real *restrict a, const real *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void forward(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    size_t count = (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0);
    add(exec_value(x, n->outputs[0], s->b0), exec_value(x, n->inputs[0], s->b0),
        exec_value(x, n->inputs[1], s->b0), count);
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    size_t count = (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0);
    const real *dy = exec_grad(x, n->outputs[0], s->b0);
    for (int i = 0; i < 2; i++) {
        if (!n->grads[i].wanted) continue;
        real *dx = exec_grad(x, n->inputs[i], s->b0);
        const real *base = exec_grad_base(x, n, i, s->b0);
        for (size_t j = 0; j < count; j++) dx[j] = base ? base[j] + dy[j] : dy[j];
    }
}

const op op_add = {
    .entry = {.name = "add", .summary = "y = a + b"},
    .alias_grad = true,
    .can_add = true,
    .sums = true,
    .forward = forward,
    .backward = backward,
};
