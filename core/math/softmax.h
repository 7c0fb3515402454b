/* Softmax over the rows of a block of attention logits, [rows, width] row-major without gaps.
 *
 * Row r sees its entries from first to end - 1: end is n + r step (step 1: causal or a window, 0:
 * all the same), at most width; first is 0, or with windowed skip + r, at least 0. What it does not
 * see is set to 0 from column left to column right; further out nobody looks, and it may become
 * anything. Per row two numbers are kept: max, and inverse = 1/sum exp(x - max), from which the
 * same bits can be made again.
 *
 *   y_i = exp(x_i - max) inverse,   dx = y (dy - sum_j y_j dy_j)
 *   entropy = ln(sum) - sum_i exp(s_i) s_i / sum, s = x - max, in double: no cancellation
 *
 * NaN in a row makes the row NaN. Allocates nothing. Any thread.
 */
#ifndef CORE_MATH_SOFTMAX_H
#define CORE_MATH_SOFTMAX_H

#include "core/real.h"

#include <stdbool.h>

typedef struct softmax_block {
    size_t rows, width, n, step;
    bool windowed;
    long skip; /* windowed: row r begins at entry skip + r, or 0 where that is negative */
    size_t left, right;
} softmax_block;

/* In place; entropy NULL: not wanted. */
void softmax_forward(const softmax_block *b, real *x, real *max, real *inverse, real *entropy);
void softmax_again(const softmax_block *b, real *x, const real *max, const real *inverse);
/* dx may be dy, which is masked too. */
void softmax_backward(const softmax_block *b, real *dx, real *dy, const real *y);

#endif
