/* How much attention matrices mix: ranks of A [T, T], and what is left of differences between
 * tokens.
 *
 *   attn_stable_rank, attn_participation_rank, attn_effective_rank
 *                               ranks.h of A, mean over heads and sequences
 *   attn_contraction            kappa = ||C A C||_2, C = I - 11'/T: the largest factor by which one
 *                               head keeps a deviation from the token mean; mean over both
 *   attn_contraction_mean       ||C A C||_F/sqrt(T - 1): the same for a random deviation
 *   attn_path_contraction       ||C P_l C||_2, P_l = A_l .. A_1 of the blocks so far, A their mean
 *                               over heads, by sequence; mean over sequences
 *
 * A row-stochastic (of softmax), 0 where it is masked. Then C A C = C A, so that both spectra come
 * from one reduction (gram_turned, spectrum_pairs); where simulated rounding makes row sums differ
 * from 1, what is measured is C A. They are exact: no iteration that could stop early; kappa is good
 * to a few T 2^-52 of itself. Ranks have the floor of ranks.h. The product is kept as
 * C A_l C .. C A_1 C, which is the same and keeps its digits however small it becomes.
 *
 * T = 1: REASON_ONE_TOKEN but for the ranks. A matrix with NaN gives NaN, and every product after
 * it. contraction_add fills c from one sequence: A [heads, T, T]; path [T, T] is what the layer
 * before left, begins with first, and NULL when it is not wanted. work: contraction_work_bytes(T),
 * 64-byte aligned. 2 T^3 flops per Gram matrix and product, 4/3 T^3 per reduction. Calls
 * cblas_dsyrk and cblas_dgemm. Allocates nothing. Any thread; one sequence's layers in order.
 * Source: Dong et al. 2021, arXiv:2103.03404; Wu et al. 2024, arXiv:2405.18781.
 */
#ifndef CORE_METRIC_CONTRACTION_H
#define CORE_METRIC_CONTRACTION_H

#include "core/metric/value.h"
#include "core/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTRACTION_RANKS = 3 };

typedef struct contraction {
    uint64_t matrices, sequences;
    size_t tokens;
    double ranks[CONTRACTION_RANKS], largest, average, path; /* sums */
} contraction;

size_t contraction_work_bytes(size_t T);
void contraction_add(
    contraction *c, const real *A, size_t heads, size_t T, double *path, bool first, void *work);
void contraction_merge(contraction *into, const contraction *from);
void contraction_finish(const contraction *c, metric_value out[]);

#endif
