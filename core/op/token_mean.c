/* Uniform attention: y[t] = mean of x[s] over the tokens s that t sees, all or (causal) s <= t.
 *
 *   dx[s] = sum over t that see s of dy[t]/n_t,  n_t = t + 1 or T
 *
 * Sums run over the tokens in order, in double.
 */
#include "core/op/op.h"

#include <string.h>

/* What a node of this op knows. */
typedef struct own {
    bool causal;
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_token_mean_build(graph *g, int x, bool causal)
{
    node *n = graph_node(g, &op_token_mean);
    own *o = graph_own(g, n, sizeof *o);
    o->causal = causal;
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

/* Room for a row of doubles. */
static size_t scratch(const graph *g, const node *n)
{
    return (size_t)g->values[n->inputs[0]].cols * sizeof(double) / sizeof(real);
}

static double *sums_of(const exec *x, const span *s, size_t cols)
{
    double *sum = (double *)(void *)exec_scratch(x, s->worker);
    memset(sum, 0, cols * sizeof *sum);
    return sum;
}

CLONES static void add_row(double *restrict sum, const real *restrict x, double factor, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += factor * (double)x[i];
}

CLONES static void times(real *restrict y, const double *restrict sum, double factor, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = (real)(factor * sum[i]);
}

static void forward_one(const exec *x, const node *n, const span *s, int b)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    size_t rows = (size_t)in->rows, cols = (size_t)in->cols;
    const real *from = exec_value(x, n->inputs[0], b);
    real *y = exec_value(x, n->outputs[0], b);
    double *sum = sums_of(x, s, cols);
    for (size_t t = 0; t < rows && !own_of(n)->causal; t++)
        add_row(sum, from + t * (size_t)in->ld, 1, cols);
    for (size_t t = 0; t < rows; t++, y += out->ld) {
        if (own_of(n)->causal) add_row(sum, from + t * (size_t)in->ld, 1, cols);
        double factor = 1 / (double)(own_of(n)->causal ? t + 1 : rows);
        times(y, sum, factor, cols);
    }
}

static void forward(const exec *x, const node *n, const span *s)
{
    for (int b = s->b0; b < s->b1; b++) forward_one(x, n, s, b);
}

CLONES static void store(real *dx, const real *base, const double *sum, size_t n)
{
    for (size_t i = 0; i < n; i++) dx[i] = (real)(base ? (double)base[i] + sum[i] : sum[i]);
}

static void backward_one(const exec *x, const node *n, const span *s, int b)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    size_t rows = (size_t)in->rows, cols = (size_t)in->cols;
    const real *dy = exec_grad(x, n->outputs[0], b), *base = exec_grad_base(x, n, 0, b);
    real *dx = exec_grad(x, n->inputs[0], b);
    double *sum = sums_of(x, s, cols);
    for (size_t t = 0; t < rows && !own_of(n)->causal; t++)
        add_row(sum, dy + t * (size_t)out->ld, 1 / (double)rows, cols);
    for (size_t t = rows; t-- > 0;) {
        size_t at = t * (size_t)in->ld;
        if (own_of(n)->causal) add_row(sum, dy + t * (size_t)out->ld, 1 / (double)(t + 1), cols);
        store(dx + at, base ? base + at : NULL, sum, cols);
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    for (int b = s->b0; b < s->b1; b++) backward_one(x, n, s, b);
}

const op op_token_mean = {
    .entry = {.name = "token_mean", .summary = "y[t] = mean of x over the tokens that t sees"},
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .scratch = scratch,
};
