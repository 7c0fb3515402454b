/* Entries and neurons that stand out: X [T, D] of each sequence, means over sequences.
 *
 *   abs_top1..3       the three largest |x|, abs_median the median of |x|, over the T D entries
 *   abs_top1_token, abs_top1_feature  row and column of the largest |x| of all sequences, the first
 *                     of equal ones; REASON_ZERO where all are 0
 *   max_median_ratio  abs_top1/abs_median; REASON_ZERO where the median is 0 in every sequence
 *   massive_count     entries with |x| > 100 and |x| >= 1000 median, summed over sequences
 *   mmr               max_j |x_tj|/median_j |x_tj|, mean over all tokens whose median is not 0
 *   neuron_kurtosis   mean_j s_j^2/(mean_j s_j)^2, s_j = sum over all tokens of the batch of x_tj^2
 *
 * Medians are means of the middle two. A NaN or Inf makes all of them NaN. Of fewer entries than
 * three, abs_top3 is REASON_NO_ENTRIES. outlier_add writes col_sq [cols], the s_j of the sequence;
 * outlier_finish adds those of all sequences, [B, cols], into the first. work: rows cols doubles.
 * stream: what is not mmr or neuron_kurtosis is wanted too. Gaussian numbers have
 * mmr 3.90, 4.18, 4.53, 4.81, 5.10 at D = 64, 128, 256, 512, 1024 and neuron_kurtosis 1 + 2/(B T).
 * Allocates nothing. Any thread. Source: Sun et al. 2024, arXiv:2402.17762; He et al. 2024,
 * arXiv:2405.19279 and its code.
 */
#ifndef CORE_METRIC_OUTLIER_H
#define CORE_METRIC_OUTLIER_H

#include "core/metric/value.h"
#include "core/real.h"

#include <stdbool.h>
#include <stdint.h>

enum { OUTLIER_TOP = 3 };

typedef struct outlier {
    uint64_t sequences, with_ratio, massive, with_mmr;
    uint64_t with_top[OUTLIER_TOP];
    double top_sum[OUTLIER_TOP], median_sum, ratio_sum, mmr_sum;
    double most; /* largest |x| so far, and where it is */
    size_t most_token, most_feature;
    bool bad; /* an entry is not finite */
} outlier;

void outlier_add(outlier *o,
                 const real *x,
                 size_t rows,
                 size_t cols,
                 size_t ld,
                 bool stream,
                 double *col_sq,
                 double *work);
void outlier_merge(outlier *into, const outlier *from);
void outlier_finish(
    const outlier *o, bool stream, double *col_sq, size_t batch, size_t cols, metric_value out[]);

#endif
