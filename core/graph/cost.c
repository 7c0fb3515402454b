#include "core/graph/cost.h"

#include "core/graph/op.h"

size_t cost_value_bytes(const graph *g, int v)
{
    const value *val = &g->values[v];
    return (size_t)g->batch * (size_t)val->rows * (size_t)val->cols * sizeof(real);
}

static double products_flops(const graph *g, const node *n)
{
    matrix_product p[NODE_PRODUCTS];
    double sum = 0;
    int count = n->op->products ? n->op->products(g, n, p) : 0;
    for (int i = 0; i < count; i++) sum += 2.0 * p[i].count * p[i].m * p[i].n * p[i].k;
    return sum;
}

double cost_pass_flops(const graph *g)
{
    double sum = 0;
    for (int i = 0; i < g->n_nodes; i++) sum += products_flops(g, &g->nodes[i]);
    return sum;
}

double cost_pass_traffic(const graph *g, bool backward)
{
    double sum = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        if (n->op->products) continue;
        double out = (double)cost_value_bytes(g, n->outputs[0]);
        for (int k = 0; k < n->n_inputs; k++) {
            double in = (double)cost_value_bytes(g, n->inputs[k]);
            sum += in;
            if (!backward || !n->op->backward || !n->grads[k].wanted) continue;
            sum += in * (1 + (n->op->reads_inputs >> k & 1) + (n->grads[k].base != NONE));
        }
        if (n->op->prepare) sum += out * (backward ? 3 : 1); /* sums of x; of dy and x */
        bool reads_dy = backward && n->op->backward && !n->op->alias_grad;
        sum += reads_dy ? 2 * out : out;
    }
    return sum;
}
