/* ScaleNorm: y = g x / max(||x||, eps), g one learned number that starts at sqrt(n).
 *
 * Backward, with u = x/||x||:  dx = g/||x|| (dy - u (u.dy)),  dg = sum over rows of u.dy. Below eps
 * the divisor is a constant: dx = g dy/eps. Frozen it always is (op norm).
 *
 * stats: 0 where the divisor is clamped, else 1; 1/max(||x||, eps).
 * Source: Nguyen & Salazar 2019, arXiv:1910.05895.
 */
#include "core/norm/norm.h"

CLONES static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    double square = 0;
#pragma omp simd reduction(+ : square)
    for (size_t i = 0; i < n; i++) square += (double)x[i] * (double)x[i];
    double length = sqrt(square);
    bool clamped = length < eps;
    stats[0] = clamped ? 0 : 1, stats[1] = (real)(1 / (clamped ? eps : length));
}

static real gain_of(const real *const p[NORM_PARAMS])
{
    return p[NORM_GAIN] ? p[NORM_GAIN][0] : 1;
}

CLONES static void apply_row(real *restrict y,
                             const real *stats,
                             const real *restrict x,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    real factor = stats[1] * gain_of(p);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * factor;
}

CLONES static real dot_row(const real *restrict a, const real *restrict b, size_t n)
{
    real dot = 0;
#pragma omp simd reduction(+ : dot)
    for (size_t i = 0; i < n; i++) dot += a[i] * b[i];
    return dot;
}

CLONES static void input_row(real *dx,
                             const real *base,
                             const real *restrict dy,
                             const real *restrict x,
                             const real *stats,
                             const real *const p[NORM_PARAMS],
                             size_t n)
{
    real r = stats[1], factor = r * gain_of(p), along = stats[0] * dot_row(dy, x, n) * r * r;
    if (base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + factor * (dy[i] - x[i] * along);
    else
        for (size_t i = 0; i < n; i++) dx[i] = factor * (dy[i] - x[i] * along);
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
    real factor = stats[1] * gain_of(p);
    for (size_t i = 0; i < n; i++) dx[i] = base ? base[i] + factor * dy[i] : factor * dy[i];
}

static void param_row(double *const dp[NORM_PARAMS],
                      const real *dy,
                      const real *x,
                      const real *stats,
                      const real *const p[NORM_PARAMS],
                      size_t n)
{
    (void)p;
    dp[NORM_GAIN][0] += (double)(dot_row(dy, x, n) * stats[1]);
}

const norm norm_scalenorm = {
    .entry = {.name = "scalenorm",
              .summary = "y = g x / max(||x||, eps), g one number that starts at sqrt(n)",
              .source = "arXiv:1910.05895"},
    .has = 1 << NORM_GAIN,
    .scalar_gain = true,
    .law = NORM_LAW_LENGTH,
    .stats = stats_row,
    .apply = apply_row,
    .input = input_row,
    .frozen_input = frozen_row,
    .params = param_row,
};
