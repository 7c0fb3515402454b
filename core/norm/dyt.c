/* DyT: t = tanh(alpha x), y = gain t + bias; alpha one learned number. Each entry by itself: no
 * statistic, no eps.
 *
 * Backward, with g = gain dy:  dx = alpha (1 - t^2) g,  dalpha = sum g (1 - t^2) x,
 *   dgain = sum over rows of dy t,  dbias = sum over rows of dy.
 *
 * Source: Zhu et al. 2025, arXiv:2503.10622.
 */
#include "core/norm.h"

static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    (void)x, (void)n, (void)eps;
    stats[0] = stats[1] = 0;
}

CLONES static void apply_row(real *restrict y,
                             const real *stats,
                             const real *restrict x,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    (void)stats;
    const real *gain = p[NORM_GAIN], *bias = p[NORM_BIAS];
    real alpha = p[NORM_ALPHA][0];
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = TANH(alpha * x[i]);
    if (gain)
        for (size_t i = 0; i < n; i++) y[i] = gain[i] * y[i] + bias[i];
}

CLONES static void input_row(real *dx,
                             const real *base,
                             const real *restrict dy,
                             const real *restrict x,
                             const real *stats,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    (void)stats;
    const real *gain = p[NORM_GAIN];
    real alpha = p[NORM_ALPHA][0];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real t = TANH(alpha * x[i]);
        real d = alpha * (1 - t * t) * (gain ? gain[i] * dy[i] : dy[i]);
        dx[i] = base ? base[i] + d : d;
    }
}

CLONES static void param_row(double *const dp[NORM_PARAMS],
                             const real *restrict dy,
                             const real *restrict x,
                             const real *stats,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    (void)stats;
    const real *gain = p[NORM_GAIN];
    double *restrict dgain = dp[NORM_GAIN];
    double *restrict dbias = dp[NORM_BIAS];
    real alpha = p[NORM_ALPHA][0];
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        real t = TANH(alpha * x[i]), g = gain ? gain[i] * dy[i] : dy[i];
        sum += (double)(g * (1 - t * t) * x[i]);
        if (dgain) {
            dgain[i] += (double)(dy[i] * t);
            dbias[i] += (double)dy[i];
        }
    }
    dp[NORM_ALPHA][0] += sum;
}

const norm norm_dyt = {
    .entry = {.name = "dyt",
              .summary = "y = gain tanh(alpha x) + bias, alpha one learned number",
              .source = "arXiv:2503.10622"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS | 1 << NORM_ALPHA,
    .pointwise = true,
    .stats = stats_row,
    .apply = apply_row,
    .input = input_row,
    .params = param_row,
};
