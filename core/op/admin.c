/* y = omega x + f, omega [D] learned (Admin: the stream before a Post-LN is scaled so that branches
 * do not dominate it at the start).
 *
 *   dx = omega dy,  df = dy,  domega = sum over tokens of dy x
 *
 * In exec_profile every entry of omega becomes ratio, which begins at 1 and goes from one such node
 * to the next as ratio <- sqrt(Var(omega x) + Var(f)), each variance over all entries of the batch.
 * The streams in between are normed, so from the second node on omega is about sqrt(v + sum of
 * Var(f) before), v the variance of the embeddings: 1 where they are scaled so, 4e-4 under init
 * gpt2. Source: Liu et al. 2020, arXiv:2004.08249; Transformer-Clinic, fairseq/modules/
 * transformer_layer.py.
 */
#include "core/op/op.h"
#include "core/op/vector.h"

#include <string.h>

/* Panel sums while profiling: of (omega x) and of f, entries, mean and squares about it. */
typedef struct spread {
    double count, mean, square;
} spread;

enum { SPREADS = 2, PROFILE_DOUBLES = SPREADS * sizeof(spread) / sizeof(double) };

/* What a node of this op knows. */
typedef struct own {
    int partner; /* the node of this op before, or NONE */
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_admin_build(graph *g, int x, int f, int omega)
{
    node *n = graph_node(g, &op_admin);
    own *o = graph_own(g, n, sizeof *o);
    o->partner = NONE;
    size_t cols = (size_t)g->values[x].cols;
    for (int i = g->n_nodes - 2; i >= 0 && o->partner == NONE && !g->failed; i--)
        if (g->nodes[i].op == &op_admin) o->partner = i;
    n->params[n->n_params++] = omega;
    n->partial_count = cols > PROFILE_DOUBLES ? cols : PROFILE_DOUBLES;
    n->stat_count = 1; /* ratio after this node */
    n->profiled = true;
    n->inputs[0] = x, n->inputs[1] = f, n->n_inputs = 2;
    n->outputs[0] = graph_value(g, g->values[x].rows, g->values[x].cols), n->n_outputs = 1;
    return n->outputs[0];
}

CLONES static void join(real *restrict y,
                        const real *restrict omega,
                        const real *restrict x,
                        const real *restrict f,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = omega[i] * x[i] + f[i];
}

/* Where a span lies; x, f and y are not views. */
typedef struct part {
    size_t rows, cols;
} part;

static part part_of(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    return (part){(size_t)v->rows * (size_t)(s->b1 - s->b0), (size_t)v->cols};
}

static double ratio_before(const exec *x, const node *n)
{
    return own_of(n)->partner == NONE ? 1 : *exec_stats(x, &x->g->nodes[own_of(n)->partner]);
}

CLONES static spread spread_of(const real *x, real factor, size_t n)
{
    double sum = 0, square = 0, first = (double)(factor * x[0]);
    for (size_t i = 0; i < n; i++) {
        double d = (double)(factor * x[i]) - first;
        sum += d;
        square += d * d;
    }
    return (spread){(double)n, first + sum / (double)n, square - sum * (sum / (double)n)};
}

static void profile_span(const exec *x, const node *n, const span *s)
{
    part p = part_of(x, n, s);
    size_t count = p.rows * p.cols;
    real ratio = (real)ratio_before(x, n), *y = exec_value(x, n->outputs[0], s->b0);
    const real *stream = exec_value(x, n->inputs[0], s->b0);
    const real *branch = exec_value(x, n->inputs[1], s->b0);
    spread sums[SPREADS] = {spread_of(stream, ratio, count), spread_of(branch, 1, count)};
    memcpy(exec_partials(x, n, s->panel), sums, sizeof sums);
    for (size_t i = 0; i < count; i++) y[i] = ratio * stream[i] + branch[i];
}

static void forward(const exec *x, const node *n, const span *s)
{
    if (x->profiling) {
        profile_span(x, n, s);
        return;
    }
    part p = part_of(x, n, s);
    const real *stream = exec_value(x, n->inputs[0], s->b0);
    const real *branch = exec_value(x, n->inputs[1], s->b0);
    real *y = exec_value(x, n->outputs[0], s->b0);
    for (size_t r = 0; r < p.rows; r++)
        join(y + r * p.cols, exec_param(x, n->params[0]), stream + r * p.cols, branch + r * p.cols,
             p.cols);
}

static double joined_variance(const exec *x, const node *n, int which)
{
    spread all = {0};
    for (int panel = 0; panel < x->g->n_panels; panel++) {
        spread sums[SPREADS];
        memcpy(sums, exec_partials(x, n, panel), sizeof sums);
        spread more = sums[which];
        double count = all.count + more.count, off = more.mean - all.mean;
        all.square += more.square + off * off * (all.count * more.count / count);
        all.mean += off * (more.count / count);
        all.count = count;
    }
    return all.square / all.count;
}

static void profile(const exec *x, const node *n)
{
    real *omega = exec_param(x, n->params[0]), ratio = (real)ratio_before(x, n);
    for (size_t i = 0; i < x->g->params[n->params[0]].count; i++) omega[i] = ratio;
    *exec_stats(x, n) = sqrt(joined_variance(x, n, 0) + joined_variance(x, n, 1));
}

CLONES static void
sum_products(double *restrict sum, const real *restrict dy, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += (double)(dy[i] * x[i]);
}

/* dx = base + factor dy; factor NULL: 1. */
CLONES static void give(real *dx, const real *base, const real *dy, const real *factor, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real term = factor ? factor[i] * dy[i] : dy[i];
        dx[i] = base ? base[i] + term : term;
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    part p = part_of(x, n, s);
    const real *dy = exec_grad(x, n->outputs[0], s->b0);
    const real *stream = exec_value(x, n->inputs[0], s->b0);
    const real *omega = exec_param(x, n->params[0]);
    double *sum = exec_partials(x, n, s->panel);
    memset(sum, 0, p.cols * sizeof *sum);
    for (size_t r = 0; r < p.rows; r++)
        sum_products(sum, dy + r * p.cols, stream + r * p.cols, p.cols);
    for (int i = 0; i < 2; i++) {
        if (!n->grads[i].wanted) continue;
        real *dx = exec_grad(x, n->inputs[i], s->b0);
        const real *base = exec_grad_base(x, n, i, s->b0);
        for (size_t r = 0; r < p.rows; r++)
            give(dx + r * p.cols, base ? base + r * p.cols : NULL, dy + r * p.cols,
                 i == 0 ? omega : NULL, p.cols);
    }
}

const op op_admin = {
    .entry = {.name = "admin", .summary = "y = omega x + f, omega profiled before training"},
    .reads_inputs = 1,
    .can_add = true,
    .profiles_params = true,
    .sums = true,
    .forward = forward,
    .backward = backward,
    .profile = profile,
    .n_param_tasks = op_vector_tasks,
    .n_slices = op_one_slice,
    .param_task = op_vector_task,
};
