/* A drawing as text: one row for each node, its lanes at the left, what it is at the right. */
#include "server/catalogue/drawing.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LABEL = 256 };

/* What stands in a lane, and what joins it to the next one. */
typedef struct row {
    const char *lane[DRAWING_LANES];
    bool joined[DRAWING_LANES]; /* a line to the lane at the right */
} row;

typedef struct state {
    json_out *o;
    const drawing *d;
    const drawing_part *p;
    bool busy[DRAWING_LANES]; /* a value is in the lane */
    int lanes;                /* of the whole drawing, so that the labels stand in one column */
} state;

/* --- labels ----------------------------------------------------------------------------------- */

static void say(char label[LABEL], const char *format, ...)
{
    size_t n = strlen(label);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(label + n, LABEL - n, format, arguments);
    va_end(arguments);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void say_range(char label[LABEL], double first, double last)
{
    say(label, "%.4g", first);
    if (first != last) say(label, " to %.4g", last);
}

/* "attn.q" of "attn.q.weight" */
static void say_role(char label[LABEL], const char *before, const char *role)
{
    static const char end[] = ".weight";
    size_t n = strlen(role) - (ends_with(role, end) ? sizeof end - 1 : 0);
    say(label, "%s%.*s", before, (int)n, role);
}

static void say_matrices(char label[LABEL], const outline_node *n)
{
    const char *between = " ";
    bool biased = false;
    for (int i = 0; i < n->n_params; i++) {
        const char *role = n->params[i].role;
        biased |= ends_with(role, ".bias");
        if (n->params[i].rank != 2) continue;
        say_role(label, between, role);
        between = ", ";
    }
    if (biased && n->n_products > 0) say(label, " with biases");
}

/* Learned vectors, where they are not the gain from 1 and the bias from 0 of a norm. */
static void say_vectors(char label[LABEL], const outline_node *n, const outline_node *last)
{
    for (int i = 0; i < n->n_params; i++) {
        const outline_param *p = &n->params[i];
        double end = last->params[i].start;
        if (p->rank != 1 || (ends_with(p->role, ".bias") && p->start == 0 && end == 0)) continue;
        bool usual = n->place && ends_with(p->role, ".weight") && p->start == 1 && end == 1;
        if (usual) continue;
        size_t place = n->place ? strlen(n->place) : 0;
        bool is_own = place && strncmp(p->role, n->place, place) == 0 && p->role[place] == '.';
        say(label, ", %s from ", is_own ? p->role + place + 1 : p->role);
        say_range(label, p->start, end);
    }
}

static void say_node(char label[LABEL], const outline_node *n, const outline_node *last)
{
    if (n->place)
        say(label, "%s at %s", n->what, n->place);
    else
        say(label, "%s%s%s%s", n->op, n->what ? " (" : "", n->what ? n->what : "",
            n->what ? ")" : "");
    if (!n->place && n->n_inputs == 1 && n->inputs[0].part)
        say_role(label, " of ", n->inputs[0].part);
    say_matrices(label, n);
    say_vectors(label, n, last);
    if (n->frozen) say(label, ", frozen");
    if (n->constants) say(label, ", with constants");
    for (int i = 0; i < n->n_numbers; i++) {
        say(label, ", %s ", n->numbers[i].name);
        say_range(label, n->numbers[i].value, last->numbers[i].value);
    }
    for (int i = 0; i < n->n_sites; i++)
        say(label, "%s%s", i ? ", " : " → ", site_registry.rows[n->sites[i]]->name);
}

/* --- rows ------------------------------------------------------------------------------------- */

static void begin_row(row *r, const state *s)
{
    for (int i = 0; i < DRAWING_LANES; i++) {
        r->lane[i] = s->busy[i] ? "│" : " ";
        r->joined[i] = false;
    }
}

static void end_row(const state *s, const row *r, const char *label)
{
    int n = s->lanes;
    while (!*label && n > 0 && strcmp(r->lane[n - 1], " ") == 0) n--;
    json_text(s->o, "  ");
    for (int i = 0; i < n; i++) {
        bool through = i > 0 && r->joined[i - 1] && r->joined[i] && strcmp(r->lane[i], " ") == 0;
        json_text(s->o, through ? "─" : r->lane[i]);
        json_text(s->o, r->joined[i] ? "─" : i + 1 < n ? " " : "");
    }
    json_text(s->o, *label ? "  " : "");
    json_text(s->o, label);
    json_text(s->o, "\n");
}

static int lane_of(const drawing_part *p, int node)
{
    return node < 0 ? -1 - node : p->lanes[node];
}

static int until_of(const drawing_part *p, int node)
{
    return node < 0 ? p->stream_until[-1 - node] : p->until[node];
}

static void join(row *r, int from, int to)
{
    for (int i = from; i < to; i++) r->joined[i] = true;
}

/* Joins the lanes that node i reads with its own; from and to: the lanes between which that is. */
static void join_inputs(const state *s, row *r, int i, int *from, int *to)
{
    const outline_node *n = &s->p->nodes[i];
    *from = *to = s->p->lanes[i];
    for (int k = 0; k < n->n_inputs; k++) {
        int lane = lane_of(s->p, n->inputs[k].node);
        *from = lane < *from ? lane : *from;
        *to = lane > *to ? lane : *to;
    }
    join(r, *from, *to);
    for (int k = 0; k < n->n_inputs; k++) {
        int node = n->inputs[k].node, lane = lane_of(s->p, node);
        bool ends = until_of(s->p, node) == i;
        r->lane[lane] = lane == *from ? "├" : lane < *to ? (ends ? "┴" : "┼") : ends ? "╯" : "┤";
    }
}

static const char *glyph(const outline_node *n)
{
    if (n->place) return "▓";
    if (n->n_products > 0) return "□";
    return n->n_inputs > 1 ? "⊕" : "○";
}

static void write_row(state *s, int i)
{
    const drawing_part *p = s->p;
    const outline_node *n = &p->nodes[i];
    char label[LABEL] = "";
    int own = p->lanes[i], from, to;
    row r;
    bool begins = n->n_inputs > 0;
    for (int k = 0; k < n->n_inputs; k++) begins &= lane_of(p, n->inputs[k].node) != own;
    begin_row(&r, s);
    if (begins) {
        join_inputs(s, &r, i, &from, &to);
        r.lane[own] = own == to ? "╮" : "┬";
        end_row(s, &r, "");
        s->busy[own] = true;
        begin_row(&r, s);
    } else {
        join_inputs(s, &r, i, &from, &to);
    }
    r.lane[own] = glyph(n);
    say_node(label, n, &s->d->all[p->last[i]]);
    end_row(s, &r, label);
    for (int k = 0; k < n->n_inputs; k++) {
        int node = n->inputs[k].node;
        if (until_of(p, node) == i) s->busy[lane_of(p, node)] = false;
    }
    s->busy[own] = p->until[i] > i;
}

/* --- parts ------------------------------------------------------------------------------------ */

/* "block 1", "blocks 1 to 8", "blocks 1, 2, 4" */
static void write_title(state *s)
{
    const drawing_part *p = s->p;
    char title[LABEL] = "";
    int first = p->layers[0], last = p->layers[p->n_layers - 1];
    if (first == 0 || first > s->d->depth) {
        say(title, first == 0 ? "before the blocks" : "after the blocks");
    } else if (p->n_layers == 1) {
        say(title, "block %d", first);
    } else if (last - first + 1 == p->n_layers) {
        say(title, "each of the blocks %d to %d", first, last);
    } else {
        say(title, "each of the blocks ");
        for (int i = 0; i < p->n_layers; i++) say(title, "%s%d", i ? ", " : "", p->layers[i]);
    }
    json_text(s->o, title);
    json_text(s->o, ":\n");
}

static void write_streams(state *s)
{
    row r;
    for (int i = 0; i < DRAWING_LANES; i++) s->busy[i] = i < s->p->n_streams;
    for (int i = 0; i < s->p->n_streams; i++) {
        begin_row(&r, s);
        for (int k = i + 1; k < s->p->n_streams; k++) r.lane[k] = " ";
        end_row(s, &r, s->p->streams[i]);
    }
}

void drawing_text(json_out *o, const drawing *d)
{
    state s = {.o = o, .d = d};
    for (int i = 0; i < d->n_parts; i++)
        if (d->parts[i].n_lanes > s.lanes) s.lanes = d->parts[i].n_lanes;
    for (int i = 0; i < d->n_parts; i++) {
        s.p = &d->parts[i];
        write_title(&s);
        write_streams(&s);
        for (int k = 0; k < s.p->n_nodes; k++) write_row(&s, k);
        if (i + 1 < d->n_parts) json_text(o, "\n");
    }
}
