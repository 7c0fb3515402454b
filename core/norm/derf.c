/* Derf: u = alpha x + s, y = gain erf(u) + bias; alpha and s learned numbers. No statistic, no eps.
 *
 * Backward, with g = gain dy and k = 2/sqrt(pi) exp(-u^2):  dx = alpha k g,  dalpha = sum k g x,
 *   ds = sum k g,  dgain = sum over rows of dy erf(u),  dbias = sum over rows of dy.
 *
 * Source: arXiv:2512.10938; alpha 0.5 and s 0 at the start from memory.
 */
#include "core/exp_down.h"
#include "core/norm.h"

static const real two_over_root_pi = R(1.1283791670955126);

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
    real alpha = p[NORM_ALPHA][0], shift = p[NORM_SHIFT][0];
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = ERF(alpha * x[i] + shift);
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
    real alpha = p[NORM_ALPHA][0], shift = p[NORM_SHIFT][0];
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real u = alpha * x[i] + shift, k = two_over_root_pi * exp_down(-u * u);
        real d = alpha * k * (gain ? gain[i] * dy[i] : dy[i]);
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
    real alpha = p[NORM_ALPHA][0], shift = p[NORM_SHIFT][0];
    double along = 0, sum = 0;
#pragma omp simd reduction(+ : along, sum)
    for (size_t i = 0; i < n; i++) {
        real u = alpha * x[i] + shift;
        real kg = two_over_root_pi * exp_down(-u * u) * (gain ? gain[i] * dy[i] : dy[i]);
        along += (double)(kg * x[i]);
        sum += (double)kg;
        if (dgain) {
            dgain[i] += (double)(dy[i] * ERF(u));
            dbias[i] += (double)dy[i];
        }
    }
    dp[NORM_ALPHA][0] += along;
    dp[NORM_SHIFT][0] += sum;
}

const norm norm_derf = {
    .entry = {.name = "derf",
              .summary = "y = gain erf(alpha x + s) + bias, alpha and s learned numbers",
              .source = "arXiv:2512.10938"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS | 1 << NORM_ALPHA | 1 << NORM_SHIFT,
    .pointwise = true,
    .stats = stats_row,
    .apply = apply_row,
    .input = input_row,
    .params = param_row,
};
