/* x_0 = the given inputs [B, T, D]: the gaussian data source. No parameters; the gradient stops
 * here. */
#include "core/op/op.h"

#include <string.h>

int op_input_build(graph *g)
{
    node *n = graph_node(g, &op_input);
    int y = graph_value(g, g->seq_len, g->spec->model.d_model);
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

static void forward(const exec *x, const node *n, const span *s)
{
    size_t count = (size_t)x->g->seq_len * (size_t)x->g->values[n->outputs[0]].cols;
    memcpy(exec_value(x, n->outputs[0], s->b0), x->inputs + (size_t)s->b0 * count,
           (size_t)(s->b1 - s->b0) * count * sizeof(real));
}

const op op_input = {
    .entry = {.name = "input", .summary = "y = given inputs"},
    .forward = forward,
};
