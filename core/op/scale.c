/* y = c x, dx = c dy, c constant. */
#include "core/op/op.h"

/* What a node of this op knows. */
typedef struct own {
    double scale;
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_scale_build(graph *g, int x, double scale)
{
    node *n = graph_node(g, &op_scale);
    own *o = graph_own(g, n, sizeof *o);
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    o->scale = scale;
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

CLONES static void scale(real *restrict y, const real *restrict x, real c, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = c * x[i];
}

CLONES static void scale_add(real *y, const real *base, const real *restrict x, real c, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = base[i] + c * x[i];
}

static size_t count_of(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    return (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0);
}

static void forward(const exec *x, const node *n, const span *s)
{
    scale(exec_value(x, n->outputs[0], s->b0), exec_value(x, n->inputs[0], s->b0),
          (real)own_of(n)->scale, count_of(x, n, s));
}

static void backward(const exec *x, const node *n, const span *s)
{
    const real *base = exec_grad_base(x, n, 0, s->b0), *dy = exec_grad(x, n->outputs[0], s->b0);
    real *dx = exec_grad(x, n->inputs[0], s->b0);
    if (base)
        scale_add(dx, base, dy, (real)own_of(n)->scale, count_of(x, n, s));
    else
        scale(dx, dy, (real)own_of(n)->scale, count_of(x, n, s));
}

void op_scale_by_power(const node *n, int exponent)
{
    own *o = n->own;
    o->scale = ldexp(o->scale, exponent);
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    if (own_of(n)->scale != 1) describe_number(out, "scale", own_of(n)->scale);
}

const op op_scale = {
    .entry = {.name = "scale", .summary = "y = c x, c constant"},
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .describe = describe,
};
