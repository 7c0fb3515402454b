#include "core/graph/rounding.h"

#include <stdio.h>
#include <string.h>

/* Exponents as float64 has them in its bits: biased. */
enum { BIAS = 1023, SIGNIFICAND = 52 };

typedef struct grid {
    uint64_t low, high; /* least and largest exponent that is looked at */
    uint64_t mantissa;
    double max, over; /* beyond max it becomes over */
} grid;

static grid grid_of(format to)
{
    const float_format *f = &format_table[to];
    /* Beyond the largest number the spacing does not matter; at 2^900 nothing overflows yet. */
    return (grid){.low = (uint64_t)(f->e_min + BIAS),
                  .high = BIAS + 900,
                  .mantissa = (uint64_t)f->mantissa,
                  .max = f->max_finite,
                  .over = f->saturates ? f->max_finite : (double)INFINITY};
}

static inline uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t exponent_of(double x, uint64_t low, uint64_t high)
{
    uint64_t e = bits_of(x) >> SIGNIFICAND & 0x7ff;
    e = e < low ? low : e;
    return e > high ? high : e;
}

static inline double finish(double q, double x, const grid *g)
{
    q = fabs(q) > g->max ? g->over : q;
    q = copysign(q, x);
    return fabs(x) < (double)INFINITY ? q : x; /* NaN and Inf are not finite: they stay */
}

/* x + c - c with c = 1.5 2^52 s rounds to a multiple of s, to even between two. */
CLONES static void to_nearest(real *x, size_t n, grid g)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        uint64_t e = exponent_of(v, g.low, g.high) - g.mantissa;
        double c = double_of((e + SIGNIFICAND) << SIGNIFICAND | UINT64_C(1) << (SIGNIFICAND - 1));
        x[i] = (real)finish(v + c - c, v, &g);
    }
}

CLONES static void at_random(real *x, const double *u, size_t n, grid g)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        uint64_t e = exponent_of(v, g.low, g.high) - g.mantissa;
        double s = double_of(e << SIGNIFICAND), inverse = double_of((2 * BIAS - e) << SIGNIFICAND);
        x[i] = (real)finish(s * floor(fabs(v) * inverse + u[i]), v, &g);
    }
}

CLONES static double largest_finite(const real *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double v = fabs((double)x[i]);
        most = v > most && v < (double)INFINITY ? v : most;
    }
    return most;
}

enum { INT8_MAX_VALUE = 127 };

static inline double clamp(double q)
{
    return q > INT8_MAX_VALUE ? INT8_MAX_VALUE : q < -INT8_MAX_VALUE ? -INT8_MAX_VALUE : q;
}

CLONES static void to_nearest_int(real *x, size_t n, double s)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        x[i] = fabs(v) < (double)INFINITY ? (real)copysign(s * clamp(rint(v / s)), v) : x[i];
    }
}

CLONES static void at_random_int(real *x, const double *u, size_t n, double s)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        double q = copysign(s * clamp(floor(fabs(v) / s + u[i])), v);
        x[i] = fabs(v) < (double)INFINITY ? (real)q : x[i];
    }
}

/* n entries, the first of them number `first` of the random numbers; s is the scale of int8. */
static void apply_row(real *x, size_t n, size_t first, const rounding *how, double s)
{
    bool is_int = how->to == FORMAT_int8;
    grid g = is_int ? (grid){0} : grid_of(how->to);
    if (is_int && s == 0) return; /* all are zero, or not finite */
    if (!how->random) {
        if (is_int)
            to_nearest_int(x, n, s);
        else
            to_nearest(x, n, g);
        return;
    }
    double u[RNG_BLOCK];
    for (size_t i = 0; i < n;) {
        size_t at = (first + i) % RNG_BLOCK, m = RNG_BLOCK - at < n - i ? RNG_BLOCK - at : n - i;
        rng_uniform_block(how->random, (first + i) / RNG_BLOCK, u);
        if (is_int)
            at_random_int(x + i, u + at, m, s);
        else
            at_random(x + i, u + at, m, g);
        i += m;
    }
}

void rounding_apply(real *x, size_t rows, size_t cols, size_t ld, const rounding *how)
{
    double most = 0;
    if (how->to == FORMAT_none) return;
    if (ld == cols && !(how->to == FORMAT_int8 && how->by_row)) cols *= rows, ld = cols, rows = 1;
    for (size_t r = 0; r < rows && how->to == FORMAT_int8 && !how->by_row; r++)
        most = fmax(most, largest_finite(x + r * ld, cols));
    for (size_t r = 0; r < rows; r++) {
        if (how->to == FORMAT_int8 && how->by_row) most = largest_finite(x + r * ld, cols);
        apply_row(x + r * ld, cols, r * cols, how, most / INT8_MAX_VALUE);
    }
}

/* --- in a run --------------------------------------------------------------------------------- */

static bool by_row(const exec *x)
{
    return x->g->spec->rounding.scale == ROUND_ROW;
}

