/* Eigenvalues of many small symmetric matrices at once.
 *
 * spectrum_lanes: gram[0..lanes-1] are [n, n] row-major, lower triangle read; 1 <= lanes <= 16.
 * eigenvalues[k] [n] gets those of matrix k, ascending. Each matrix is worked on in a SIMD lane, in
 * groups of eight (AVX-512 and n < 300) or four. Two groups share the last stage, so 16 cost less
 * than twice 8. No lane sees another: the bits of a result do not depend on its lane, on the other
 * matrices or on how many there are. A matrix with a NaN or Inf gives n NaN. Always ends: at most
 * 30 n iterations. |lambda - exact| is a small multiple of n eps lambda_max, as with LAPACK.
 * scratch: spectrum_scratch_bytes(n), 64-byte aligned. Allocates nothing. Any thread, one task per
 * call.
 *
 * spectrum_pairs: two spectra of each matrix for one reduction, 1 <= lanes <= 8. first[k] [n] are
 * the eigenvalues of matrix k. second[k] [n] are, with corner NULL, those of the matrix without its
 * last row and column, and a 0; else those of the matrix with corner[k] >= 0 added to its last
 * diagonal entry. The reduction leaves the last basis vector alone, so that both are tridiagonal
 * matrices that differ in their last entry. Each spectrum is exact to its own largest eigenvalue,
 * the second without corner also where the last row is larger by up to 1e150. gram_turned makes
 * such matrices.
 *
 * Source: Householder reduction as in EISPACK tred1, with the rank-two update carried into the
 * next product, so that each step touches the matrix once; root-free QL of Pal, Walker and Kahan as
 * in LAPACK dsterf.
 */
#ifndef CORE_METRIC_SPECTRUM_H
#define CORE_METRIC_SPECTRUM_H

#include "core/metric/ranks.h"

#include <stddef.h>

enum { SPECTRUM_LANES = 16, SPECTRUM_PAIRS = 8 };

size_t spectrum_scratch_bytes(int n);
void spectrum_lanes(
    const double *const *gram, int lanes, int n, double *const *eigenvalues, void *scratch);

void spectrum_pairs(const double *const *gram,
                    const double *corner,
                    int lanes,
                    int n,
                    double *const *first,
                    double *const *second,
                    void *scratch);

/* Both choose the width, 8 (AVX-512) or 4, by processor and n; tests ask for either. */
void spectrum_lanes_width(const double *const *gram,
                          int lanes,
                          int n,
                          double *const *eigenvalues,
                          void *scratch,
                          int width);
void spectrum_pairs_width(const double *const *gram,
                          const double *corner,
                          int lanes,
                          int n,
                          double *const *first,
                          double *const *second,
                          void *scratch,
                          int width);

#endif
