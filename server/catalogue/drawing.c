#include "server/catalogue/drawing.h"

#include <stdlib.h>
#include <string.h>

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "not enough memory for the drawing");
}

/* --- the nodes -------------------------------------------------------------------------------- */

static bool collect(void *user, const outline_node *n)
{
    drawing *d = user;
    if (d->n_all == d->n_allocated) {
        int more = 2 * d->n_allocated + 64;
        outline_node *longer = realloc(d->all, (size_t)more * sizeof *longer);
        d->failed = !longer;
        if (!longer) return false;
        d->all = longer;
        d->n_allocated = more;
    }
    d->all[d->n_all++] = *n;
    return true;
}

/* The nodes of a layer stand side by side. */
static int layer_start(const drawing *d, int layer)
{
    int i = 0;
    while (i < d->n_all && d->all[i].layer < layer) i++;
    return i;
}

static int layer_length(const drawing *d, int layer)
{
    return layer_start(d, layer + 1) - layer_start(d, layer);
}

/* The streams that enter a layer, in the order in which they are first read; -1 for the first. */
typedef struct entrance {
    int nodes[DRAWING_STREAMS], n;
} entrance;

static int stream_of(entrance *e, int node)
{
    for (int i = 0; i < e->n; i++)
        if (e->nodes[i] == node) return -1 - i;
    if (e->n == DRAWING_STREAMS) return -DRAWING_STREAMS;
    e->nodes[e->n++] = node;
    return -e->n;
}

