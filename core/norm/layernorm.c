/* LayerNorm: mu = mean(x), r = (mean((x-mu)^2) + eps)^(-1/2), xh = (x - mu) r, y = gain xh + bias;
 * means over the last axis, population variance.
 *
 * Backward, with g = gain dy:  dx = r (g - mean(g) - xh mean(g xh)),
 *   dgain = sum over rows of dy xh,  dbias = sum over rows of dy.
 *
 * Frozen, r is a constant (op norm):  dx = r (g - mean(g)).
 *
 * stats: mu, r. Zero variance with eps 0 gives r = Inf and y = NaN: a result.
 * Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
 */
#include "core/norm/centred_kernel.h"

CLONES static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    real sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += x[i];
    real mu = sum / (real)n;
#pragma omp simd reduction(+ : square)
    for (size_t i = 0; i < n; i++) square += (x[i] - mu) * (x[i] - mu);
    stats[0] = mu, stats[1] = (real)(1 / sqrt((double)square / (double)n + eps));
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
    real mu = stats[0], r = stats[1], sum = 0, dot = 0;
    if (gain) {
#pragma omp simd reduction(+ : sum, dot)
        for (size_t i = 0; i < n; i++) sum += gain[i] * dy[i], dot += gain[i] * dy[i] * (x[i] - mu);
    } else {
#pragma omp simd reduction(+ : sum, dot)
        for (size_t i = 0; i < n; i++) sum += dy[i], dot += dy[i] * (x[i] - mu);
    }
    real mean = sum / (real)n, along = dot * r * r / (real)n;
#define TERM(g) (r * ((g)-mean - (x[i] - mu) * along))
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

const norm norm_layernorm = {
    .entry =
        {.name = "layernorm",
         .summary =
             "y = gain (x - mean(x)) / sqrt(var(x) + eps) + bias, over the features of a token",
         .source = "arXiv:1607.06450"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .law = NORM_LAW_RMS,
    .law_centres = true,
    .stats = stats_row,
    .apply = apply_row,
    .input = input_row,
    .frozen_input = frozen_row,
    .params = param_row,
};
