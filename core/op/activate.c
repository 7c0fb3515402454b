/* An activation from the registry (activation.h). Gated: x is [gate | up], y = f(gate) up,
 *   dgate = dy up f'(gate),  dup = dy f(gate). */
#include "core/activation/activation.h"

#include "core/op/op.h"

/* What a node of this op knows. */
typedef struct own {
    const activation *activation;
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_activate_build(graph *g, int x, const activation *kind)
{
    node *n = graph_node(g, &op_activate);
    own *o = graph_own(g, n, sizeof *o);
    o->activation = kind;
    int y = graph_value(g, g->values[x].rows, g->values[x].cols / (kind->gate ? 2 : 1));
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

/* y may be a. */
CLONES static void multiply(real *y, const real *a, const real *restrict b, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

static void forward(const exec *x, const node *n, const span *s)
{
    const value *out = &x->g->values[n->outputs[0]];
    size_t width = (size_t)out->cols, rows = (size_t)out->rows * (size_t)(s->b1 - s->b0);
    const real *in = exec_value(x, n->inputs[0], s->b0);
    real *y = exec_value(x, n->outputs[0], s->b0);
    if (!own_of(n)->activation->gate) {
        own_of(n)->activation->forward(y, in, rows * width);
        return;
    }
    for (size_t r = 0; r < rows; r++, in += 2 * width, y += width) {
        own_of(n)->activation->gate->forward(y, in, width);
        multiply(y, y, in + width, width);
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *out = &x->g->values[n->outputs[0]];
    size_t width = (size_t)out->cols, rows = (size_t)out->rows * (size_t)(s->b1 - s->b0);
    const real *in = exec_value(x, n->inputs[0], s->b0), *dy = exec_grad(x, n->outputs[0], s->b0);
    real *dx = exec_grad(x, n->inputs[0], s->b0);
    real *again = n->recompute ? exec_value(x, n->outputs[0], s->b0) : NULL;
    if (!own_of(n)->activation->gate) {
        own_of(n)->activation->backward(dx, dy, in, again, rows * width);
        return;
    }
    for (size_t r = 0; r < rows; r++, in += 2 * width, dx += 2 * width, dy += width) {
        multiply(dx, dy, in + width, width);
        own_of(n)->activation->gate->backward(dx, dx, in, dx + width, width);
        if (again) multiply(again + r * width, dx + width, in + width, width);
        multiply(dx + width, dx + width, dy, width);
    }
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    out->what = own_of(n)->activation->entry.name;
}

const op op_activate = {
    .entry = {.name = "activate", .summary = "y = f(x), a row of the activations registry"},
    .remakes = true,
    .reads_inputs = 1,
    .forward = forward,
    .backward = backward,
    .describe = describe,
};
