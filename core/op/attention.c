/* Softmax attention of one sequence and head at a time, so that a head's matrices stay in cache.
 *
 *   S = q k'/sqrt(d_k),  A = softmax over the visible keys (causal: j <= i),  y = A v
 *   dA = dy v',  dS = A (dA - rowsum(A dA)),  dq = dS k/sqrt(d_k),  dk = dS' q/sqrt(d_k),  dv = A'
 * dy
 *
 * Grouped queries: head h reads key-value head h / (H / H_kv); dk and dv are summed over the group
 * in head order. Causal products run over blocks of rows and only the visible columns. Row entropy:
 * H_i = ln(sum_j e_j) - sum_j A_ij (s_ij - max), in double, no cancellation.
 */
#include "core/blas.h"
#include "core/op.h"
#include "core/softmax.h"

#include <string.h>

enum {
    ROW_BLOCK = 64,
    OUT_VALUES = 0,
    OUT_PROBS = 1,
    OUT_LOGITS = 2,
    OUT_ENTROPY = 3,
    OUT_STATS = 4
};

int op_attention_build(graph *g, int q, int k, int v, int heads, int kv_heads, bool causal)
{
    node *n = graph_node(g, &op_attention);
    n->heads = heads, n->kv_heads = kv_heads, n->causal = causal;
    int rows = g->values[q].rows, cols = g->values[q].cols;
    n->inputs[0] = q, n->inputs[1] = k, n->inputs[2] = v, n->n_inputs = 3;
    n->outputs[OUT_VALUES] = graph_value(g, rows, cols);
    n->outputs[OUT_PROBS] = graph_value(g, heads * rows, rows);
    n->outputs[OUT_LOGITS] = graph_value(g, heads * rows, rows);
    n->outputs[OUT_ENTROPY] = graph_value(g, heads, rows);
    n->outputs[OUT_STATS] = graph_value(g, heads, 2 * rows);
    n->n_outputs = 5;
    return n->outputs[OUT_VALUES];
}

/* What one (sequence, head) works on. */
typedef struct head {
    size_t length, width, group; /* T, d_k, query heads per key-value head */
    size_t ldq, ldk, ldv, ldy;
    size_t q, k, v, y; /* column offsets */
    size_t matrix;     /* offset of this head's [T, T] */
    bool causal, first_of_group;
    real scale;
} head;

static head head_of(const exec *x, const node *n, int h)
{
    const value *values = x->g->values;
    size_t width = (size_t)(values[n->inputs[0]].cols / n->heads), length = (size_t)x->g->seq_len;
    size_t group = (size_t)(n->heads / n->kv_heads), kv = (size_t)h / group;
    return (head){
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
        .causal = n->causal,
        .first_of_group = (size_t)h % group == 0,
        .scale = (real)(1 / sqrt((double)width)),
    };
}

/* Rows i0..i1 of a head see columns 0..visible-1 at most. */
static size_t block_end(const head *a, size_t i0)
{
    return i0 + ROW_BLOCK < a->length ? i0 + ROW_BLOCK : a->length;
}

static size_t visible(const head *a, size_t i1)
{
    return a->causal ? i1 : a->length;
}

/* Where a head's results go. probs [T, T]; max, inverse [T] for the backward pass; logits [T, T]
 * and entropy [T] are NULL when nobody looks. */
typedef struct head_out {
    real *y, *probs, *max, *inverse, *logits, *entropy;
} head_out;

/* Rows i0..i1 of a head's matrix, as softmax sees them. */
static softmax_block block_of(const head *a, size_t i0, size_t i1)
{
    size_t n = a->causal ? i0 + 1 : a->length;
    return (softmax_block){.rows = i1 - i0, .width = a->length, .n = n, .step = a->causal};
}

static void keep_logits(const head *a, const softmax_block *b, size_t i0, const head_out *o)
{
    for (size_t r = 0; r < b->rows; r++) {
        size_t at = (i0 + r) * a->length, n = b->n + r * b->step;
        memcpy(o->logits + at, o->probs + at, n * sizeof *o->logits);
        memset(o->logits + at + n, 0, (a->length - n) * sizeof *o->logits);
    }
}

static void
head_forward(const head *a, const real *q, const real *k, const real *v, const head_out *o)
{
    size_t length = a->length;
    for (size_t i0 = 0; i0 < length; i0 += ROW_BLOCK) {
        size_t i1 = block_end(a, i0), seen = visible(a, i1);
        real *block = o->probs + i0 * length;
        gemm_nt(i1 - i0, seen, a->width, a->scale, q + i0 * a->ldq, a->ldq, k, a->ldk, 0, block,
                length);
        softmax_block b = block_of(a, i0, i1);
        if (o->logits) keep_logits(a, &b, i0, o);
        softmax_forward(&b, block, o->max + i0, o->inverse + i0,
                        o->entropy ? o->entropy + i0 : NULL);
        gemm_nn(i1 - i0, a->width, seen, 1, block, length, v, a->ldv, 0, o->y + i0 * a->ldy,
                a->ldy);
    }
}

