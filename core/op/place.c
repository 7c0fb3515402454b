/* y[t] = x[t] + P[t], with a learned table, a fixed row, or both. dx = dy: the plan shares the
 * buffer; dP[t] = sum of dy[t] over the sequences in order. */
#include "core/graph/rounding.h"
#include "core/op/op.h"
#include "core/op/vector.h"

#include "core/position/position.h"

/* What a node of this op knows. */
typedef struct own {
    const position *position;
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_place_build(graph *g, int x, int table, const position *kind)
{
    node *n = graph_node(g, &op_place);
    own *o = graph_own(g, n, sizeof *o);
    o->position = kind;
    if (table != NONE) n->params[n->n_params++] = table;
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

static void forward(const exec *x, const node *n, const span *s)
{
    size_t width = (size_t)x->g->values[n->outputs[0]].cols;
    const real *table = n->n_params ? exec_param(x, n->params[0]) : NULL;
    for (int b = s->b0; b < s->b1; b++) {
        const real *from = exec_value(x, n->inputs[0], b);
        real *y = exec_value(x, n->outputs[0], b);
        for (int t = 0; t < x->g->seq_len; t++, y += width, from += width) {
            const real *row = table ? table + (size_t)t * width : NULL;
            for (size_t i = 0; i < width; i++) y[i] = row ? from[i] + row[i] : from[i];
            if (own_of(n)->position && own_of(n)->position->add_row)
                own_of(n)->position->add_row(y, t, width);
        }
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    size_t count = (size_t)v->rows * (size_t)v->cols * (size_t)(s->b1 - s->b0);
    const real *dy = exec_grad(x, n->outputs[0], s->b0), *base = exec_grad_base(x, n, 0, s->b0);
    real *dx = n->grads[0].wanted ? exec_grad(x, n->inputs[0], s->b0) : NULL;
    for (size_t i = 0; dx && i < count; i++) dx[i] = base ? base[i] + dy[i] : dy[i];
}

static int n_param_tasks(const graph *g, const node *n)
{
    (void)g;
    return n->n_params;
}

static void param_task(const exec *x, const node *n, int task)
{
    (void)task;
    const graph *g = x->g;
    size_t count = g->params[n->params[0]].count;
    real *grad = exec_param_grad(x, n->params[0]);
    for (size_t i = 0; i < count; i++) grad[i] = 0;
    for (int b = 0; b < g->batch; b++) {
        const real *dy = exec_grad(x, n->outputs[0], b);
        for (size_t i = 0; i < count; i++) grad[i] += dy[i];
    }
    exec_matrix_slice(x, n, n->params[0], 0, grad, count);
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    const position *kind = own_of(n)->position;
    out->what = kind ? kind->entry.name : NULL;
}

const op op_place = {
    .entry = {.name = "place", .summary = "y[t] = x[t] + P[t], positions"},
    .alias_grad = true,
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .n_param_tasks = n_param_tasks,
    .n_slices = op_one_slice,
    .param_task = param_task,
    .describe = describe,
};
