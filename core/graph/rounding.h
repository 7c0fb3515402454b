/* Rounding to a narrower number format, as if the numbers had been stored in it.
 *
 * Formats with M bits of mantissa: with e = max(floor(log2 |x|), e_min) numbers are
 * s = 2^(e - M) apart; x becomes the nearest multiple of s, of two equally near ones the even one.
 * Beyond max_finite it is infinite, or +-max_finite where the format saturates. int8: s =
 * max|x|/127 over what shares a scale, x becomes s times the nearest integer of -127..127.
 *
 * Stochastic: s floor(|x|/s + u) with the sign of x, u in (0, 1): E = x where nothing is too large.
 *
 * NaN and Inf stay what they are, in every format (no format hides a result), and have no part in
 * max|x|; the sign of zero is kept. The arithmetic is float64 whatever the run's precision, each
 * number rounded once. Allocates nothing. Any thread.
 *
 * In a run (round_* below) the output of every op is rounded where it was written, and so are the
 * gradients an op hands to its inputs, after what they are added to, and those of matrices and
 * tables. Only first outputs are: statistics of norms, attention logits and probabilities, and the
 * loss stay in the precision of the run, as mixed-precision training keeps them; vectors (gains,
 * biases) and their gradients too. Matrix products sum in the precision of the run. The backward
 * pass is straight through: the gradient of an output is that of the rounded one, but 0 where
 * |x| > max_finite was cut off to max_finite. (What became infinite needs no such rule; int8 cuts
 * nothing off.)
 */
#ifndef CORE_GRAPH_ROUNDING_H
#define CORE_GRAPH_ROUNDING_H

#include "core/base/format.h"
#include "core/base/rng.h"
#include "core/graph/exec.h"
#include "core/graph/op.h"

typedef struct rounding {
    format to;
    bool by_row;       /* int8: a scale for each row, else one */
    const rng *random; /* stochastic; NULL: to nearest */
} rounding;

/* x [rows, cols], ld from row to row. Number i of random belongs to entry i = row cols + column. */
void rounding_apply(real *x, size_t rows, size_t cols, size_t ld, const rounding *how);

/* Output 0 of a node, and the gradients of its inputs. Called by a pass where the run rounds. */
void round_outputs(const exec *x, const node *n, const span *s);
void round_input_grads(const exec *x, const node *n, const span *s);
/* A slice of the gradient of matrix p, [rows, cols], made by node n, is complete: rounds it where
 * the run rounds gradients, then sums it up for the norms (exec_slice). For ops. */
void exec_matrix_slice(const exec *x, const node *n, int p, int slice, real *grad, size_t count);
/* Is there a format that cuts off, and for its marks: bytes of all nodes; sets their places. */
bool round_clips(const run_spec *spec);
size_t round_clip_layout(graph *g);
/* The gradient of output 0, complete, becomes 0 where the output was cut off. */
void round_clip_grad(const exec *x, const node *n, const span *s);
/* The matrices that this pass reads, from the ones that are trained. */
void round_weights(exec *x);

#endif
