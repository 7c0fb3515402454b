#include "core/network/outline.h"

#include "core/graph/op.h"
#include "core/network/outline_walk.h"

static void describe(outline_node *out, const graph *g, const node *n)
{
    description d = {0};
    if (n->op->describe) n->op->describe(g, n, &d);
    out->what = d.what;
    out->frozen = d.frozen;
    for (int i = 0; i < d.n_numbers && i < OUTLINE_NUMBERS; i++)
        out->numbers[out->n_numbers++] = (outline_number){d.numbers[i].name, d.numbers[i].value};
}

static void add_site(outline_node *out, site s)
{
    for (int i = 0; i < out->n_sites; i++)
        if (out->sites[i] == s) return;
    if (out->n_sites < OUTLINE_SITES) out->sites[out->n_sites++] = s;
}

/* The first name of each value, and what else is measured there. */
static void add_sites(outline_node *out, const graph *g, int at)
{
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i].producer == at && g->values[i].site != NONE)
            add_site(out, (site)g->values[i].site);
    for (int t = g->nodes[at].first_tap; t != NONE; t = g->taps[t].next)
        if (!g->taps[t].hidden && g->taps[t].layer == g->nodes[at].layer)
            add_site(out, g->taps[t].site);
}

/* Of several matrices side by side, the one whose columns a view begins with. */
static const char *part_of(const graph *g, int v)
{
    int column = 0;
    while (g->values[v].parent != NONE) {
        column += g->values[v].column;
        v = g->values[v].parent;
    }
    const node *n = &g->nodes[g->values[v].producer];
    return n->op->part ? n->op->part(g, n, column) : NULL;
}

static void add_inputs(outline_node *out, const graph *g, const node *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        int v = n->inputs[i];
        const char *part = g->values[v].parent == NONE ? NULL : part_of(g, v);
        out->inputs[out->n_inputs++] = (outline_input){g->values[v].producer, part};
    }
}

static void add_params(outline_node *out, const graph *g, const node *n)
{
    for (int i = 0; i < n->n_params && out->n_params < OUTLINE_PARAMS; i++) {
        const param *p = &g->params[n->params[i]];
        out->params[out->n_params++] = (outline_param){
            .role = p->role, .rank = p->rank, .dims = {p->dims[0], p->dims[1]}, .start = p->start};
    }
}

void outline_walk(const graph *g, outline_visit *visit, void *user)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        outline_node out = {.layer = n->layer,
                            .op = n->op->entry.name,
                            .place = n->role,
                            .constants = n->fill != NULL,
                            .cols = g->values[n->outputs[0]].cols};
        describe(&out, g, n);
        add_inputs(&out, g, n);
        if (n->op->products) out.n_products = n->op->products(g, n, out.products);
        add_params(&out, g, n);
        add_sites(&out, g, i);
        if (!visit(user, &out)) return;
    }
}
