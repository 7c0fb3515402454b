/* The Gram matrix of one sequence, from which its singular values follow.
 *
 *   n = min(T, D); K = X X' if T <= D, else X'X; [n, n] row-major, of which the lower triangle
 *   (j <= i) is written. With col_mean [D] not NULL, X - 1 col_mean' takes the place of X:
 * subtracted entry by entry, because forming it from K has no digits left when tokens collapse.
 *
 * gram_pair: K of X and centred K of the same slab (after slab_centre, not causal); either may be
 * NULL. Where at least a quarter of ||X||^2 is left after centring, two digits at most are lost by
 * the short way, C K C with C = I - 11'/T (X'X - T xbar xbar' if T > D), which saves a product.
 *
 * X [T, D] is converted to float64 before the product. A sequence with non-finite entries gives
 * NaN. gram_work_bytes is the size of work (64-byte aligned), gram_bytes of K. Calls cblas_dsyrk.
 * Allocates nothing. Any thread.
 * Forming K squares the condition number: singular values below sqrt(max(T, D) eps) of the largest
 * are rounding noise (spectrum.h sets them to 0).
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
