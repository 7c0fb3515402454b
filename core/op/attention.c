/* Softmax attention of one sequence and head at a time, so that a head's matrices stay in cache.
 *
 *   Z = c q k',  S = cap tanh(Z/cap) + B,  A = softmax of S over the visible keys,  y = A v
 *   dA = dy v',  dS = A (dA - rowsum(A dA)),  dZ = dS (1 - tanh(Z/cap)^2),
 *   dq = c dZ k,  dk = c dZ' q,  dv = A' dy,  dtau = sum dZ Z,  db_r = sum of dS_ij with r = j - i
 *
 * Causal: key j <= i. With a window the last w of them, itself included; without causality
 * |i - j| < w. c is a constant, or c exp(min(tau_h, ln 100)) with tau learned per head, whose
 * gradient is 0 where it is clamped. No cap and no B as a rule; B is a constant matrix, or b_(j -
 * i) learned by distance, in buckets (core/position/position.h), or their sum.
 *
 * Grouped queries: head h reads key-value head h / (H / H_kv); dk and dv are summed over the group
 * in head order. Products run over blocks of rows and only the columns that some of them see. Row
 * entropy: H_i = ln(sum_j e_j) - sum_j A_ij (s_ij - max), in double, no cancellation.
 */
#include "core/math/blas.h"
#include "core/math/softmax.h"
#include "core/op/op.h"
#include "core/op/vector.h"
#include "core/position/position.h"

#include <string.h>

enum {
    ROW_BLOCK = 64,
    OUT_VALUES = 0,
    OUT_PROBS = 1,
    OUT_LOGITS = 2,
    OUT_ENTROPY = 3,
    OUT_STATS = 4
};

static const attention_args *own_of(const node *n)
{
    return n->own;
}

const attention_args *op_attention_args(const node *n)
{
    return own_of(n);
}

/* The biases by distance are buckets of this; or NULL. */
static const position *buckets_of(const node *n)
{
    const attention_args *own = n->own;
    return own->by_distance == NONE ? NULL : own->position;
}

static bool has_tau(const node *n)
{
    return own_of(n)->tau != NONE;
}

int op_attention_build(graph *g, int q, int k, int v, const attention_args *how)
{
    node *n = graph_node(g, &op_attention);
    attention_args *own = graph_own(g, n, sizeof *own);
    *own = *how;
    if (how->tau != NONE) {
        n->params[n->n_params++] = how->tau;
        n->partial_count = (size_t)how->heads;
    }
    if (how->by_distance != NONE) {
        n->params[n->n_params++] = how->by_distance;
        n->partial_count += (size_t)how->position->buckets * (size_t)how->heads;
    }
    int rows = g->values[q].rows, cols = g->values[q].cols;
    n->inputs[0] = q, n->inputs[1] = k, n->inputs[2] = v, n->n_inputs = 3;
    n->outputs[OUT_VALUES] = graph_value(g, rows, cols);
    n->outputs[OUT_PROBS] = graph_value(g, how->heads * rows, rows);
    n->outputs[OUT_LOGITS] = graph_value(g, how->heads * rows, rows);
    n->outputs[OUT_ENTROPY] = graph_value(g, how->heads, rows);
    n->outputs[OUT_STATS] = graph_value(g, how->heads, 2 * rows);
    n->n_outputs = 5;
    graph_constants(g, n, (size_t)rows * (size_t)rows, how->bias, how->bias_work);
    return n->outputs[OUT_VALUES];
}

size_t op_attention_first(const node *n, size_t i)
{
    size_t window = (size_t)own_of(n)->window;
    return window && i >= window ? i - window + 1 : 0;
}

size_t op_attention_end(const node *n, size_t i, size_t length)
{
    size_t end = own_of(n)->causal   ? i + 1
                 : own_of(n)->window ? i + (size_t)own_of(n)->window
                                     : length;
    return end < length ? end : length;
}

/* What one (sequence, head) works on. */
typedef struct head {
    const node *n;
    size_t length, width, group; /* T, d_k, query heads per key-value head */
    size_t ldq, ldk, ldv, ldy;
    size_t q, k, v, y; /* column offsets */
    size_t matrix;     /* offset of this head's [T, T] */
    bool first_of_group;
    bool reshaped; /* the backward pass needs the scaled products besides the probabilities */
    real scale;
    double softcap;
    const real *bias;        /* [T, T], or NULL */
    const real *by_distance; /* with n->position: [2 T - 1] of distances 1 - T to T - 1 */
    double *dby_distance;    /* sums of its gradient, or NULL */
    double *dtau;            /* sum for this head, or NULL */
} head;

