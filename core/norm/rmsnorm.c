/* RMSNorm: r = (mean(x^2) + eps)^(-1/2), xh = x r, y = gain xh; mean over the last axis.
 *
 * Backward, with g = gain dy:  dx = r (g - xh mean(g xh)),  dgain = sum over rows of dy xh.
 *
 * Frozen, r is a constant (op norm):  dx = r g.
 *
 * stats: r in the second place. Source: Zhang & Sennrich 2019, arXiv:1910.07467; eps is ours.
 */
#include "core/norm/norm.h"

CLONES static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    real square = 0;
#pragma omp simd reduction(+ : square)
    for (size_t i = 0; i < n; i++) square += x[i] * x[i];
    stats[0] = 0, stats[1] = (real)(1 / sqrt((double)square / (double)n + eps));
}

CLONES static void apply_row(real *restrict y,
                             const real *stats,
                             const real *restrict x,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    const real *gain = p[NORM_GAIN];
    real r = stats[1];
    if (gain)
        for (size_t i = 0; i < n; i++) y[i] = x[i] * r * gain[i];
    else
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
    const real *gain = p[NORM_GAIN];
    real r = stats[1], dot = 0;
    if (gain) {
#pragma omp simd reduction(+ : dot)
        for (size_t i = 0; i < n; i++) dot += gain[i] * dy[i] * x[i];
    } else {
#pragma omp simd reduction(+ : dot)
        for (size_t i = 0; i < n; i++) dot += dy[i] * x[i];
    }
    real along = dot * r * r / (real)n;
#define TERM(g) (r * ((g)-x[i] * along))
    if (gain && base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + TERM(gain[i] * dy[i]);
    else if (gain)
        for (size_t i = 0; i < n; i++) dx[i] = TERM(gain[i] * dy[i]);
    else if (base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + TERM(dy[i]);
    else
        for (size_t i = 0; i < n; i++) dx[i] = TERM(dy[i]);
#undef TERM
}

CLONES static void frozen_row(real *dx,
                              const real *base,
                              const real *restrict dy,
                              const real *restrict x,
                              const real *stats,
                              const real *const p[NORM_PARAMS],
                              size_t n)
{
    (void)x;
    const real *gain = p[NORM_GAIN];
    real r = stats[1];
    for (size_t i = 0; i < n; i++) {
        real term = r * (gain ? gain[i] * dy[i] : dy[i]);
        dx[i] = base ? base[i] + term : term;
    }
}

CLONES static void param_row(double *const dp[NORM_PARAMS],
                             const real *restrict dy,
                             const real *restrict x,
                             const real *stats,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    (void)p;
    double *restrict dgain = dp[NORM_GAIN];
    real r = stats[1];
    for (size_t i = 0; i < n; i++) dgain[i] += (double)(dy[i] * (x[i] * r));
}

const norm norm_rmsnorm = {
    .entry = {.name = "rmsnorm",
              .summary = "y = gain x / sqrt(mean(x^2) + eps), over the features of a token",
              .source = "arXiv:1910.07467"},
    .has = 1 << NORM_GAIN,
    .law = NORM_LAW_RMS,
    .stats = stats_row,
    .apply = apply_row,
    .input = input_row,
    .frozen_input = frozen_row,
    .params = param_row,
};
