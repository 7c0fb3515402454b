/* Moments of a site: moments_add for each slab, moments_merge in a fixed order, moments_finish.
 *
 *   mean, var      over all N entries, var = mean((x - mean)^2)
 *   var_feat       variance over the features of one token, mean over tokens
 *   var_token      variance over the tokens of one slab, mean over features, mean over slabs:
 *                  ||X - 1 xbar'||_F^2/(T D)
 *   rms, max_abs   sqrt(mean(x^2)), max |x|; max_rms_ratio their ratio, REASON_ZERO if rms = 0
 *   kurtosis       m4/m2^2 - 3; REASON_ZERO if var < 1e-30 rms^2
 *   token_rms_*    of r_i = sqrt(mean_j x_ij^2) over all tokens of all slabs: min, max, median
 *                  (mean of the middle two), cv = population std/mean (REASON_ZERO if mean = 0)
 *   nonfinite      NaN and Inf entries
 *
 * Masked and non-finite entries are left out everywhere: a token's mean square is over the entries
 * it has; tokens and features without any are left out of the means over tokens and features.
 * Without a finite entry every moment is REASON_NO_ENTRIES, nonfinite still a number.
 *
 * moments_add reads a slab after slab_centre and writes token_sq [rows], the mean square of each
 * token (NaN for a token without entries). moments_finish reorders token_sq [n_tokens], the
 * concatenation over slabs. The merge is exact algebra, so grouping changes only rounding.
 * Allocates nothing. Any thread.
 * Source: Pebay 2008, SAND2008-6212 (merging).
 */
#ifndef CORE_METRIC_MOMENTS_H
#define CORE_METRIC_MOMENTS_H

#include "core/metric/slab.h"
#include "core/metric/value.h"

typedef struct moments {
    uint64_t n, nonfinite, tokens, slabs;
    double mean, m2, m3, m4; /* m_k = sum of (x - mean)^k */
    double sum_sq, max_abs;
    double var_feat_sum;  /* over tokens */
    double var_token_sum; /* over slabs */
} moments;

void moments_reset(moments *m);
void moments_add(moments *m, const slab *s, double *token_sq);
void moments_merge(moments *into, const moments *from);
void moments_finish(const moments *m, double *token_sq, size_t n_tokens, metric_value out[]);

#endif
