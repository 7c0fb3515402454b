/* Ranks of a sequence X [T, D] from the eigenvalues of its Gram matrix, and their mean.
 *
 * ranks_of: eig [n] ascending, n = min(T, D); eps of the run's precision. With l_i = eig_i, set to
 * 0 where it is below max(T, D) 2^-52 l_1 (noise of forming the matrix), and s_i = sqrt(l_i):
 *
 *   stable_rank                sum l/l_1
 *   participation_rank         (sum l)^2/sum l^2
 *   effective_rank             exp(-sum p ln p), p = s/sum s; 0 ln 0 = 0
 *   effective_rank_energy      the same with p = l/sum l
 *   numerical_rank             #{s > max(T, D) eps s_1}
 *   numerical_rank_1e3, _1e2   #{s > 1e-3 s_1}, #{s > 1e-2 s_1}
 *   anisotropy                 l_1/sum l
 *   rank1_residual             sqrt(sum of the others/sum l)
 *
 * out has them in this order. Returns REASON_NONE, or REASON_ZERO when l_1 <= 0; NaN eigenvalues
 * give NaN in out and REASON_NONE.
 *
 * ranks: the mean over sequences. Zero sequences are left out; when all are: REASON_ZERO, or, with
 * centred and T = 1, REASON_ONE_TOKEN. One NaN sequence makes the mean NaN.
 * Allocates nothing. Any thread.
 * Source: the definitions above. Setting noise to zero is ours: without it a singular value of
 * zero (centring makes one) enters as up to 1e-8 of the largest, and effective_rank is off by 1e-8.
 */
#ifndef CORE_METRIC_RANKS_H
#define CORE_METRIC_RANKS_H

#include "core/metric/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RANKS_COUNT = 9 };

reason ranks_of(const double *eig, int n, size_t T, size_t D, double eps, double out[RANKS_COUNT]);

typedef struct ranks {
    uint64_t sequences, nonzero;
    size_t tokens;
    double sum[RANKS_COUNT];
} ranks;

void ranks_reset(ranks *r);
void ranks_add(ranks *r, const double *eig, int n, size_t T, size_t D, double eps);
void ranks_merge(ranks *into, const ranks *from);
void ranks_finish(const ranks *r, bool centred, metric_value out[]);

#endif
