/* y = c tanh(x/c), c constant; dx = dy (1 - tanh(x/c)^2). */
#include "core/op/op.h"

/* What a node of this op knows. */
typedef struct own {
    double softcap; /* c */
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_softcap_build(graph *g, int x, double cap)
{
    node *n = graph_node(g, &op_softcap);
    own *o = graph_own(g, n, sizeof *o);
    o->softcap = cap;
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

CLONES static void cap_row(real *restrict y, const real *restrict x, real c, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = c * TANH(x[i] / c);
}

CLONES static void
uncap_row(real *dx, const real *restrict dy, const real *restrict x, real c, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real t = TANH(x[i] / c);
        dx[i] = dy[i] * (1 - t * t);
    }
}

static size_t count_of(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    return (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0);
}

static void forward(const exec *x, const node *n, const span *s)
{
    cap_row(exec_value(x, n->outputs[0], s->b0), exec_value(x, n->inputs[0], s->b0),
            (real)own_of(n)->softcap, count_of(x, n, s));
}

static void backward(const exec *x, const node *n, const span *s)
{
    uncap_row(exec_grad(x, n->inputs[0], s->b0), exec_grad(x, n->outputs[0], s->b0),
              exec_value(x, n->inputs[0], s->b0), (real)own_of(n)->softcap, count_of(x, n, s));
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    describe_number(out, "softcap", own_of(n)->softcap);
}

const op op_softcap = {
    .entry = {.name = "softcap", .summary = "y = c tanh(x/c), c constant"},
    .reads_inputs = 1,
    .forward = forward,
    .backward = backward,
    .describe = describe,
};
