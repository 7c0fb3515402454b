/* Unit length: y = x/||x||, over the last axis; no eps, no parameters.
 *
 * Backward:  dx = (dy - y (y.dy))/||x||.
 *
 * stats: 1/||x|| in the second place. A row of zeros gives NaN: a result.
 * Source: Loshchilov et al. 2024, arXiv:2410.01131 (justnorm of its code).
 */
#include "core/norm/norm.h"

CLONES static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    (void)eps;
    double square = 0;
#pragma omp simd reduction(+ : square)
    for (size_t i = 0; i < n; i++) square += (double)x[i] * (double)x[i];
    stats[0] = 0, stats[1] = (real)(1 / sqrt(square));
}

CLONES static void apply_row(real *restrict y,
                             const real *stats,
                             const real *restrict x,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    (void)p;
    real r = stats[1];
    for (size_t i = 0; i < n; i++) y[i] = x[i] * r;
}

CLONES static void input_row(real *dx,
                             const real *base,
                             const real *restrict dy,
                             const real *restrict x,
                             const real *stats,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    (void)p;
    real r = stats[1], dot = 0;
#pragma omp simd reduction(+ : dot)
    for (size_t i = 0; i < n; i++) dot += dy[i] * x[i];
    real along = dot * r * r;
    if (base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + r * (dy[i] - x[i] * along);
    else
        for (size_t i = 0; i < n; i++) dx[i] = r * (dy[i] - x[i] * along);
}

const norm norm_l2norm = {
    .entry = {.name = "l2norm",
              .summary = "y = x / ||x||, over the features of a token",
              .source = "arXiv:2410.01131"},
    .law = NORM_LAW_LENGTH,
    .stats = stats_row,
    .apply = apply_row,
    .input = input_row,
};
