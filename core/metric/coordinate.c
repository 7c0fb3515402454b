#include "core/metric/coordinate.h"

#include <math.h>

CLONES static double sum_abs(const real *x, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    return sum;
}

CLONES static double sum_abs_delta(const real *x, const real *y, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += fabs((double)x[i] - (double)y[i]);
    return sum;
}

CLONES static double sum_sq_delta(const real *x, const real *y, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)y[i];
        sum += d * d;
    }
    return sum;
}

void coordinate_add(coordinate *c, const real *x, const real *first, size_t n)
{
    c->n += n;
    c->abs += sum_abs(x, n);
    if (!first) return;
    c->delta_abs += sum_abs_delta(x, first, n);
    c->delta_sq += sum_sq_delta(x, first, n);
}

void coordinate_merge(coordinate *into, const coordinate *from)
{
    into->n += from->n;
    into->abs += from->abs;
    into->delta_abs += from->delta_abs;
    into->delta_sq += from->delta_sq;
}

void coordinate_finish(const coordinate *c, bool has_delta, metric_value out[])
{
    double n = (double)c->n;
    metric_value none = value_undefined(c->n ? REASON_FIRST_STEP : REASON_NO_ENTRIES);
    out[METRIC_mean_abs] = c->n ? value_of(c->abs / n) : none;
    out[METRIC_delta_mean_abs] = c->n && has_delta ? value_of(c->delta_abs / n) : none;
    out[METRIC_delta_rms] = c->n && has_delta ? value_of(sqrt(c->delta_sq / n)) : none;
}
