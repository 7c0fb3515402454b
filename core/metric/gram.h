/* The Gram matrix of one sequence, from which its singular values follow.
 *
 *   n = min(T, D); K = X X' if T <= D, else X'X; [n, n] row-major, of which the lower triangle
 *   (j <= i) is written.
 *
 * gram_of: with col_mean [D] not NULL, X - 1 col_mean' takes the place of X, subtracted entry by
 * entry, because forming it from K leaves no digits when tokens collapse.
 *
 * gram_turned: one matrix that holds the spectra of X and of the centred CX, C = I - 11'/T, and
 * from which spectrum_pairs takes both for the work of one. It reads a slab after slab_centre.
 *
 *   T <= D   HX (HX)', H the reflection that takes 1/sqrt(T) to the last unit vector e: the
 *            spectrum is that of X; without its last row and column it is (but for a 0) that of
 *            CX, because H C H = I - e e'. The rows of H X are (CX)_i + (CX)_T/(sqrt(T) - 1), and
 *            sqrt(T) xbar': made from explicitly centred ones, so that the small block keeps all
 *            its digits. Returns 0.
 *   T > D    H (CX)'CX H, H the reflection that takes xbar to ||xbar|| e: its spectrum is that of
 *            CX; with the number returned, T ||xbar||^2, added to the last diagonal entry it is
 *            that of X, X'X = (CX)'CX + T xbar xbar'.
 *
 * X is converted to float64 first. A sequence with non-finite entries gives NaN. work:
 * gram_work_bytes, K: gram_bytes, both 64-byte aligned. Allocates nothing. Any thread. Products and
 * sums are float64, in an order that depends on T, D and the width of the processor's registers.
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

double gram_turned(double *K, const slab *s, void *work);

/* Both use the width the processor is for; tests ask for the other. */
void gram_of_width(double *K,
                   const real *x,
                   size_t T,
                   size_t D,
                   size_t ld,
                   const double *col_mean,
                   void *work,
                   int width);
double gram_turned_width(double *K, const slab *s, void *work, int width);

#endif
