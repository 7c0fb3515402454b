#include "core/graph/graph.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Upper bounds of what one block or the two ends of any placement need; graph_finish checks. */
enum {
    BLOCK_NODES = 48,
    BLOCK_VALUES = 80,
    BLOCK_PARAMS = 64,
    END_NODES = 24,
    END_VALUES = 32,
    END_PARAMS = 24,
    OWN_BYTES = 64 /* of a node, on average */
};

enum { PANEL_TOKENS = 512, PANEL_NUMBERS = 1 << 15 };

static void *table(arena *a, int n, size_t size)
{
    return arena_alloc(a, (size_t)n * size);
}

/* Panels of 512 tokens, because packing costs GEMM less the more rows it has; where that leaves
 * fewer than two, two of at least 256 tokens and 32 Ki numbers each, for two threads. A function of
 * the shape alone, never of the number of threads, so that every sum is cut at the same places. */
static int count_panels(int batch, int seq_len, int width)
{
    long long tokens = (long long)batch * seq_len, panels = tokens / PANEL_TOKENS;
    if (panels < 2 && tokens >= PANEL_TOKENS && tokens * width >= 2 * PANEL_NUMBERS) panels = 2;
    if (panels > batch) panels = batch;
    return panels < 1 ? 1 : (int)panels;
}

void graph_init(graph *g, const run_spec *spec, arena *a)
{
    int depth = spec->depth;
    *g = (graph){
        .spec = spec,
        .batch = spec->data.batch,
        .seq_len = spec->data.seq_len,
        .n_panels = count_panels(spec->data.batch, spec->data.seq_len, spec->model.d_model),
        .max_nodes = depth * BLOCK_NODES + END_NODES,
        .max_values = depth * BLOCK_VALUES + END_VALUES,
        .max_params = depth * BLOCK_PARAMS + END_PARAMS,
        .max_taps = depth * SITE_COUNT + SITE_COUNT,
        .n_segments = depth + 2,
        .loss_value = NONE,
    };
    g->nodes = table(a, g->max_nodes, sizeof *g->nodes);
    g->values = table(a, g->max_values, sizeof *g->values);
    g->params = table(a, g->max_params, sizeof *g->params);
    g->taps = table(a, g->max_taps, sizeof *g->taps);
    g->stream = table(a, depth + 1, sizeof *g->stream);
    g->own = table(a, g->max_nodes, OWN_BYTES);
    g->max_own = (size_t)g->max_nodes * OWN_BYTES;
    g->failed = !g->nodes || !g->values || !g->params || !g->taps || !g->stream || !g->own;
}

err_code graph_finish(const graph *g, error *err)
{
    if (g->failed) return error_set(err, ERR_INTERNAL, "", "the graph outgrew its tables");
    return ERR_OK;
}

int graph_panel_start(const graph *g, int panel)
{
    return (int)((long long)g->batch * panel / g->n_panels);
}

static value *new_value(graph *g, int rows, int cols)
{
    if (g->failed || g->n_values == g->max_values) {
        g->failed = true;
        g->spare_value = (value){0};
        return &g->spare_value;
    }
    value *v = &g->values[g->n_values++];
    *v = (value){.rows = rows,
                 .cols = cols,
                 .ld = cols,
                 .parent = NONE,
                 .producer = g->n_nodes - 1,
                 .layer = g->layer,
                 .site = NONE,
                 .buffer = {NONE, NONE},
                 .grad_buffer = NONE};
    return v;
}

int graph_value(graph *g, int rows, int cols)
{
    new_value(g, rows, cols);
    return g->failed ? 0 : g->n_values - 1;
}

int graph_view(graph *g, int parent, int column, int cols)
{
    value *v = new_value(g, g->values[parent].rows, cols);
    if (g->failed) return 0;
    const value *p = &g->values[parent];
    v->ld = p->ld;
    v->parent = parent;
    v->column = column;
    v->producer = p->producer;
    v->needs_grad = p->needs_grad;
    return g->n_values - 1;
}

int graph_root(const graph *g, int v)
{
    return g->values[v].parent == NONE ? v : g->values[v].parent;
}

int graph_param(graph *g, param_kind kind, const char *role, size_t dims0, size_t dims1)
{
    if (g->failed || g->n_params == g->max_params) {
        g->failed = true;
        return 0;
    }
    param *p = &g->params[g->n_params];
    *p = (param){.kind = kind, .layer = g->layer, .segment = g->segment, .grad_buffer = NONE};
    bool in_block = g->layer >= 1 && g->layer <= g->spec->depth;
    int prefix = in_block ? snprintf(p->name, sizeof p->name, "blocks.%d.", g->layer - 1) : 0;
    snprintf(p->name + prefix, sizeof p->name - (size_t)prefix, "%s", role);
    p->role = role;
    p->rank = dims1 ? 2 : 1;
    p->dims[0] = dims0;
    p->dims[1] = dims1;
    p->count = dims0 * (dims1 ? dims1 : 1);
    p->start = kind == PARAM_GAIN;
    const param *last = g->n_params ? p - 1 : NULL;
    p->data = last ? last->data + last->count : 0;
    return g->n_params++;
}

