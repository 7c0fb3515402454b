/* x_0[t] = scale E[token_t] (+ P[t]).
 *
 * Backward: dE[v] = scale * sum of dx over the places where token v stands, dP[t] = sum of dx[t]
 * over sequences. Both are cut into slices of rows; each slice scans all tokens in order, so the
 * sum of a row never depends on threads. Encoders: where the loss mask is set the input token is 0.
 */
#include "core/graph/rounding.h"
#include "core/op/op.h"

#include "core/position/position.h"

enum { SLICE_ROWS = 512 };

/* What a node of this op knows. */
typedef struct own {
    const position *position; /* or NULL */
    double scale;
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_embed_build(graph *g, int table, int positions, const position *kind, double scale)
{
    node *n = graph_node(g, &op_embed);
    own *o = graph_own(g, n, sizeof *o);
    o->position = kind;
    o->scale = scale;
    n->params[n->n_params++] = table;
    if (positions != NONE) n->params[n->n_params++] = positions;
    int y = graph_value(g, g->seq_len, (int)g->params[table].dims[1]);
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

static size_t token_at(const exec *x, int b, int t)
{
    const graph *g = x->g;
    size_t length = (size_t)g->seq_len;
    if (x->loss_mask && x->loss_mask[(size_t)b * length + (size_t)t]) return 0;
    return (size_t)x->tokens[(size_t)b * (length + 1) + (size_t)t];
}

static void forward(const exec *x, const node *n, const span *s)
{
    const graph *g = x->g;
    size_t width = (size_t)g->values[n->outputs[0]].cols;
    const real *table = exec_param(x, n->params[0]);
    const real *positions = n->n_params > 1 ? exec_param(x, n->params[1]) : NULL;
    real scale = (real)own_of(n)->scale;
    for (int b = s->b0; b < s->b1; b++) {
        real *y = exec_value(x, n->outputs[0], b);
        for (int t = 0; t < g->seq_len; t++, y += width) {
            const real *row = table + token_at(x, b, t) * width;
            for (size_t i = 0; i < width; i++) y[i] = scale * row[i];
            if (positions)
                for (size_t i = 0; i < width; i++) y[i] += positions[(size_t)t * width + i];
            if (own_of(n)->position && own_of(n)->position->add_row)
                own_of(n)->position->add_row(y, t, width);
        }
    }
}

static int slices_of(const graph *g, int p)
{
    return (int)((g->params[p].dims[0] + SLICE_ROWS - 1) / SLICE_ROWS);
}

static int n_param_tasks(const graph *g, const node *n)
{
    return slices_of(g, n->params[0]) + (n->n_params > 1 ? 1 : 0);
}

static int n_slices(const graph *g, const node *n, int i)
{
    return i == 0 ? slices_of(g, n->params[0]) : 1;
}

static void add_row(real *restrict sum, const real *restrict dx, real scale, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += scale * dx[i];
}

static void position_task(const exec *x, const node *n)
{
    const graph *g = x->g;
    size_t width = (size_t)g->values[n->outputs[0]].cols, count = g->params[n->params[1]].count;
    real *grad = exec_param_grad(x, n->params[1]);
    for (size_t i = 0; i < count; i++) grad[i] = 0;
    for (int b = 0; b < g->batch; b++)
        add_row(grad, exec_grad(x, n->outputs[0], b), 1, (size_t)g->seq_len * width);
    exec_matrix_slice(x, n, n->params[1], 0, grad, count);
}

static void param_task(const exec *x, const node *n, int task)
{
    const graph *g = x->g;
    if (task == slices_of(g, n->params[0])) {
        position_task(x, n);
        return;
    }
    const param *table = &g->params[n->params[0]];
    size_t width = table->dims[1], first = (size_t)task * SLICE_ROWS, last = first + SLICE_ROWS;
    if (last > table->dims[0]) last = table->dims[0];
    real *grad = exec_param_grad(x, n->params[0]);
    if (!(n->accumulates & 1))
        for (size_t i = first * width; i < last * width; i++) grad[i] = 0;
    for (int b = 0; b < g->batch; b++) {
        const real *dx = exec_grad(x, n->outputs[0], b);
        for (int t = 0; t < g->seq_len; t++) {
            size_t token = token_at(x, b, t);
            if (token >= first && token < last)
                add_row(grad + token * width, dx + (size_t)t * width, (real)own_of(n)->scale,
                        width);
        }
    }
    exec_matrix_slice(x, n, n->params[0], task, grad + first * width, (last - first) * width);
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    const own *o = own_of(n);
    out->what = o->position ? o->position->entry.name : NULL;
    if (o->scale != 1) describe_number(out, "scale", o->scale);
}

const op op_embed = {
    .entry = {.name = "embed", .summary = "y = scale E[token] + P[t]"},
    .forward = forward,
    .n_param_tasks = n_param_tasks,
    .n_slices = n_slices,
    .param_task = param_task,
    .describe = describe,
};
