/* Norms of each entry by itself, y = gain f(u) + bias, u = alpha x + s with learned numbers alpha
 * and, where the norm has it, s; no statistic, no eps. For a file that defines, as macros,
 * CURVE(u), f(u), and SLOPE(u), its derivative.
 *
 * Backward, with g = gain dy:  dx = alpha f'(u) g,  dalpha = sum f'(u) g x,  ds = sum f'(u) g,
 *   dgain = sum over rows of dy f(u),  dbias = sum over rows of dy.
 */
#include "core/norm/norm.h"

static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    (void)x, (void)n, (void)eps;
    stats[0] = stats[1] = 0;
}

#define SHIFT(p) ((p)[NORM_SHIFT] ? (p)[NORM_SHIFT][0] : 0)

CLONES static void apply_row(real *restrict y,
                             const real *stats,
                             const real *restrict x,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    (void)stats;
    const real *gain = p[NORM_GAIN], *bias = p[NORM_BIAS];
    real alpha = p[NORM_ALPHA][0], shift = SHIFT(p);
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = CURVE(alpha * x[i] + shift);
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
    real alpha = p[NORM_ALPHA][0], shift = SHIFT(p);
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real d = alpha * SLOPE(alpha * x[i] + shift) * (gain ? gain[i] * dy[i] : dy[i]);
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
    real alpha = p[NORM_ALPHA][0], shift = SHIFT(p);
    double along = 0, sum = 0;
#pragma omp simd reduction(+ : along, sum)
    for (size_t i = 0; i < n; i++) {
        real u = alpha * x[i] + shift, d = SLOPE(u) * (gain ? gain[i] * dy[i] : dy[i]);
        along += (double)(d * x[i]);
        sum += (double)d;
        if (dgain) {
            dgain[i] += (double)(dy[i] * CURVE(u));
            dbias[i] += (double)dy[i];
        }
    }
    dp[NORM_ALPHA][0] += along;
    if (dp[NORM_SHIFT]) dp[NORM_SHIFT][0] += sum;
}

#define POINTWISE_FUNCTIONS                                                                        \
    .pointwise = true, .stats = stats_row, .apply = apply_row, .input = input_row,                 \
    .params = param_row
