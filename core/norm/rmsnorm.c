/* RMSNorm: r = (mean(x^2) + eps)^(-1/2), xh = x r, y = gain xh; mean over the last axis.
 *
 * Backward, with g = gain dy:  dx = r (g - xh mean(g xh)),  dgain = sum over rows of dy xh.
 *
 * stats: r in the second place. Source: Zhang & Sennrich 2019, arXiv:1910.07467; eps is ours.
 */
#include "core/norm.h"

CLONES static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    real square = 0;
#pragma omp simd reduction(+ : square)
    for (size_t i = 0; i < n; i++) square += x[i] * x[i];
    stats[0] = 0, stats[1] = (real)(1 / sqrt((double)square / (double)n + eps));
}

CLONES static void
apply_row(real *restrict y, real r, const real *restrict x, const real *gain, size_t n)
{
    if (gain)
        for (size_t i = 0; i < n; i++) y[i] = x[i] * r * gain[i];
    else
        for (size_t i = 0; i < n; i++) y[i] = x[i] * r;
}

CLONES static void input_row(real *dx,
                             const real *base,
                             const real *restrict dy,
                             const real *restrict x,
                             real r,
                             const real *gain,
                             size_t n)
{
    real dot = 0;
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

CLONES static void
param_row(double *restrict dgain, const real *restrict dy, const real *restrict x, real r, size_t n)
{
    for (size_t i = 0; i < n; i++) dgain[i] += (double)(dy[i] * (x[i] * r));
}

static void apply(const norm_rows *a, real *y, bool with_stats)
{
    for (size_t r = 0; r < a->rows; r++)
        for (size_t g = 0; g < a->groups; g++) {
            const real *x = a->x + r * a->ldx + g * a->width;
            real *stats = a->stats + (r * a->groups + g) * NORM_STATS;
            if (with_stats) stats_row(stats, x, a->width, a->eps);
            apply_row(y + r * a->ldy + g * a->width, stats[1], x, a->gain, a->width);
        }
}

static void forward(const norm_rows *a, real *y)
{
    apply(a, y, true);
}

static void remake(const norm_rows *a, real *y)
{
    apply(a, y, false);
}

static void backward(
    const norm_rows *a, real *dx, const real *base, const real *dy, double *dgain, double *dbias)
{
    (void)dbias;
    for (size_t r = 0; r < a->rows; r++)
        for (size_t g = 0; g < a->groups; g++) {
            size_t in = r * a->ldx + g * a->width, out = r * a->ldy + g * a->width;
            real rstd = a->stats[(r * a->groups + g) * NORM_STATS + 1];
            if (dgain) param_row(dgain, dy + out, a->x + in, rstd, a->width);
            if (dx)
                input_row(dx + in, base ? base + in : NULL, dy + out, a->x + in, rstd, a->gain,
                          a->width);
        }
}

const norm norm_rmsnorm = {
    .entry = {.name = "rmsnorm",
              .summary = "y = gain x / sqrt(mean(x^2) + eps), over the features of a token",
              .source = "arXiv:1910.07467"},
    .has_gain = true,
    .forward = forward,
    .remake = remake,
    .backward = backward,
};
