/* y[t] = d_t x[t] with a constant d per position; dx[t] = d_t dy[t]. */
#include "core/op/op.h"

int op_row_scale_build(graph *g, int x, constants_fill *fill, size_t work)
{
    node *n = graph_node(g, &op_row_scale);
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    graph_constants(g, n, (size_t)g->values[x].rows, fill, work);
    return y;
}

CLONES static void scale_row(real *y, const real *base, const real *x, real d, size_t n)
{
    if (base)
        for (size_t i = 0; i < n; i++) y[i] = base[i] + d * x[i];
    else
        for (size_t i = 0; i < n; i++) y[i] = d * x[i];
}

static void forward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    const real *d = exec_constants(x, n);
    for (int b = s->b0; b < s->b1; b++) {
        const real *from = exec_value(x, n->inputs[0], b);
        real *y = exec_value(x, n->outputs[0], b);
        for (size_t t = 0; t < (size_t)in->rows; t++)
            scale_row(y + t * (size_t)out->ld, NULL, from + t * (size_t)in->ld, d[t],
                      (size_t)in->cols);
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    const real *d = exec_constants(x, n);
    for (int b = s->b0; b < s->b1; b++) {
        const real *dy = exec_grad(x, n->outputs[0], b), *base = exec_grad_base(x, n, 0, b);
        real *dx = exec_grad(x, n->inputs[0], b);
        for (size_t t = 0; t < (size_t)in->rows; t++) {
            size_t at = t * (size_t)in->ld;
            scale_row(dx + at, base ? base + at : NULL, dy + t * (size_t)out->ld, d[t],
                      (size_t)in->cols);
        }
    }
}

const op op_row_scale = {
    .entry = {.name = "row_scale", .summary = "y[t] = d_t x[t], d constant"},
    .can_add = true,
    .forward = forward,
    .backward = backward,
};