/* Learned per head: exp(min(tau, ln 100)). */
static const double tau_most = 4.605170185988092; /* ln 100 */

static double scale_of(const exec *x, const node *n, int h)
{
    if (!has_tau(n)) return own_of(n)->scale;
    double tau = (double)exec_param(x, n->params[0])[h];
    return own_of(n)->scale * exp(tau > tau_most ? tau_most : tau);
}

static head head_of(const exec *x, const node *n, int h)
{
    const value *values = x->g->values;
    size_t width = (size_t)(values[n->inputs[0]].cols / own_of(n)->heads),
           length = (size_t)x->g->seq_len;
    size_t group = (size_t)(own_of(n)->heads / own_of(n)->kv_heads), kv = (size_t)h / group;
    return (head){
        .n = n,
        .length = length,
        .width = width,
        .group = group,
        .ldq = (size_t)values[n->inputs[0]].ld,
        .ldk = (size_t)values[n->inputs[1]].ld,
        .ldv = (size_t)values[n->inputs[2]].ld,
        .ldy = (size_t)values[n->outputs[OUT_VALUES]].ld,
        .q = (size_t)h * width,
        .k = kv * width,
        .v = kv * width,
        .y = (size_t)h * width,
        .matrix = (size_t)h * length * length,
        .first_of_group = (size_t)h % group == 0,
        .reshaped = has_tau(n) || !isnan(own_of(n)->softcap),
        .scale = (real)scale_of(x, n, h),
        .softcap = own_of(n)->softcap,
        .bias = exec_constants(x, n),
    };
}

/* Rows i0..i1-1 and the columns that any of them sees. */
typedef struct rows {
    size_t i0, i1, n;
    size_t from, seen, cols; /* first column, one past the last, how many */
} rows;

static rows rows_at(const head *a, size_t i0)
{
    rows r = {.i0 = i0, .i1 = i0 + ROW_BLOCK < a->length ? i0 + ROW_BLOCK : a->length};
    r.n = r.i1 - r.i0;
    r.from = op_attention_first(a->n, i0);
    r.seen = op_attention_end(a->n, r.i1 - 1, a->length);
    r.cols = r.seen - r.from;
    return r;
}

/* A [T, T] matrix of a head that somebody looks at, or room for one block of its rows. */
typedef struct matrix {
    real *at;
    bool whole;
} matrix;

static real *block_at(const head *a, const matrix *m, const rows *r)
{
    return m->whole ? m->at + r->i0 * a->length : m->at;
}

/* Where a head's results go. max, inverse [T] for the backward pass; logits [T, T] and entropy [T]
 * are NULL when nobody looks. */
typedef struct head_out {
    matrix probs;
    real *y, *max, *inverse, *logits, *entropy;
} head_out;

/* Rows of a head's matrix, as softmax sees them; whole: every masked entry is to be 0. */
static softmax_block block_of(const head *a, const rows *r, bool whole)
{
    size_t window = (size_t)own_of(a->n)->window;
    bool steps = own_of(a->n)->causal || window;
    return (softmax_block){
        .rows = r->n,
        .width = a->length,
        .n = own_of(a->n)->causal ? r->i0 + 1
             : window             ? r->i0 + window
                                  : a->length,
        .step = steps,
        .windowed = window > 0,
        .skip = (long)r->i0 - (long)window + 1,
        .left = whole ? 0 : r->from,
        .right = whole ? a->length : r->seen,
    };
}

CLONES static void cap(real *x, real c, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) x[i] = c * TANH(x[i] / c);
}

CLONES static void add_bias(real *restrict x, const real *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] += bias[i];
}

/* Scaled products become logits. */
static void shape_logits(const head *a, const rows *r, real *block)
{
    for (size_t i = 0; i < r->n; i++) {
        real *row = block + i * a->length + r->from;
        if (!isnan(a->softcap)) cap(row, (real)a->softcap, r->cols);
        if (a->bias) add_bias(row, a->bias + (r->i0 + i) * a->length + r->from, r->cols);
        if (buckets_of(a->n))
            add_bias(row, a->by_distance + a->length - 1 - (r->i0 + i) + r->from, r->cols);
    }
}

static void keep_logits(const head *a, const rows *r, const real *block, real *logits)
{
    for (size_t i = r->i0; i < r->i1; i++, block += a->length) {
        real *row = logits + i * a->length;
        size_t first = op_attention_first(a->n, i), end = op_attention_end(a->n, i, a->length);
        memset(row, 0, first * sizeof *row);
        memcpy(row + first, block + first, (end - first) * sizeof *row);
        memset(row + end, 0, (a->length - end) * sizeof *row);
    }
}

