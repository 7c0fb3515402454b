/* Rotary positions: of the first n features of each head, entries (j, j + n/2) are turned by
 * t base^(-2j/n); the others stay. Backward turns the other way. Source: Su et al. 2021,
 * arXiv:2104.09864 (half-split layout). */
#include "core/op/op.h"

/* What a node of this op knows. */
typedef struct own {
    int heads, turned; /* features of a head that turn */
    double base;
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_rope_build(graph *g, int x, int heads, int turned, double base)
{
    node *n = graph_node(g, &op_rope);
    own *o = graph_own(g, n, sizeof *o);
    o->heads = heads;
    o->turned = turned;
    o->base = base;
    int y = graph_value(g, g->values[x].rows, g->values[x].cols);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

static size_t scratch(const graph *g, const node *n)
{
    (void)g;
    return (size_t)own_of(n)->turned;
}

static void turn_row(real *y,
                     const real *x,
                     const real *cosine,
                     const real *sine,
                     int heads,
                     size_t width,
                     size_t half)
{
    for (int h = 0; h < heads; h++, x += width, y += width) {
        for (size_t j = 0; j < half; j++) {
            real a = x[j], b = x[j + half];
            y[j] = a * cosine[j] - b * sine[j];
            y[j + half] = b * cosine[j] + a * sine[j];
        }
        for (size_t j = 2 * half; j < width; j++) y[j] = x[j];
    }
}

/* The angles of a row are made once for all sequences of the span. */
static void turn(const exec *x, const node *n, const span *s, bool back)
{
    const graph *g = x->g;
    const value *in = &g->values[n->inputs[0]], *out = &g->values[n->outputs[0]];
    size_t width = (size_t)(out->cols / own_of(n)->heads), half = (size_t)own_of(n)->turned / 2;
    real *cosine = exec_scratch(x, s->worker), *sine = cosine + half;
    for (int t = 0; t < g->seq_len; t++) {
        for (size_t j = 0; j < half; j++) {
            double angle = t * pow(own_of(n)->base, -2.0 * (double)j / (double)own_of(n)->turned);
            cosine[j] = (real)cos(angle);
            sine[j] = (real)(back ? -sin(angle) : sin(angle));
        }
        for (int b = s->b0; b < s->b1; b++) {
            size_t row_in = (size_t)t * (size_t)in->ld, row_out = (size_t)t * (size_t)out->ld;
            if (back)
                turn_row(exec_grad(x, n->inputs[0], b) + row_in,
                         exec_grad(x, n->outputs[0], b) + row_out, cosine, sine, own_of(n)->heads,
                         width, half);
            else
                turn_row(exec_value(x, n->outputs[0], b) + row_out,
                         exec_value(x, n->inputs[0], b) + row_in, cosine, sine, own_of(n)->heads,
                         width, half);
        }
    }
}

static void forward(const exec *x, const node *n, const span *s)
{
    turn(x, n, s, false);
}

static void backward(const exec *x, const node *n, const span *s)
{
    turn(x, n, s, true);
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    if (own_of(n)->turned) describe_number(out, "turned", own_of(n)->turned);
}

const op op_rope = {
    .entry = {.name = "rope", .summary = "rotary positions", .source = "arXiv:2104.09864"},
    .forward = forward,
    .backward = backward,
    .scratch = scratch,
    .describe = describe,
};
