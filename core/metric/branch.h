/* A branch f and the stream s it is added to: y = c s + f, over the whole batch.
 *
 *   branch_ratio      ||f||_F/||c s||_F; REASON_ZERO if s = 0
 *   branch_cos        f.(c s)/(||f||_F ||c s||_F); REASON_ZERO if either is 0
 *   bf16_stall        share of the entries with |f| < 2^-9 |c s|
 *   branch_alignment  f.g/(||f||_F ||g||_F), g the same branch of the block before; REASON_ZERO
 *
 * c is a number, or a vector over columns (branch_add_scaled). Sums are float64, sequence by
 * sequence, and added in the order of the batch. A NaN or Inf makes what it enters NaN or Inf.
 * The add functions add to what is there; stalls: count for bf16_stall. n = rows cols entries lie
 * one after another. Allocates nothing. Any thread.
 * Source: definitions; bf16 keeps 8 bits.
 */
#ifndef CORE_METRIC_BRANCH_H
#define CORE_METRIC_BRANCH_H

#include "core/metric/value.h"
#include "core/real.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct branch_sums {
    double branch_sq, stream_sq, dot;
    double with_last; /* f.g */
    uint64_t n, stalled;
} branch_sums;

void branch_add(branch_sums *s, const real *f, const real *x, real c, size_t n, bool stalls);
void branch_add_scaled(branch_sums *s,
                       const real *f,
                       const real *x,
                       const real *gain,
                       size_t rows,
                       size_t cols,
                       bool stalls);
void branch_add_last(branch_sums *s, const real *f, const real *last, size_t n);
void branch_merge(branch_sums *into, const branch_sums *from);
/* last: the merged sums of g, or NULL. */
void branch_finish(const branch_sums *s, const branch_sums *last, metric_value out[]);

#endif
