/* L1 normalization, for a file that defines L1_CONSTANT, c:
 *
 *   mu = mean(x),  s = c mean|x - mu| + eps,  xh = (x - mu)/s,  y = gain xh + bias
 *
 * Backward, with g = gain dy, sg_i = sign(x_i - mu), sign(0) = 0:
 *   dx_i = (g_i - mean(g) - c mean(g xh) (sg_i - mean(sg)))/s,
 *   dgain = sum over rows of dy xh,  dbias = sum over rows of dy.
 *
 * stats: mu, 1/s.
 */
#include "core/norm/centred_kernel.h"

CLONES static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    real sum = 0, away = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += x[i];
    real mu = sum / (real)n;
#pragma omp simd reduction(+ : away)
    for (size_t i = 0; i < n; i++) away += x[i] < mu ? mu - x[i] : x[i] - mu;
    stats[0] = mu, stats[1] = (real)(1 / (L1_CONSTANT * (double)away / (double)n + eps));
}

static inline __attribute__((always_inline)) real sign_of(real x)
{
    return (real)((x > 0) - (x < 0));
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
    real mu = stats[0], r = stats[1], sum = 0, dot = 0, signs = 0;
#pragma omp simd reduction(+ : sum, dot, signs)
    for (size_t i = 0; i < n; i++) {
        real g = gain ? gain[i] * dy[i] : dy[i];
        sum += g, dot += g * (x[i] - mu), signs += sign_of(x[i] - mu);
    }
    real mean = sum / (real)n, along = (real)L1_CONSTANT * dot * r / (real)n;
    real mean_sign = signs / (real)n;
    for (size_t i = 0; i < n; i++) {
        real g = gain ? gain[i] * dy[i] : dy[i];
        real d = r * (g - mean - along * (sign_of(x[i] - mu) - mean_sign));
        dx[i] = base ? base[i] + d : d;
    }
}

#define L1_FUNCTIONS                                                                               \
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS, .stats = stats_row, .apply = apply_row,                \
    .input = input_row, .frozen_input = frozen_row, .params = param_row
