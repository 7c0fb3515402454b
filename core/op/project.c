/* A synthetic loss: loss = sum over tokens of g . x with given g [B, T, D], so dx = g exactly.
 * With g iid the token correlation of the gradient is 0, with one row repeated it is 1. Without a
 * seed g is 1: the loss is the sum of x. */
#include "core/op/op.h"

int op_project_build(graph *g, int x)
{
    node *n = graph_node(g, &op_project);
    int y = graph_value(g, 1, 1);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    g->loss_value = y;
    return y;
}

static size_t count_of(const exec *x, const node *n)
{
    return (size_t)x->g->seq_len * (size_t)x->g->values[n->inputs[0]].cols;
}

static const real *seed_of(const exec *x, int b, size_t count)
{
    return x->grad_seed ? x->grad_seed + (size_t)b * count : NULL;
}

static void forward(const exec *x, const node *n, const span *s)
{
    size_t count = count_of(x, n);
    for (int b = s->b0; b < s->b1; b++) {
        const real *v = exec_value(x, n->inputs[0], b), *g = seed_of(x, b, count);
        double sum = 0;
        for (size_t i = 0; i < count; i++) sum += g ? (double)g[i] * (double)v[i] : (double)v[i];
        x->losses[b] = sum;
        *exec_value(x, n->outputs[0], b) = (real)sum;
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    size_t count = count_of(x, n);
    real scale = (real)x->grad_scale, beta = exec_grad_prepare(x, n, 0, s->b0, s->b1);
    for (int b = s->b0; b < s->b1; b++) {
        const real *g = seed_of(x, b, count);
        real *dx = exec_grad(x, n->inputs[0], b);
        for (size_t i = 0; i < count; i++) {
            real own = scale * (g ? g[i] : 1);
            dx[i] = beta == 0 ? own : dx[i] + own;
        }
    }
}

const op op_project = {
    .entry = {.name = "project", .summary = "loss = sum g.x with given g"},
    .can_add = true,
    .forward = forward,
    .backward = backward,
};
