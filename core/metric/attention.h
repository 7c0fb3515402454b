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
 * Source: Zhai et al. 2023, arXiv:2303.06296.
 */
#ifndef CORE_METRIC_ATTENTION_H
#define CORE_METRIC_ATTENTION_H

#include "core/metric/slab.h"
#include "core/metric/value.h"
#include "core/real.h"

#include <stdint.h>

void attention_finish(const real *entropy,
                      size_t matrices,
                      size_t T,
                      const uint32_t *visible,
                      double *scratch,
                      metric_value out[]);

/* What the entries of rows say, from slabs after slab_centre (one per head, with their mask); rows
 * with fewer than two visible entries are left out. n_i: visible keys of row i.
 *
 *   of A       attn_participation    mean_i n_i sum_j A_ij^2; for logits of standard deviation
 *                                    sigma near exp(sigma^2), n_i with all on one key
 *   of logits  logit_scale           their standard deviation sigma, over all rows at once
 *              logit_scale_centred   sqrt(mean_i Var_j s_ij)
 *              logit_max             the largest
 *
 * Population variances. attention_rows_finish fills all four; what is meant depends on whose rows
 * they were. No such row: REASON_NO_ENTRIES; an entry that is not finite: NaN.
 * Source: Giorlandino & Goldt 2025, arXiv:2505.24333.
 */
typedef struct attention_rows {
    uint64_t rows, nonfinite;
    double n, mean, m2; /* of all entries of these rows */
    double var_sum, participation_sum, max;
} attention_rows;

void attention_rows_reset(attention_rows *r);
void attention_rows_add(attention_rows *r, const slab *s);
void attention_rows_merge(attention_rows *into, const attention_rows *from);
void attention_rows_finish(const attention_rows *r, metric_value out[]);

/* H of one row of n probabilities, in float64: the plain definition. */
double attention_row_entropy(const real *p, size_t n);

#endif