static void products(const head *a, const rows *r, const real *q, const real *k, real *block)
{
    gemm_nt(r->n, r->cols, a->width, a->scale, q + r->i0 * a->ldq, a->ldq, k + r->from * a->ldk,
            a->ldk, 0, block + r->from, a->length);
}

static void
head_forward(const head *a, const real *q, const real *k, const real *v, const head_out *o)
{
    for (size_t i0 = 0; i0 < a->length; i0 += ROW_BLOCK) {
        rows r = rows_at(a, i0);
        real *block = block_at(a, &o->probs, &r);
        products(a, &r, q, k, block);
        shape_logits(a, &r, block);
        softmax_block b = block_of(a, &r, o->probs.whole);
        if (o->logits) keep_logits(a, &r, block, o->logits);
        softmax_forward(&b, block, o->max + i0, o->inverse + i0,
                        o->entropy ? o->entropy + i0 : NULL);
        gemm_nn(r.n, a->width, r.cols, 1, block + r.from, a->length, v + r.from * a->ldv, a->ldv, 0,
                o->y + i0 * a->ldy, a->ldy);
    }
}

static real *optional(real *p, size_t offset)
{
    return p ? p + offset : NULL;
}

static matrix matrix_or(real *p, const head *a, real *scratch)
{
    return p ? (matrix){p + a->matrix, true} : (matrix){scratch, false};
}

/* A block of rows of one head's matrix. */
static size_t block_reals(const graph *g)
{
    size_t length = (size_t)g->seq_len;
    return length * (length < ROW_BLOCK ? length : ROW_BLOCK);
}

/* A head's biases by distance, spread out from the table into at. */
static void spread_biases(const exec *x, const node *n, int h, head *a, real *at)
{
    if (!buckets_of(n)) return;
    const real *table = exec_param(x, n->params[n->n_params - 1]);
    long length = (long)a->length;
    for (long ahead = 1 - length; ahead < length; ahead++)
        at[ahead + length - 1] = table[position_bucket(buckets_of(n), own_of(n)->causal, ahead) *
                                           (size_t)own_of(n)->heads +
                                       (size_t)h];
    a->by_distance = at;
}

static void forward(const exec *x, const node *n, const span *s)
{
    for (int b = s->b0; b < s->b1; b++)
        for (int h = 0; h < own_of(n)->heads; h++) {
            head a = head_of(x, n, h);
            spread_biases(x, n, h, &a, exec_scratch(x, s->worker) + block_reals(x->g));
            real *probs = exec_value(x, n->outputs[OUT_PROBS], b);
            real *stats = exec_value(x, n->outputs[OUT_STATS], b) + 2 * (size_t)h * a.length;
            head_out o = {
                .probs = matrix_or(probs, &a, exec_scratch(x, s->worker)),
                .y = exec_value(x, n->outputs[OUT_VALUES], b) + a.y,
                .max = stats,
                .inverse = stats + a.length,
                .logits = optional(exec_value(x, n->outputs[OUT_LOGITS], b), a.matrix),
                .entropy =
                    optional(exec_value(x, n->outputs[OUT_ENTROPY], b), (size_t)h * a.length),
            };
            head_forward(&a, exec_value(x, n->inputs[0], b) + a.q,
                         exec_value(x, n->inputs[1], b) + a.k, exec_value(x, n->inputs[2], b) + a.v,
                         &o);
        }
}

typedef struct head_grads {
    real *dq, *dk, *dv;
    const real *dy, *max, *inverse;
    matrix dprobs, dlogits; /* may be in one place */
    real *probs;            /* [ROW_BLOCK, T] scratch: made again */
    real *scaled;           /* [ROW_BLOCK, T] scratch: scaled products, where reshaped */
} head_grads;

static void keep_scaled(const head *a, const rows *r, const real *p, real *scaled)
{
    for (size_t i = 0; i < r->n; i++)
        memcpy(scaled + i * a->length + r->from, p + i * a->length + r->from,
               r->cols * sizeof *scaled);
}

/* z becomes dz; returns sum dz z. */
CLONES static double uncap(real *restrict z, const real *restrict ds, real c, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        real t = TANH(z[i] / c), dz = ds[i] * (1 - t * t);
        sum += (double)dz * (double)z[i];
        z[i] = dz;
    }
    return sum;
}

