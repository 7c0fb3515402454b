/* The Gram matrix of one sequence, from which its singular values follow.
 *
 *   n = min(T, D); K = X X' if T <= D, else X'X; [n, n] row-major, of which the lower triangle
 *   (j <= i) is written.
 *
 * gram_of: with col_mean [D] not NULL, X - 1 col_mean' takes the place of X, subtracted entry by
 * entry, because forming it from K leaves no digits when tokens collapse.
 *
 * gram_pair: K and centred K of one slab (after slab_centre, not causal); either may be NULL. Where
 * at least a quarter of ||X||_F^2 is left after centring, the centred matrix is made from K and two
 * bits at most are lost: C K C with C = I - 11'/T, or X'X - T xbar xbar'. That saves a product.
 *
 * X is converted to float64 first. A sequence with non-finite entries gives NaN. work:
 * gram_work_bytes, K: gram_bytes, both 64-byte aligned. Calls cblas_dsyrk. Allocates nothing. Any
 * thread.
 * Forming K squares the condition number: singular values below sqrt(max(T, D) 2^-52) of the
 * largest are rounding noise (ranks.h sets them to 0).
 */
#ifndef CORE_METRIC_GRAM_H
#define CORE_METRIC_GRAM_H

#include "core/metric/slab.h"

#include <stddef.h>

size_t gram_n(size_t T, size_t D);
size_t gram_bytes(size_t T, size_t D);
size_t gram_work_bytes(size_t T, size_t D);
void gram_of(
    double *K, const real *x, size_t T, size_t D, size_t ld, const double *col_mean, void *work);

void gram_pair(double *K, double *centred, const slab *s, void *work);

#endif
