/* y = lambda a + (1 - lambda) b, where lambda is that of the batch norm that made b (PRepBN):
 *   da = lambda dy,  db = (1 - lambda) dy.
 * At 1 and 0 it copies: what the other side made does not matter, not even a NaN. */
#include "core/op/op.h"

#include <string.h>

/* What a node of this op knows. */
typedef struct own {
    int partner; /* the batch norm that made input 1 */
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_blend_build(graph *g, int a, int b)
{
    node *n = graph_node(g, &op_blend);
    own *o = graph_own(g, n, sizeof *o);
    o->partner = g->values[b].producer;
    n->inputs[0] = a, n->inputs[1] = b, n->n_inputs = 2;
    n->outputs[0] = graph_value(g, g->values[a].rows, g->values[a].cols), n->n_outputs = 1;
    return n->outputs[0];
}

/* Both factors; 0 and 1 are exact. */
static real share_of(const exec *x, const node *n, int input)
{
    double lambda = op_batch_norm_lambda(x, &x->g->nodes[own_of(n)->partner]);
    return (real)(input == 0 ? lambda : 1 - lambda);
}

static size_t count_of(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    return (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0);
}

int op_blend_partner(const node *n)
{
    return own_of(n)->partner;
}

CLONES static void mix(real *restrict y,
                       const real *restrict a,
                       const real *restrict b,
                       real of_a,
                       real of_b,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = of_a * a[i] + of_b * b[i];
}

static void forward(const exec *x, const node *n, const span *s)
{
    real share[2], *y = exec_value(x, n->outputs[0], s->b0);
    const real *in[2];
    size_t count = count_of(x, n, s);
    for (int i = 0; i < 2; i++) {
        share[i] = share_of(x, n, i);
        in[i] = exec_value(x, n->inputs[i], s->b0);
    }
    for (int i = 0; i < 2; i++)
        if (share[i] == 1) {
            memcpy(y, in[i], count * sizeof *y);
            return;
        }
    mix(y, in[0], in[1], share[0], share[1], count);
}

/* A share of 0 gives a gradient of 0, whatever dy is. */
CLONES static void give(real *dx, const real *base, const real *dy, real share, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real term = share == 0 ? 0 : share * dy[i];
        dx[i] = base ? base[i] + term : term;
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    for (int i = 0; i < 2; i++)
        if (n->grads[i].wanted)
            give(exec_grad(x, n->inputs[i], s->b0), exec_grad_base(x, n, i, s->b0),
                 exec_grad(x, n->outputs[0], s->b0), share_of(x, n, i), count_of(x, n, s));
}

const op op_blend = {
    .entry = {.name = "blend", .summary = "y = lambda a + (1 - lambda) b, lambda by a schedule"},
    .can_add = true,
    .forward = forward,
    .backward = backward,
};
