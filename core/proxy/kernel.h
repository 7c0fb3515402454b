/* The arithmetic of the proxies, in double. Any thread; allocates nothing.
 *
 * proxy_correlate: rows [n, m] become R [n, n], the correlation of row i with row j over the m
 * columns: each row loses its mean and gets length 1 (in place), R = rows rows'. Returns how many
 * rows are constant: these are left as zeros. Lower triangle.
 *
 * proxy_score: of the eigenvalues v of such an R, negative ones taken as 0,
 *   S = -sum_i [ln(v_i + k) + 1/(v_i + k)],  k = 1e-5.
 * S = -n at R = I, which is its maximum; an eigenvalue that is null costs 1/k = 1e5, so S counts
 * them. nulls: eigenvalues below k.
 * Source: Serianni & Kalita, arXiv:2306.00288, as released.
 *
 * proxy_cosine: 1 - sum over i != j of |cos(row i, row j)|^(1/20) / (2 (n^2 - n)), rows as they
 * are. ZERO when a row is, ONE_SEQUENCE when n is 1. rows get length 1 (in place), R is [n, n].
 *
 * proxy_logdet: ln det K of a positive semidefinite K [n, n] (lower triangle, destroyed), by
 * Cholesky. SINGULAR when a pivot is not above n 2^-52 of the largest diagonal entry.
 *
 * proxy_nuclear: sum of the singular values of a matrix with larger side `larger`, from the
 * eigenvalues of its Gram matrix. Those below larger 2^-52 of the top are rounding noise and 0, as
 * in ranks.h: the singular values are off by up to 1.5e-8 sqrt(larger) s_1 each.
 */
#ifndef CORE_PROXY_KERNEL_H
#define CORE_PROXY_KERNEL_H

#include "core/metric/value.h"

#include <stddef.h>

typedef struct proxy_spectrum {
    double score; /* S */
    int nulls;
} proxy_spectrum;

int proxy_correlate(double *rows, size_t n, size_t m, double *R);
proxy_spectrum proxy_score(const double *eigenvalues, int n);
metric_value proxy_cosine(double *rows, size_t n, size_t m, double *R);
metric_value proxy_logdet(double *K, size_t n);
double proxy_nuclear(const double *eigenvalues, int n, size_t larger);

#endif
