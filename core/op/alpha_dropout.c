/* Alpha dropout: y = a (m x + (1 - m) s) + b with m 1 for a share q = 1 - rate of the entries, drawn
 * anew in each pass, and s = -1.7581, the lower limit of SELU. a = 1/sqrt(q + q (1 - q) s^2) and
 * b = -a (1 - q) s keep a mean of 0 and a variance of 1. dx = a m dy. Where networks are seen as they
 * are used (exec.eval) it is the identity.
 *
 * What is not finite stays so where it falls out, too: m is a factor.
 *
 * m is a function of seed, update, block and entry, so that passes over the same batch see the same
 * entries.
 */
#include "core/base/rng.h"
#include "core/op/op.h"

#include <stdio.h>
#include <string.h>

static const double LIMIT = -1.7580993408473766;

/* What a node of this op knows. */
typedef struct own {
    double rate;
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

double op_alpha_dropout_factor(double rate)
{
    const double q = 1 - rate;
    return 1 / sqrt(q + q * rate * LIMIT * LIMIT);
}

double op_alpha_dropout_limit(void)
{
    return LIMIT;
}

int op_alpha_dropout_build(graph *g, int x, double rate)
{
    node *n = graph_node(g, &op_alpha_dropout);
    own *o = graph_own(g, n, sizeof *o);
    o->rate = rate;
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

/* y = scale m x + (1 - m) low + shift for entries first.. of the batch. */
static void apply(const exec *x,
                  const node *n,
                  real *y,
                  const real *in,
                  size_t first,
                  size_t count,
                  real low,
                  real shift)
{
    char name[32];
    const double rate = own_of(n)->rate;
    const real scale = (real)op_alpha_dropout_factor(rate);
    double u[RNG_BLOCK];
    snprintf(name, sizeof name, "%d.%d", x->step, n->layer);
    const rng r = rng_stream(x->g->spec->seed, "alpha_dropout", name);
    for (size_t i = 0; i < count;) {
        size_t at = (first + i) % RNG_BLOCK,
               m = RNG_BLOCK - at < count - i ? RNG_BLOCK - at : count - i;
        rng_uniform_block(&r, (first + i) / RNG_BLOCK, u);
        for (size_t k = 0; k < m; k++) {
            bool falls = u[at + k] < rate;
            y[i + k] = (falls ? 0 : scale) * in[i + k] + (falls ? low : 0) + shift;
        }
        i += m;
    }
}

/* Entries of one sequence. */
static size_t each_of(const exec *x, const node *n)
{
    const value *v = &x->g->values[n->outputs[0]];
    return (size_t)v->rows * (size_t)v->cols;
}

static void forward(const exec *x, const node *n, const span *s)
{
    const double rate = own_of(n)->rate, a = op_alpha_dropout_factor(rate);
    const size_t each = each_of(x, n), count = each * (size_t)(s->b1 - s->b0);
    const real *in = exec_value(x, n->inputs[0], s->b0);
    real *y = exec_value(x, n->outputs[0], s->b0);
    if (x->eval)
        memcpy(y, in, count * sizeof *y);
    else
        apply(x, n, y, in, each * (size_t)(s->b0 + x->first_b), count, (real)(a * LIMIT),
              (real)(-a * rate * LIMIT));
}

static void backward(const exec *x, const node *n, const span *s)
{
    const size_t each = each_of(x, n), count = each * (size_t)(s->b1 - s->b0);
    const real *dy = exec_grad(x, n->outputs[0], s->b0);
    real *dx = exec_grad(x, n->inputs[0], s->b0);
    if (x->eval)
        memcpy(dx, dy, count * sizeof *dx);
    else
        apply(x, n, dx, dy, each * (size_t)(s->b0 + x->first_b), count, 0, 0);
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    describe_number(out, "rate", own_of(n)->rate);
}

const op op_alpha_dropout = {
    .entry = {.name = "alpha_dropout",
              .summary =
                  "entries at random set to the lower limit of SELU; mean 0 and variance 1 stay",
              .source = "arXiv:1706.02515"},
    .by_chance = true,
    .forward = forward,
    .backward = backward,
    .describe = describe,
};
