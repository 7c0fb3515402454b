#include "core/metric/grad_spread.h"

#include <math.h>
#include <stdbool.h>

CLONES static double sum_of(const real *x, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    return sum;
}

CLONES static double centred_squares(const real *x, size_t n, double mean)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sum;
}

/* A NaN is passed over here: the sum has it. */
CLONES static real largest(const real *x, size_t n)
{
    real most = 0;
#pragma omp simd reduction(max : most)
    for (size_t i = 0; i < n; i++) {
        const real a = (real)fabs(x[i]);
        most = a > most ? a : most;
    }
    return most;
}

static bool any_nan(const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i])) return true;
    return false;
}

grad_spread grad_spread_of(const real *x, size_t n)
{
    const double sum = sum_of(x, n), mean = n ? sum / (double)n : 0;
    const bool spoiled = isnan(sum) && any_nan(x, n); /* not Inf - Inf */
    return (grad_spread){.n = (double)n,
                         .mean = mean,
                         .centred = centred_squares(x, n, mean),
                         .max_abs = spoiled ? (double)NAN : (double)largest(x, n)};
}

void grad_spread_merge(grad_spread *into, const grad_spread *from)
{
    const double n = into->n + from->n, d = from->mean - into->mean;
    if (n > 0) {
        into->centred += from->centred + d * d * (into->n / n) * from->n;
        into->mean += d * (from->n / n);
    }
    into->n = n;
    into->max_abs =
        isnan(from->max_abs) || from->max_abs > into->max_abs ? from->max_abs : into->max_abs;
}

void grad_spread_scale(grad_spread *e, double factor)
{
    e->mean *= factor;
    e->centred *= factor * factor;
    e->max_abs *= fabs(factor);
}

double grad_spread_var(const grad_spread *e)
{
    return e->centred / e->n;
}