CLONES static double dot(const real *restrict a, const real *restrict b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* From the gradient of the logits to that of the scaled products, which takes their place; the
 * sum for tau on the way: d/dtau of scale(tau) s is scale(tau) s. */
static void unshape(const head *a, const rows *r, const real *ds, real *scaled)
{
    bool capped = !isnan(a->softcap);
    for (size_t i = 0; i < r->n; i++) {
        size_t first = op_attention_first(a->n, r->i0 + i),
               end = op_attention_end(a->n, r->i0 + i, a->length), n = end - first;
        real *z = scaled + i * a->length, *at = z + first;
        const real *dsr = ds + i * a->length + first;
        double along = capped ? uncap(at, dsr, (real)a->softcap, n) : dot(at, dsr, n);
        if (a->dtau) *a->dtau += along;
        if (!capped) memcpy(at, dsr, n * sizeof *at);
        memset(z + r->from, 0, (first - r->from) * sizeof *z);
        memset(z + end, 0, (r->seen - end) * sizeof *z);
    }
}

/* Sums of the gradient of the logits by distance. */
static void sum_by_distance(const head *a, const rows *r, const real *ds)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t at = r->i0 + i, first = op_attention_first(a->n, at),
               end = op_attention_end(a->n, at, a->length);
        for (size_t j = first; j < end; j++)
            a->dby_distance[a->length - 1 - at + j] += (double)ds[i * a->length + j];
    }
}

/* From distances to rows of the table, whose sums of this panel are added to. */
static void gather_buckets(const node *n, int h, const head *a, double *sums)
{
    long length = (long)a->length;
    for (long ahead = 1 - length; ahead < length; ahead++)
        sums[position_bucket(buckets_of(n), own_of(n)->causal, ahead) * (size_t)own_of(n)->heads +
             (size_t)h] += a->dby_distance[ahead + length - 1];
}

static void clear_rows(real *x, size_t rows_, size_t cols, size_t ld)
{
    for (size_t i = 0; i < rows_; i++) memset(x + i * ld, 0, cols * sizeof *x);
}

/* Blocks run from the last to the first: the last one sees every column, so it can overwrite dk, dv
 * and the earlier ones add to their first rows; with a window no block sees all, and they are
 * cleared before. The probabilities are made again from q, k and the two numbers kept per row: T^2
 * numbers per head less to keep, write and read. */
static void
head_backward(const head *a, const real *q, const real *k, const real *v, const head_grads *d)
{
    size_t length = a->length, last = (length - 1) / ROW_BLOCK * ROW_BLOCK;
    if (own_of(a->n)->window && a->first_of_group) {
        clear_rows(d->dk, length, a->width, a->ldk);
        clear_rows(d->dv, length, a->width, a->ldv);
    }
    for (size_t i0 = last + ROW_BLOCK; i0 > 0;) {
        i0 -= ROW_BLOCK;
        rows r = rows_at(a, i0);
        real add = i0 == last && a->first_of_group && !own_of(a->n)->window ? 0 : 1;
        const real *dy = d->dy + i0 * a->ldy;
        real *p = d->probs, *dp = block_at(a, &d->dprobs, &r), *ds = block_at(a, &d->dlogits, &r);
        products(a, &r, q, k, p);
        if (a->reshaped) keep_scaled(a, &r, p, d->scaled);
        shape_logits(a, &r, p);
        gemm_nt(r.n, r.cols, a->width, 1, dy, a->ldy, v + r.from * a->ldv, a->ldv, 0, dp + r.from,
                length);
        softmax_block block = block_of(a, &r, d->dprobs.whole || d->dlogits.whole);
        softmax_again(&block, p, d->max + i0, d->inverse + i0);
        softmax_backward(&block, ds, dp, p);
        gemm_tn(r.cols, a->width, r.n, 1, p + r.from, length, dy, a->ldy, add,
                d->dv + r.from * a->ldv, a->ldv);
        if (a->dby_distance) sum_by_distance(a, &r, ds);
        if (a->reshaped) {
            unshape(a, &r, ds, d->scaled);
            ds = d->scaled;
        }
        gemm_nn(r.n, a->width, r.cols, a->scale, ds + r.from, length, k + r.from * a->ldk, a->ldk,
                0, d->dq + i0 * a->ldq, a->ldq);
        gemm_tn(r.cols, a->width, r.n, a->scale, ds + r.from, length, q + i0 * a->ldq, a->ldq, add,
                d->dk + r.from * a->ldk, a->ldk);
    }
}

