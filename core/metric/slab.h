/* The two passes over one sequence from which moments, gradients and geometry are finished.
 *
 * A slab is X [rows, cols], row i = token i, row-major with ld entries between rows: one sequence
 * at one site, one head's [T, width] part of it, or one [T, T] attention matrix. With causal, entry
 * (i, j) counts only if j <= i, with window > 0 only if |i - j| < window; masked entries change no
 * bit. Entries that are NaN or Inf are counted and otherwise treated like masked ones: sums and
 * counts leave them out.
 *
 * slab_sums is the first pass: sums of x, x^2 and |x| by row and by column. slab_centre is the
 * second: central moments about the explicit mean, by matrix, row and column, and what geometry
 * needs. Every sum is float64. slab_norms takes the place of the first pass where no second
 * follows, as for gradients: only row_n, row_sq, col_n, col_sum, max_abs and the counts are there.
 *
 *   row_* [rows], col_* [cols]
 *   row_n, col_n      entries that count (visible and finite)
 *   row_sum, row_sq, row_abs, col_sum, col_abs
 *   central           sums of (x - mean)^2, ^3, ^4 over all entries, mean = sum/n
 *   row_var           population variance of the row; 0 where row_n is 0
 *   col_var           sum over columns with col_n > 0 of the population variance of the column
 *   row_residual, col_residual   sums of |x - col_mean|; residual_sq the sum of its squares
 *   col_unit          sum over rows with row_sq > 0 of x/sqrt(row_sq)
 *
 * memory: slab_bytes(rows, cols), 64-byte aligned; it belongs to the caller and the slab borrows it
 * and x. Allocates nothing. Any thread. The order of summation depends on rows, cols, causal and on
 * whether an entry is not finite, and on the width of the processor's registers; on one machine
 * equal input gives equal bits.
 */
#ifndef CORE_METRIC_SLAB_H
#define CORE_METRIC_SLAB_H

#include "core/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct slab {
    const real *x;
    size_t rows, cols, ld;
    bool causal, masked; /* masked: entries may not count, and are looked at one by one */
    bool norms;          /* of slab_norms */
    size_t window;
    int width; /* of the kernels: 8 with AVX-512, else 4 */
    uint64_t n, nonfinite;
    double max_abs, sum, sum_sq;
    double *row_n, *row_sum, *row_sq, *row_abs;
    double *col_n, *col_sum, *col_abs;
    double mean, central[3], col_var, residual_sq;
    double *row_var, *row_residual;
    double *col_mean, *col_residual, *col_unit;
    double *row_mean, *row_scale, *col_weight; /* what the second pass works with */
} slab;

size_t slab_bytes(size_t rows, size_t cols);
void slab_sums(
    slab *s, const real *x, size_t rows, size_t cols, size_t ld, bool causal, void *memory);
/* Of a square matrix with a window; 0: none. */
void slab_sums_window(
    slab *s, const real *x, size_t rows, size_t ld, bool causal, size_t window, void *memory);
/* window: 0, or that of a square matrix. */
void slab_norms(slab *s,
                const real *x,
                size_t rows,
                size_t cols,
                size_t ld,
                bool causal,
                size_t window,
                void *memory);
/* All use the width the processor is for; tests ask for the other. */
void slab_sums_width(slab *s,
                     const real *x,
                     size_t rows,
                     size_t cols,
                     size_t ld,
                     bool causal,
                     size_t window,
                     void *memory,
                     int width);
void slab_centre(slab *s); /* after slab_sums, on unchanged x */

#endif
