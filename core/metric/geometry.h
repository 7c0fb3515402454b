/* How alike the tokens of a sequence are: each value is the mean over sequences.
 *
 *   cos_mean       mean over i < j of x_i.x_j/(||x_i|| ||x_j||), by (||sum u_i||^2 - n)/(n(n-1)),
 *                  u_i = x_i/||x_i||, over the n tokens that are not zero
 *   token_corr     (||1'X||^2 - ||X||_F^2)/((T-1) ||X||_F^2)
 *   residual_fro   ||X - 1 xbar'||_F/||X||_F, xbar the token mean, subtracted before squaring
 *   residual_1inf  the same ratio in sqrt(||.||_1 ||.||_inf), which are the largest column sum
 *                  and the largest row sum of magnitudes
 *
 *   zero_tokens    tokens that are zero, of all sequences
 *   residual_floor share of the sequences whose residual_fro is at most 2 eps of the run's
 *                  precision: what is left there is rounding
 *
 * T = 1: REASON_ONE_TOKEN. A zero sequence is left out of the mean; when all are: REASON_ZERO (for
 * cos_mean, sequences with fewer than two tokens that are not zero). One sequence with a non-finite
 * entry makes all four NaN. geometry_add reads a slab (not causal) after slab_centre.
 * Allocates nothing. Any thread.
 * Source: Dong et al. 2021, arXiv:2103.03404 (token mean as in the authors' code, instead of the
 * argmin of the mixed norm); Noci et al. 2022, arXiv:2206.03126.
 */
#ifndef CORE_METRIC_GEOMETRY_H
#define CORE_METRIC_GEOMETRY_H

#include "core/metric/slab.h"
#include "core/metric/value.h"

typedef struct geometry {
    uint64_t sequences, nonzero, with_cosine; /* how many entered each mean */
    uint64_t zero_tokens, at_floor;
    size_t tokens;
    double cos_sum, corr_sum, fro_sum, mixed_sum;
} geometry;

void geometry_reset(geometry *g);
void geometry_add(geometry *g, const slab *s);
void geometry_merge(geometry *into, const geometry *from);
void geometry_finish(const geometry *g, metric_value out[]);

#endif
