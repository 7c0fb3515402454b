/* The Gram matrix of one sequence, from which its singular values follow.
 *
 *   n = min(T, D); K = X X' if T <= D, else X'X; [n, n] row-major, of which the lower triangle
 *   (j <= i) is written. With col_mean [D] not NULL, X - 1 col_mean' takes the place of X:
 * subtracted entry by entry, because forming it from K has no digits left when tokens collapse.
 *
 * X [T, D] is converted to float64 before the product. A sequence with non-finite entries gives
 * NaN. gram_work_bytes is the size of work (64-byte aligned), gram_bytes of K. Calls cblas_dsyrk.
 * Allocates nothing. Any thread.
 * Forming K squares the condition number: singular values below sqrt(max(T, D) eps) of the largest
 * are rounding noise (spectrum.h sets them to 0).
 */
#ifndef CORE_METRIC_GRAM_H
#define CORE_METRIC_GRAM_H

#include "core/real.h"

#include <stddef.h>

size_t gram_n(size_t T, size_t D);
size_t gram_bytes(size_t T, size_t D);
size_t gram_work_bytes(size_t T, size_t D);
void gram_of(
    double *K, const real *x, size_t T, size_t D, size_t ld, const double *col_mean, void *work);

#endif
