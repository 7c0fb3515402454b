/* CRMSNorm: RMSNorm of a row without mean whose last entry is not stored. Of n stored numbers with
 * sum S the missing one is -S:
 *
 *   r = ((sum(x^2) + S^2)/(n + 1) + eps)^(-1/2),  y = x r
 *
 * Backward:  dx = r dy - r^3 (x + S) (dy.x)/(n + 1). No parameters: they are folded into what reads
 * y. Frozen, r is a constant (op norm):  dx = r dy.
 *
 * stats: S, r. Source: Jiang et al. 2023, arXiv:2305.14858.
 */
#include "core/norm/norm.h"

CLONES static void stats_row(real *stats, const real *x, size_t n, double eps)
{
    real sum = 0, square = 0;
#pragma omp simd reduction(+ : sum, square)
    for (size_t i = 0; i < n; i++) sum += x[i], square += x[i] * x[i];
    double all = (double)square + (double)sum * (double)sum;
    stats[0] = sum, stats[1] = (real)(1 / sqrt(all / (double)(n + 1) + eps));
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
    real sum = stats[0], r = stats[1], dot = 0;
#pragma omp simd reduction(+ : dot)
    for (size_t i = 0; i < n; i++) dot += dy[i] * x[i];
    real along = dot * r * r / (real)(n + 1);
    if (base)
        for (size_t i = 0; i < n; i++) dx[i] = base[i] + r * (dy[i] - (x[i] + sum) * along);
    else
        for (size_t i = 0; i < n; i++) dx[i] = r * (dy[i] - (x[i] + sum) * along);
}

CLONES static void frozen_row(real *dx,
                              const real *base,
                              const real *restrict dy,
                              const real *restrict x,
                              const real *stats,
                              const real *const p[NORM_PARAMS],
                              size_t n)
{
    (void)x, (void)p;
    real r = stats[1];
    for (size_t i = 0; i < n; i++) dx[i] = base ? base[i] + r * dy[i] : r * dy[i];
}

const norm norm_crmsnorm = {
    .entry = {.name = "crmsnorm",
              .summary =
                  "y = x / sqrt((sum(x^2) + sum(x)^2)/(n + 1) + eps): RMSNorm of a row without "
                  "mean that stores all entries but the last",
              .source = "arXiv:2305.14858"},
    .compressed = true,
    .stats = stats_row,
    .apply = apply_row,
    .input = input_row,
    .frozen_input = frozen_row,
};
