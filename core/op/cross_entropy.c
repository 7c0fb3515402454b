/* Cross entropy of the logits against the next token (decoder) or the hidden token (encoder, only
 * at masked places), summed over a sequence; the mean over the batch's places is loss_scale times
 * it.
 *
 *   loss_t = lse(x_t) - x_t[target],  dx_t = loss_scale (softmax(x_t) - onehot(target))
 *
 * The second output keeps the maximum and the sum of exponentials of each row.
 */
#include "core/math/exp_down.h"
#include "core/op/op.h"

#include <string.h>

int op_cross_entropy_build(graph *g, int logits)
{
    node *n = graph_node(g, &op_cross_entropy);
    int y = graph_value(g, 1, 1), stats = graph_value(g, g->seq_len, 2);
    n->inputs[0] = logits, n->n_inputs = 1;
    n->outputs[0] = y, n->outputs[1] = stats, n->n_outputs = 2;
    g->loss_value = y;
    return y;
}

CLONES static real row_max(const real *x, size_t n)
{
    real max = x[0];
#pragma omp simd reduction(max : max)
    for (size_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

CLONES static double row_exp_sum(const real *x, real max, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)exp_down(x[i] - max);
    return sum;
}

CLONES static void
row_backward(real *restrict dx, const real *restrict x, real max, real factor, size_t n)
{
    for (size_t i = 0; i < n; i++) dx[i] = factor * exp_down(x[i] - max);
}

static bool counts(const exec *x, int b, int t)
{
    return !x->loss_mask || x->loss_mask[b * x->g->seq_len + t];
}

static size_t target(const exec *x, int b, int t)
{
    size_t row = (size_t)b * ((size_t)x->g->seq_len + 1) + (size_t)t;
    return (size_t)x->tokens[x->loss_mask ? row : row + 1];
}

static void forward(const exec *x, const node *n, const span *s)
{
    size_t vocab = (size_t)x->g->values[n->inputs[0]].cols;
    for (int b = s->b0; b < s->b1; b++) {
        const real *row = exec_value(x, n->inputs[0], b);
        real *stats = exec_value(x, n->outputs[1], b);
        double loss = 0;
        for (int t = 0; t < x->g->seq_len; t++, row += vocab, stats += 2) {
            if (!counts(x, b, t)) continue;
            real max = row_max(row, vocab);
            double sum = row_exp_sum(row, max, vocab);
            stats[0] = max, stats[1] = (real)sum;
            loss += log(sum) + ((double)max - (double)row[target(x, b, t)]);
        }
        x->losses[b] = loss;
        *exec_value(x, n->outputs[0], b) = (real)loss;
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    size_t vocab = (size_t)x->g->values[n->inputs[0]].cols;
    real scale = (real)(x->loss_scale * x->grad_scale);
    for (int b = s->b0; b < s->b1; b++) {
        const real *row = exec_value(x, n->inputs[0], b), *stats = exec_value(x, n->outputs[1], b);
        real *dx = exec_grad(x, n->inputs[0], b);
        for (int t = 0; t < x->g->seq_len; t++, row += vocab, dx += vocab, stats += 2) {
            if (!counts(x, b, t)) {
                memset(dx, 0, vocab * sizeof *dx);
                continue;
            }
            row_backward(dx, row, stats[0], scale / stats[1], vocab);
            dx[target(x, b, t)] -= scale;
        }
    }
}

const op op_cross_entropy = {
    .entry = {.name = "cross_entropy",
              .summary = "loss = lse(logits) - logits[target], summed over a sequence"},
    .reads_inputs = 1,
    .reads_outputs = 2,
    .forward = forward,
    .backward = backward,
};
