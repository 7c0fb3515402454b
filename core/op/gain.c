/* y = c f(p) x with a learned p: one number, one for each of equal groups of features (heads), or
 * one per feature; f is a gain_map.
 *
 *   dx = c f(p) dy,  dp_j = c f'(p_j) sum over tokens and the features of j of x dy
 *
 * A straight map hands dy on unscaled, dx = dy, as if x were constant in the scaling (GPAS).
 */
#include "core/op/gain_map.h"

#include "core/op/op.h"
#include "core/op/vector.h"

#include <string.h>

/* What a node of this op knows. */
typedef struct own {
    const gain_map *gain_map;
    double scale;
    int groups; /* features of one number */
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_gain_build(graph *g, int x, const int *p, int n_p, const gain_map *map, double scale)
{
    node *n = graph_node(g, &op_gain);
    own *o = graph_own(g, n, sizeof *o);
    o->gain_map = map;
    o->scale = scale;
    for (int i = 0; i < n_p; i++) n->params[n->n_params++] = p[i];
    graph_share(g, n);
    int cols = g->values[x].cols, y = graph_value(g, g->values[x].rows, cols);
    if (g->failed) return y;
    for (int i = 0; i < n_p; i++) n->partial_count += g->params[p[i]].count;
    if ((size_t)cols % n->partial_count) g->failed = true; /* factors of another width */
    o->groups = cols / (int)n->partial_count;
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

/* The factors of all features, in scratch. */
static const real *factors(const exec *x, const node *n, const span *s)
{
    const real *p = exec_param(x, n->params[0]);
    real *factor = exec_scratch(x, s->worker);
    size_t width = (size_t)own_of(n)->groups;
    for (size_t j = 0; j < n->partial_count; j++) {
        real f = (real)(own_of(n)->scale * own_of(n)->gain_map->value((double)p[j]));
        for (size_t i = 0; i < width; i++) factor[j * width + i] = f;
    }
    return factor;
}

CLONES static void
multiply(real *y, const real *base, const real *restrict x, const real *restrict factor, size_t n)
{
    if (base)
        for (size_t i = 0; i < n; i++) y[i] = base[i] + factor[i] * x[i];
    else
        for (size_t i = 0; i < n; i++) y[i] = factor[i] * x[i];
}

CLONES static void pass_on(real *dx, const real *base, const real *dy, size_t n)
{
    if (base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + dy[i];
    else
        memcpy(dx, dy, n * sizeof *dx);
}

CLONES static double dot(const real *restrict a, const real *restrict b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

CLONES static void add_products(double *restrict sum, const real *a, const real *b, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += (double)a[i] * (double)b[i];
}

static void forward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    const real *factor = factors(x, n, s), *from = exec_value(x, n->inputs[0], s->b0);
    real *y = exec_value(x, n->outputs[0], s->b0);
    size_t rows = (size_t)out->rows * (size_t)(s->b1 - s->b0), cols = (size_t)out->cols;
    for (size_t r = 0; r < rows; r++)
        multiply(y + r * (size_t)out->ld, NULL, from + r * (size_t)in->ld, factor, cols);
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    const real *factor = factors(x, n, s), *from = exec_value(x, n->inputs[0], s->b0);
    const real *dy = exec_grad(x, n->outputs[0], s->b0), *base = exec_grad_base(x, n, 0, s->b0);
    real *dx = n->grads[0].wanted ? exec_grad(x, n->inputs[0], s->b0) : NULL;
    double *sums = exec_partials(x, n, s->panel);
    size_t rows = (size_t)out->rows * (size_t)(s->b1 - s->b0), cols = (size_t)out->cols,
           width = (size_t)own_of(n)->groups;
    memset(sums, 0, n->partial_count * sizeof *sums);
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * (size_t)in->ld;
        const real *dyr = dy + r * (size_t)out->ld;
        if (width == 1)
            add_products(sums, from + at, dyr, cols);
        else
            for (size_t j = 0; j < n->partial_count; j++)
                sums[j] += dot(from + at + j * width, dyr + j * width, width);
        if (dx && own_of(n)->gain_map->straight)
            pass_on(dx + at, base ? base + at : NULL, dyr, cols);
        else if (dx)
            multiply(dx + at, base ? base + at : NULL, dyr, factor, cols);
    }
    const real *p = exec_param(x, n->params[0]);
    for (size_t j = 0; j < n->partial_count; j++)
        sums[j] *= own_of(n)->scale * own_of(n)->gain_map->slope((double)p[j]);
}

static size_t scratch(const graph *g, const node *n)
{
    return (size_t)g->values[n->inputs[0]].cols;
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    out->what = own_of(n)->gain_map->formula;
    if (own_of(n)->scale != 1) describe_number(out, "scale", own_of(n)->scale);
}

const op op_gain = {
    .entry = {.name = "gain",
              .summary = "y = c f(p) x, p learned: one number, per head or feature"},
    .reads_inputs = 1,
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .n_param_tasks = op_vector_tasks,
    .n_slices = op_one_slice,
    .param_task = op_vector_task,
    .scratch = scratch,
    .describe = describe,
};
