/* y = c_a a + c_b b, constants: a residual sum with a scaled stream.  da = c_a dy,  db = c_b dy. */
#include "core/op/op.h"

/* What a node of this op knows. */
typedef struct own {
    double mix[2]; /* factors of the inputs */
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_mix_build(graph *g, double ca, int a, double cb, int b)
{
    node *n = graph_node(g, &op_mix);
    own *o = graph_own(g, n, sizeof *o);
    int y = graph_value(g, g->values[a].rows, g->values[a].cols);
    o->mix[0] = ca, o->mix[1] = cb;
    n->inputs[0] = a, n->inputs[1] = b, n->n_inputs = 2;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

CLONES static void
mix(real *restrict y, const real *restrict a, const real *restrict b, real ca, real cb, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = ca * a[i] + cb * b[i];
}

CLONES static void scaled(real *dx, const real *base, const real *restrict dy, real c, size_t n)
{
    if (base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + c * dy[i];
    else
        for (size_t i = 0; i < n; i++) dx[i] = c * dy[i];
}

static void forward(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    mix(exec_value(x, n->outputs[0], s->b0), exec_value(x, n->inputs[0], s->b0),
        exec_value(x, n->inputs[1], s->b0), (real)own_of(n)->mix[0], (real)own_of(n)->mix[1],
        (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0));
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    size_t count = (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0);
    const real *dy = exec_grad(x, n->outputs[0], s->b0);
    for (int i = 0; i < 2; i++)
        if (n->grads[i].wanted)
            scaled(exec_grad(x, n->inputs[i], s->b0), exec_grad_base(x, n, i, s->b0), dy,
                   (real)own_of(n)->mix[i], count);
}

double op_mix_factor(const node *n, int input)
{
    return own_of(n)->mix[input];
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    const double *factors = own_of(n)->mix;
    if (factors[0] == 0 && factors[1] == 0) return;
    describe_number(out, "first", factors[0]);
    describe_number(out, "second", factors[1]);
}

const op op_mix = {
    .entry = {.name = "mix", .summary = "y = c_a a + c_b b, constants"},
    .can_add = true,
    .sums = true,
    .forward = forward,
    .backward = backward,
    .describe = describe,
};
