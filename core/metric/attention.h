/* Entropy of attention rows, A [T, T] row-stochastic for each head of each sequence.
 *
 *   H_i = -sum_j A_ij ln A_ij in nats, 0 ln 0 = 0; n_i = visible[i] keys that row i may see
 *   attn_entropy          mean of H_i over rows with n_i > 1, heads and sequences
 *   attn_entropy_norm     mean of H_i/ln n_i over the same rows
 *   attn_entropy_norm_p5  5th percentile of H_i/ln n_i, interpolated at position 0.05 (m - 1) in
 *                         the ascending order of the m values, as numpy.percentile
 *
 * entropy [matrices, T], visible [T] (causal: i + 1). scratch: matrices * T doubles. Without a row
 * that has n_i > 1 (T = 1): REASON_NO_ENTRIES. One NaN row makes all three NaN. The means are
 * summed in the order of the array. Allocates nothing. Any thread.
 * Source: Zhai et al. 2023, arXiv:2303.06296; metrics-and-theory A3.4.
 */
#ifndef CORE_METRIC_ATTENTION_H
#define CORE_METRIC_ATTENTION_H

#include "core/metric/value.h"
#include "core/real.h"

#include <stdint.h>

void attention_finish(const real *entropy,
                      size_t matrices,
                      size_t T,
                      const uint32_t *visible,
                      double *scratch,
                      metric_value out[]);

/* H of one row of n probabilities, in float64: the plain definition. */
double attention_row_entropy(const real *p, size_t n);

#endif