/* [2 T - 1] cleared sums behind the blocks and the biases. */
static double *distance_sums(real *scratch, size_t room, size_t length)
{
    size_t at = (3 * room + 2 * length) * sizeof *scratch;
    at = (at + sizeof(double) - 1) / sizeof(double) * sizeof(double);
    double *sums = (double *)(void *)((char *)scratch + at);
    memset(sums, 0, 2 * length * sizeof *sums);
    return sums;
}

static void backward(const exec *x, const node *n, const span *s)
{
    double *sums = exec_partials(x, n, s->panel), *dtau = has_tau(n) ? sums : NULL;
    if (n->partial_count) memset(sums, 0, n->partial_count * sizeof *sums);
    for (int b = s->b0; b < s->b1; b++)
        for (int h = 0; h < own_of(n)->heads; h++) {
            head a = head_of(x, n, h);
            bool free_tau = dtau && !((double)exec_param(x, n->params[0])[h] > tau_most);
            if (free_tau) a.dtau = dtau + h;
            size_t room = block_reals(x->g);
            real *scratch = exec_scratch(x, s->worker);
            spread_biases(x, n, h, &a, scratch + 3 * room);
            if (buckets_of(n)) a.dby_distance = distance_sums(scratch, room, a.length);
            const real *stats = exec_value(x, n->outputs[OUT_STATS], b) + 2 * (size_t)h * a.length;
            real *dprobs = exec_grad(x, n->outputs[OUT_PROBS], b),
                 *dlogits = exec_grad(x, n->outputs[OUT_LOGITS], b);
            head_grads d = {
                .dq = exec_grad(x, n->inputs[0], b) + a.q,
                .dk = exec_grad(x, n->inputs[1], b) + a.k,
                .dv = exec_grad(x, n->inputs[2], b) + a.v,
                .dy = exec_grad(x, n->outputs[OUT_VALUES], b) + a.y,
                .max = stats,
                .inverse = stats + a.length,
                .probs = scratch,
                .dprobs = matrix_or(dprobs, &a, scratch + room),
                .dlogits = matrix_or(dlogits, &a, scratch + room),
                .scaled = scratch + 2 * room,
            };
            head_backward(&a, exec_value(x, n->inputs[0], b) + a.q,
                          exec_value(x, n->inputs[1], b) + a.k,
                          exec_value(x, n->inputs[2], b) + a.v, &d);
            if (a.dby_distance)
                gather_buckets(n, h, &a, sums + (has_tau(n) ? (size_t)own_of(n)->heads : 0));
        }
}

static size_t scratch(const graph *g, const node *n)
{
    bool reshaped = has_tau(n) || !isnan(own_of(n)->softcap);
    size_t room = block_reals(g), distances = 2 * (size_t)g->seq_len;
    if (!buckets_of(n)) return (reshaped ? 3 : 2) * room;
    /* biases, then their sums in double, aligned */
    return 3 * room + distances + (distances + 1) * (sizeof(double) / sizeof(real));
}

/* Two products of full [T, T] matrices a head; masked ones are cut, which is not counted. */
static int list_products(const graph *g, const node *n, matrix_product out[NODE_PRODUCTS])
{
    const value *q = &g->values[n->inputs[0]];
    const attention_args *how = n->own;
    const int length = q->rows, width = q->cols / how->heads;
    const double count = (double)g->batch * how->heads;
    out[0] = (matrix_product){"qk", {"dq", "dk"}, count, length, length, width, true};
    out[1] = (matrix_product){"pv", {"dp", "dv"}, count, length, width, length, false};
    return 2;
}

static void describe(const graph *g, const node *n, description *out)
{
    const attention_args *own = n->own;
    (void)g;
    if (buckets_of(n)) out->what = buckets_of(n)->entry.name;
    if (own->scale != 1) describe_number(out, "scale", own->scale);
    if (!isnan(own->softcap)) describe_number(out, "softcap", own->softcap);
    if (own->window) describe_number(out, "window", own->window);
}

const op op_attention = {
    .entry = {.name = "attention",
              .summary = "y = softmax(c q k' + B) v, over the visible keys; logits may be capped",
              .source = "arXiv:1706.03762"},
    .reads_inputs = 7,
    .reads_outputs = 1u << OUT_STATS,
    .forward = forward,
    .backward = backward,
    .n_param_tasks = op_vector_tasks,
    .n_slices = op_one_slice,
    .param_task = op_vector_task,
    .scratch = scratch,
    .describe = describe,
    .products = list_products,
};