static const struct {
    const char *name;
    param_kind kind;
    bool mixes;
} matrices[MATRIX_COUNT] = {
    {0},
#define MATRIX(name, text, kind, mixes) {text, kind, mixes},
#include "core/graph/matrix.def"
#undef MATRIX
};

const char *block_matrix_name(block_matrix m)
{
    return matrices[m].name;
}

param_kind block_matrix_kind(block_matrix m)
{
    return matrices[m].kind;
}

bool block_matrix_mixes(block_matrix m)
{
    return matrices[m].mixes;
}

int graph_matrix(graph *g, block_matrix which, size_t rows, size_t cols)
{
    int p = graph_param(g, matrices[which].kind, matrices[which].name, rows, cols);
    if (!g->failed) g->params[p].matrix = which;
    return p;
}

int graph_vector(graph *g, param_kind kind, const char *role, size_t n, double start)
{
    int p = graph_param(g, kind, role, n, 0);
    if (!g->failed) g->params[p].start = start;
    return p;
}

int graph_block_param(const graph *g, const char *role)
{
    for (int i = g->n_params - 1; i >= 0 && g->params[i].layer == g->layer; i--)
        if (strcmp(g->params[i].role, role) == 0) return i;
    return NONE;
}

void graph_share(graph *g, node *n)
{
    if (g->failed) return;
    int self = (int)(n - g->nodes);
    for (int i = self - 1; i >= 0 && g->nodes[i].segment == n->segment; i--) {
        if (g->nodes[i].n_params == 0 || g->nodes[i].params[0] != n->params[0]) continue;
        g->nodes[i].chain = self;
        n->chained = true;
        return;
    }
}

void graph_constants(graph *g, node *n, size_t count, constants_fill *fill, size_t work)
{
    if (g->failed || !fill) return;
    n->fill = fill;
    n->constants = g->n_constants;
    n->constant_count = count;
    g->n_constants += count;
    if (work > g->constants_work) g->constants_work = work;
}

int graph_find_param(const graph *g, const char *name)
{
    for (int i = 0; i < g->n_params; i++)
        if (strcmp(g->params[i].name, name) == 0) return i;
    return NONE;
}

node *graph_node(graph *g, const struct op *kind)
{
    if (g->failed || g->n_nodes == g->max_nodes) {
        g->failed = true;
        g->spare_node = (node){0};
        return &g->spare_node;
    }
    node *n = &g->nodes[g->n_nodes++];
    *n = (node){.op = kind,
                .segment = g->segment,
                .layer = g->layer,
                .first_tap = NONE,
                .chain = NONE,
                .branch_tap = NONE};
    return n;
}

void *graph_own(graph *g, node *n, size_t size)
{
    size_t aligned = sizeof(max_align_t), room = (size + aligned - 1) / aligned * aligned;
    assert(size <= NODE_OWN);
    if (g->failed || g->max_own - g->own_used < room) {
        g->failed = true;
        n->own = g->spare_own;
    } else {
        n->own = g->own + g->own_used;
        g->own_used += room;
    }
    memset(n->own, 0, size);
    return n->own;
}

static tap *new_tap(graph *g, int v, site s)
{
    if (g->failed || g->n_taps == g->max_taps) return NULL;
    g->values[v].measured = true;
    node *producer = &g->nodes[g->values[v].producer];
    tap *t = &g->taps[g->n_taps];
    *t = (tap){.value = v,
               .layer = g->layer,
               .site = s,
               .also_layer = NONE,
               .entropy = NONE,
               .next = producer->first_tap};
    producer->first_tap = g->n_taps++;
    return t;
}

tap *graph_site(graph *g, int v, site s)
{
    if (g->failed) return NULL;
    if (g->values[v].site == NONE) g->values[v].site = (int)s;
    return g->spec->measure.sites[s] ? new_tap(g, v, s) : NULL;
}

int graph_hidden_tap(graph *g, int v)
{
    tap *t = new_tap(g, v, SITE_resid_out);
    if (!t) return NONE;
    t->hidden = true;
    return (int)(t - g->taps);
}

void graph_mark_gradients(graph *g)
{
    for (int i = 0; i < g->n_nodes; i++) g->values[g->nodes[i].outputs[0]].needs_grad = true;
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i].parent != NONE) g->values[i].needs_grad = true;
    for (int i = 0; i < g->n_taps; i++)
        if (g->taps[i].is_matrix) g->values[g->taps[i].value].needs_grad = true;
}