bool round_clips(const run_spec *spec)
{
    return format_table[spec->rounding.activations].saturates;
}

/* Of one sequence: whole bytes, so that threads share none. */
static size_t clip_bytes(const value *v)
{
    return ((size_t)v->rows * (size_t)v->ld + 7) / 8;
}

size_t round_clip_layout(graph *g)
{
    size_t bytes = 0;
    for (int i = 0; i < g->n_nodes && round_clips(g->spec); i++) {
        g->nodes[i].clip = bytes;
        bytes += clip_bytes(&g->values[g->nodes[i].outputs[0]]) * (size_t)g->batch;
    }
    return bytes;
}

static uint8_t *marks_of(const exec *x, const node *n, int b)
{
    return x->clipped + n->clip + clip_bytes(&x->g->values[n->outputs[0]]) * (size_t)b;
}

static void mark(uint8_t *marks, const real *x, size_t n, double max)
{
    for (size_t i = 0; i < n; i += 8) {
        unsigned bits = 0;
        for (size_t k = 0; k < 8 && i + k < n; k++)
            bits |= (unsigned)(fabs((double)x[i + k]) > max) << k;
        marks[i / 8] = (uint8_t)bits;
    }
}

void round_clip_grad(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    size_t count = (size_t)v->rows * (size_t)v->ld;
    for (int b = s->b0; b < s->b1; b++) {
        const uint8_t *marks = marks_of(x, n, b);
        real *grad = exec_grad(x, n->outputs[0], b);
        if (!grad || n->outputs[0] == x->g->loss_value) return;
        for (size_t i = 0; i < count; i++)
            if (marks[i / 8] >> i % 8 & 1) grad[i] = 0;
    }
}

void round_outputs(const exec *x, const node *n, const span *s)
{
    const value *v = &x->g->values[n->outputs[0]];
    rounding how = {.to = (format)x->g->spec->rounding.activations, .by_row = by_row(x)};
    if (n->outputs[0] == x->g->loss_value) return;
    for (int b = s->b0; b < s->b1; b++) {
        real *y = exec_value(x, n->outputs[0], b);
        if (round_clips(x->g->spec))
            mark(marks_of(x, n, b), y, (size_t)v->rows * (size_t)v->ld,
                 format_table[how.to].max_finite);
        rounding_apply(y, (size_t)v->rows, (size_t)v->cols, (size_t)v->ld, &how);
    }
}

/* A stream of its own for whatever is rounded; what and index tell them apart within a step. */
static rng stream_of(const exec *x, const node *n, const char *what, int index, int part)
{
    char name[80];
    snprintf(name, sizeof name, "%d.%d.%s.%d.%d", x->step, (int)(n - x->g->nodes), what, index,
             part);
    return rng_stream(x->g->spec->seed, "rounding", name);
}

void round_input_grads(const exec *x, const node *n, const span *s)
{
    const spec_rounding *r = &x->g->spec->rounding;
    for (int k = 0; k < n->n_inputs; k++) {
        const value *v = &x->g->values[n->inputs[k]];
        if (!n->grads[k].wanted) continue;
        for (int b = s->b0; b < s->b1; b++) {
            rng random = r->stochastic ? stream_of(x, n, "input", k, b) : (rng){0};
            rounding how = {(format)r->gradients, by_row(x), r->stochastic ? &random : NULL};
            rounding_apply(exec_grad(x, n->inputs[k], b), (size_t)v->rows, (size_t)v->cols,
                           (size_t)v->ld, &how);
        }
    }
}

static void
round_param_grad(const exec *x, const node *n, int p, int slice, real *grad, size_t count)
{
    const spec_rounding *r = &x->g->spec->rounding;
    const param *w = &x->g->params[p];
    if (r->gradients == FORMAT_none || w->rank < 2) return;
    rng random = r->stochastic ? stream_of(x, n, "param", p, slice) : (rng){0};
    rounding how = {(format)r->gradients, by_row(x), r->stochastic ? &random : NULL};
    rounding_apply(grad, count / w->dims[1], w->dims[1], w->dims[1], &how);
}

void exec_matrix_slice(const exec *x, const node *n, int p, int slice, real *grad, size_t count)
{
    round_param_grad(x, n, p, slice, grad, count);
    exec_slice(x, p, slice, grad, count);
}

static void round_weight(void *context, int task, int worker)
{
    (void)worker;
    const exec *x = context;
    const param *w = &x->g->params[task];
    rounding how = {.to = (format)x->g->spec->rounding.weights, .by_row = by_row(x)};
    if (w->rank < 2) return;
    real *to = x->rounded + w->data;
    memcpy(to, x->params + w->data, w->count * sizeof *to);
    rounding_apply(to, w->dims[0], w->dims[1], w->dims[1], &how);
}

void round_weights(exec *x)
{
    team_run(x->team, round_weight, x, x->g->n_params);
}
