/* How alike the stream is at two layers.
 *
 * similarity_angle: arccos(x.y/(||x|| ||y||))/pi of two vectors, from 0 to 1; above a cosine of
 * 0.999 by 2 asin(||u - v||/2)/pi with u, v the unit vectors, because arccos loses half the digits
 * there. Negative where a vector is zero; NaN carries.
 *
 * Linear CKA between X and Y [n, D], n tokens of one sequence, by the unbiased HSIC_1, which needs
 * n >= 4. Of K = X X' it needs what U-centring leaves,
 *
 *   K~_ij = K_ij - r_i/(n - 2) - r_j/(n - 2) + r/((n - 1)(n - 2)),  i != j,
 *
 * r_i the sums of the rows and r that of all without the diagonal; HSIC_1(K, L) = sum_{i != j}
 * K~_ij L~_ij/(n (n - 3)), which is the three-term form without its cancellation, and is not
 * changed by a vector added to all tokens: their mean is subtracted first. CKA of several
 * sequences: the sums of HSIC_1 over sequences before the ratio (Nguyen et al. 2021,
 * arXiv:2010.15327).
 *
 * similarity_gram writes K~ below the diagonal, packed: similarity_pairs(n) doubles. Of T rows it
 * takes the n that are evenly spaced, row i T/n. work: similarity_work(n, D) doubles. Calls
 * cblas_dsyrk. similarity_product: the sum over pairs i > j. Allocates nothing. Any thread.
 * Source: Gromov et al. 2024, arXiv:2403.17887; Kornblith et al. 2019, arXiv:1905.00414; Song et
 * al. 2012 (HSIC_1).
 */
#ifndef CORE_METRIC_SIMILARITY_H
#define CORE_METRIC_SIMILARITY_H

#include "core/real.h"

enum { SIMILARITY_TOKENS = 128, SIMILARITY_LEAST = 4 };

double similarity_angle(const real *x, const real *y, size_t n);
size_t similarity_pairs(size_t n);
size_t similarity_work(size_t n, size_t cols);
void similarity_gram(
    double *K, const real *x, size_t rows, size_t cols, size_t ld, size_t n, double *work);
double similarity_product(const double *K, const double *other, size_t n);

#endif
