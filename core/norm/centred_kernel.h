/* What norms y = gain (x - mu) r + bias have in common; stats: mu, r. For layernorm and the L1
 * norms, which differ in r and so in the gradient of their input.
 *
 *   dgain = sum over rows of dy (x - mu) r,  dbias = sum over rows of dy
 *   frozen, r is a constant, g = gain dy:  dx = r (g - mean(g))
 */
#include "core/norm/norm.h"

CLONES static void apply_row(real *restrict y,
                             const real *stats,
                             const real *restrict x,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    const real *gain = p[NORM_GAIN], *bias = p[NORM_BIAS];
    real mu = stats[0], r = stats[1];
    if (gain && bias)
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - mu) * r * gain[i] + bias[i];
    else if (gain)
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - mu) * r * gain[i];
    else
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - mu) * r;
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
    real r = stats[1], sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += gain ? gain[i] * dy[i] : dy[i];
    real mean = sum / (real)n;
    for (size_t i = 0; i < n; i++) {
        real term = r * ((gain ? gain[i] * dy[i] : dy[i]) - mean);
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
    double *restrict dbias = dp[NORM_BIAS];
    real mu = stats[0], r = stats[1];
    for (size_t i = 0; i < n; i++) {
        dgain[i] += (double)(dy[i] * ((x[i] - mu) * r));
        dbias[i] += (double)dy[i];
    }
}