/* Input i of a node, as seen from within its layer: an index from start, or a stream. */
static int local_input(const outline_node *n, int i, int start, entrance *e)
{
    int node = n->inputs[i].node;
    return node >= start ? node - start : stream_of(e, node);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Alike in everything but numbers. */
static bool same_node(const outline_node *a, const outline_node *b)
{
    bool same = same_text(a->op, b->op) && same_text(a->what, b->what) &&
                same_text(a->place, b->place) && a->constants == b->constants &&
                a->frozen == b->frozen && a->n_inputs == b->n_inputs &&
                a->n_params == b->n_params && a->n_numbers == b->n_numbers;
    for (int i = 0; same && i < a->n_params; i++)
        same = same_text(a->params[i].role, b->params[i].role);
    for (int i = 0; same && i < a->n_numbers; i++)
        same = same_text(a->numbers[i].name, b->numbers[i].name);
    return same;
}

static bool same_layer(const drawing *d, int a, int b)
{
    int n = layer_length(d, a), start_a = layer_start(d, a), start_b = layer_start(d, b);
    entrance enter_a = {.n = 0}, enter_b = {.n = 0};
    if (layer_length(d, b) != n) return false;
    for (int i = 0; i < n; i++) {
        const outline_node *p = &d->all[start_a + i], *q = &d->all[start_b + i];
        if (!same_node(p, q)) return false;
        for (int k = 0; k < p->n_inputs; k++)
            if (local_input(p, k, start_a, &enter_a) != local_input(q, k, start_b, &enter_b) ||
                !same_text(p->inputs[k].part, q->inputs[k].part))
                return false;
    }
    return true;
}

/* --- parts ------------------------------------------------------------------------------------ */

static bool is_stream(const outline_node *n)
{
    for (int i = 0; i < n->n_sites; i++)
        if (n->sites[i] == SITE_resid_out || n->sites[i] == SITE_embed) return true;
    return false;
}

/* x comes first, whatever is read first. */
static void find_stream(entrance *e, const drawing *d, int start, int n)
{
    for (int i = start; i < start + n; i++)
        for (int k = 0; k < d->all[i].n_inputs; k++) {
            int node = d->all[i].inputs[k].node;
            if (node < start && is_stream(&d->all[node])) stream_of(e, node);
        }
}

static void name_streams(drawing_part *p, const drawing *d, const entrance *e)
{
    p->n_streams = e->n;
    for (int i = 0; i < e->n; i++)
        p->streams[i] = is_stream(&d->all[e->nodes[i]]) ? "x" : "second stream";
}

/* Who reads what for the last time. */
static void find_readers(drawing_part *p, const drawing *d, int start, const entrance *e)
{
    for (int i = 0; i < p->n_nodes; i++) {
        p->until[i] = i;
        for (int k = 0; k < p->nodes[i].n_inputs; k++) {
            int node = p->nodes[i].inputs[k].node;
            *(node < 0 ? &p->stream_until[-1 - node] : &p->until[node]) = i;
        }
    }
    for (int i = start + p->n_nodes; i < d->n_all; i++)
        for (int k = 0; k < d->all[i].n_inputs; k++) {
            int local = d->all[i].inputs[k].node - start;
            if (local >= 0 && local < p->n_nodes) p->until[local] = p->n_nodes;
            for (int s = 0; s < e->n; s++)
                if (e->nodes[s] == start + local) p->stream_until[s] = p->n_nodes;
        }
}

static void place_nodes(drawing_part *p)
{
    int holder[DRAWING_LANES]; /* whose value is in a lane: a node, a stream below 0, or FREE */
    enum { FREE = -DRAWING_STREAMS - 1 };
    for (int i = 0; i < DRAWING_LANES; i++) holder[i] = i < p->n_streams ? -1 - i : FREE;
    p->n_lanes = p->n_streams;
    for (int i = 0; i < p->n_nodes; i++) {
        int lane = -1, right = -1;
        for (int k = 0; k < DRAWING_LANES; k++) {
            bool ends = holder[k] >= 0      ? p->until[holder[k]] == i
                        : holder[k] == FREE ? false
                                            : p->stream_until[-1 - holder[k]] == i;
            if (ends && lane < 0) lane = k;
            if (holder[k] != FREE) right = k;
            if (ends) holder[k] = FREE;
        }
        if (lane < 0) lane = right + 1 < DRAWING_LANES ? right + 1 : DRAWING_LANES - 1;
        if (lane >= p->n_lanes) p->n_lanes = lane + 1;
        p->lanes[i] = lane;
        holder[lane] = p->until[i] > i ? i : FREE;
    }
}

static err_code begin_part(drawing *d, int layer, error *err)
{
    drawing_part *p = &d->parts[d->n_parts++];
    int start = layer_start(d, layer), n = layer_length(d, layer);
    entrance e = {.n = 0};
    size_t count = (size_t)n + 1;
    *p = (drawing_part){.layer = layer, .n_nodes = n};
    p->layers = calloc((size_t)d->depth + 2, sizeof *p->layers);
    p->nodes = calloc(count, sizeof *p->nodes);
    p->last = calloc(count, sizeof *p->last);
    p->lanes = calloc(count, sizeof *p->lanes);
    p->until = calloc(count, sizeof *p->until);
    if (!p->layers || !p->nodes || !p->last || !p->lanes || !p->until) return no_memory(err);
    find_stream(&e, d, start, n);
    for (int i = 0; i < n; i++) {
        p->nodes[i] = d->all[start + i];
        for (int k = 0; k < p->nodes[i].n_inputs; k++)
            p->nodes[i].inputs[k].node = local_input(&d->all[start + i], k, start, &e);
    }
    name_streams(p, d, &e);
    find_readers(p, d, start, &e);
    place_nodes(p);
    return ERR_OK;
}

static drawing_part *part_like(drawing *d, int layer)
{
    bool is_block = layer >= 1 && layer <= d->depth;
    for (int i = 0; is_block && i < d->n_parts; i++)
        if (d->parts[i].layer >= 1 && same_layer(d, d->parts[i].layer, layer)) return &d->parts[i];
    return NULL;
}

err_code drawing_make(drawing *out, const run_spec *spec, error *err)
{
    run_spec measured = *spec;
    *out = (drawing){.depth = spec->depth};
    for (int i = 0; i < SITE_COUNT; i++) measured.measure.sites[i] = true;
    err_code code = engine_for(spec->precision)->outline(&measured, collect, out, err);
    if (code) return code;
    out->parts = calloc((size_t)spec->depth + 2, sizeof *out->parts);
    if (out->failed || !out->parts) return no_memory(err);
    for (int layer = 0; layer <= spec->depth + 1; layer++) {
        drawing_part *p = part_like(out, layer);
        if (!p && (code = begin_part(out, layer, err))) return code;
        if (!p) p = &out->parts[out->n_parts - 1];
        p->layers[p->n_layers++] = layer;
        for (int i = 0; i < p->n_nodes; i++) p->last[i] = layer_start(out, layer) + i;
    }
    return ERR_OK;
}

void drawing_deinit(drawing *d)
{
    for (int i = 0; i < d->n_parts; i++) {
        free(d->parts[i].layers);
        free(d->parts[i].nodes);
        free(d->parts[i].last);
        free(d->parts[i].lanes);
        free(d->parts[i].until);
    }
    free(d->parts);
    free(d->all);
    *d = (drawing){0};
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static void member_until(json_out *o, const drawing_part *p, int until)
{
    json_key(o, "until");
    if (until == p->n_nodes)
        json_null(o);
    else
        json_integer(o, until);
}

static void write_inputs(json_out *o, const outline_node *n)
{
    json_array_member(o, "inputs");
    for (int i = 0; i < n->n_inputs; i++) {
        int node = n->inputs[i].node;
        json_begin_object(o);
        json_integer_member(o, node < 0 ? "stream" : "node", node < 0 ? -1 - node : node);
        if (n->inputs[i].part) json_string_member(o, "part", n->inputs[i].part);
        json_end(o);
    }
    json_end(o);
}

static void write_params(json_out *o, const outline_node *n, const outline_node *last)
{
    json_array_member(o, "parameters");
    for (int i = 0; i < n->n_params; i++) {
        const outline_param *p = &n->params[i];
        json_begin_object(o);
        json_string_member(o, "role", p->role);
        json_array_member(o, "dims");
        for (int k = 0; k < p->rank; k++) json_unsigned(o, p->dims[k]);
        json_end(o);
        if (p->rank == 1) {
            json_number_member(o, "start_first", p->start);
            json_number_member(o, "start_last", last->params[i].start);
        }
        json_end(o);
    }
    json_end(o);
}

static void write_numbers(json_out *o, const outline_node *n, const outline_node *last)
{
    json_array_member(o, "numbers");
    for (int i = 0; i < n->n_numbers; i++) {
        json_begin_object(o);
        json_string_member(o, "name", n->numbers[i].name);
        json_number_member(o, "first", n->numbers[i].value);
        json_number_member(o, "last", last->numbers[i].value);
        json_end(o);
    }
    json_end(o);
}

static void write_node(json_out *o, const drawing *d, const drawing_part *p, int i)
{
    const outline_node *n = &p->nodes[i];
    json_begin_object(o);
    json_string_member(o, "op", n->op);
    json_string_member(o, "what", n->what);
    json_string_member(o, "place", n->place);
    json_bool_member(o, "products", n->n_products > 0);
    json_bool_member(o, "constants", n->constants);
    json_bool_member(o, "frozen", n->frozen);
    json_integer_member(o, "features", n->cols);
    json_integer_member(o, "lane", p->lanes[i]);
    member_until(o, p, p->until[i]);
    write_inputs(o, n);
    write_params(o, n, &d->all[p->last[i]]);
    write_numbers(o, n, &d->all[p->last[i]]);
    json_array_member(o, "sites");
    for (int k = 0; k < n->n_sites; k++) json_string(o, site_registry.rows[n->sites[k]]->name);
    json_end(o);
    json_end(o);
}

static void write_part(json_out *o, const drawing *d, const drawing_part *p)
{
    json_begin_object(o);
    json_array_member(o, "layers");
    for (int i = 0; i < p->n_layers; i++) json_integer(o, p->layers[i]);
    json_end(o);
    json_array_member(o, "streams");
    for (int i = 0; i < p->n_streams; i++) {
        json_begin_object(o);
        json_string_member(o, "name", p->streams[i]);
        json_integer_member(o, "lane", i);
        member_until(o, p, p->stream_until[i]);
        json_end(o);
    }
    json_end(o);
    json_integer_member(o, "lanes", p->n_lanes);
    json_array_member(o, "nodes");
    for (int i = 0; i < p->n_nodes; i++) write_node(o, d, p, i);
    json_end(o);
    json_end(o);
}

void drawing_json(json_out *o, const drawing *d)
{
    json_begin_object(o);
    json_integer_member(o, "depth", d->depth);
    json_array_member(o, "parts");
    for (int i = 0; i < d->n_parts; i++) write_part(o, d, &d->parts[i]);
    json_end(o);
    json_end(o);
}