static real *optional(real *p, size_t offset)
{
    return p ? p + offset : NULL;
}

static void forward(const exec *x, const node *n, const span *s)
{
    for (int b = s->b0; b < s->b1; b++)
        for (int h = 0; h < n->heads; h++) {
            head a = head_of(x, n, h);
            real *probs = optional(exec_value(x, n->outputs[OUT_PROBS], b), a.matrix);
            real *stats = exec_value(x, n->outputs[OUT_STATS], b) + 2 * (size_t)h * a.length;
            head_out o = {
                .y = exec_value(x, n->outputs[OUT_VALUES], b) + a.y,
                .probs = probs ? probs : exec_scratch(x, s->worker),
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
    real *probs;            /* [T, T] scratch: made again */
    real *dprobs, *dlogits; /* [T, T]; dlogits may be dprobs */
} head_grads;

/* Blocks run from the last to the first: the last one sees every column, so it can overwrite dk, dv
 * and the earlier ones add to their first rows. The probabilities are made again from q, k and the
 * two numbers kept per row: T^2 numbers per head less to keep, write and read. */
static void
head_backward(const head *a, const real *q, const real *k, const real *v, const head_grads *d)
{
    size_t length = a->length, last = (length - 1) / ROW_BLOCK * ROW_BLOCK;
    for (size_t i0 = last + ROW_BLOCK; i0 > 0;) {
        i0 -= ROW_BLOCK;
        size_t i1 = block_end(a, i0), seen = visible(a, i1), rows = i1 - i0;
        real add = i0 == last && a->first_of_group ? 0 : 1;
        const real *dy = d->dy + i0 * a->ldy;
        real *p = d->probs + i0 * length, *dp = d->dprobs + i0 * length,
             *ds = d->dlogits + i0 * length;
        gemm_nt(rows, seen, a->width, a->scale, q + i0 * a->ldq, a->ldq, k, a->ldk, 0, p, length);
        gemm_nt(rows, seen, a->width, 1, dy, a->ldy, v, a->ldv, 0, dp, length);
        softmax_block block = block_of(a, i0, i1);
        softmax_again(&block, p, d->max + i0, d->inverse + i0);
        softmax_backward(&block, ds, dp, p);
        gemm_tn(seen, a->width, rows, 1, p, length, dy, a->ldy, add, d->dv, a->ldv);
        gemm_nn(rows, a->width, seen, a->scale, ds, length, k, a->ldk, 0, d->dq + i0 * a->ldq,
                a->ldq);
        gemm_tn(seen, a->width, rows, a->scale, ds, length, q + i0 * a->ldq, a->ldq, add, d->dk,
                a->ldk);
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    for (int b = s->b0; b < s->b1; b++)
        for (int h = 0; h < n->heads; h++) {
            head a = head_of(x, n, h);
            real *scratch = exec_scratch(x, s->worker), *dscratch = scratch + a.length * a.length;
            const real *stats = exec_value(x, n->outputs[OUT_STATS], b) + 2 * (size_t)h * a.length;
            real *dprobs = optional(exec_grad(x, n->outputs[OUT_PROBS], b), a.matrix);
            real *dlogits = optional(exec_grad(x, n->outputs[OUT_LOGITS], b), a.matrix);
            head_grads d = {
                .dq = exec_grad(x, n->inputs[0], b) + a.q,
                .dk = exec_grad(x, n->inputs[1], b) + a.k,
                .dv = exec_grad(x, n->inputs[2], b) + a.v,
                .dy = exec_grad(x, n->outputs[OUT_VALUES], b) + a.y,
                .max = stats,
                .inverse = stats + a.length,
                .probs = scratch,
                .dprobs = dprobs ? dprobs : dscratch,
                .dlogits = dlogits ? dlogits : dscratch,
            };
            head_backward(&a, exec_value(x, n->inputs[0], b) + a.q,
                          exec_value(x, n->inputs[1], b) + a.k,
                          exec_value(x, n->inputs[2], b) + a.v, &d);
        }
}

static size_t scratch(const graph *g, const node *n)
{
    (void)n;
    return 2 * (size_t)g->seq_len * (size_t)g->seq_len;
}

/* Two products of full [T, T] matrices; the causal ones are cut, which is not counted. */
static double flops(const graph *g, const node *n)
{
    const value *q = &g->values[n->inputs[0]];
    return 4.0 * g->batch * q->rows * q->rows * q->cols;
}

const op op_attention = {
    .entry = {.name = "attention",
              .summary = "y = softmax(q k'/sqrt(d_k)) v",
              .source = "arXiv:1706.03762"},
    .reads_inputs = 7,
    .reads_outputs = 1u << OUT_STATS,
    .forward = forward,
    .backward = backward,
    .scratch = scratch,
    .flops = flops,
};
