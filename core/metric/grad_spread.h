/* How the entries of a gradient spread: grad_spread_of each piece, grad_spread_merge in a fixed
 * order.
 *
 *   variance   mean((x - mean)^2) over all n entries, two passes over each piece, in double
 *   max_abs    max |x|
 *
 * Nothing is left out: an Inf makes the variance NaN and the maximum infinite, a NaN makes both
 * NaN.
 * Allocates nothing. Any thread.
 * Source: Chan, Golub & LeVeque 1983 (merging).
 */
#ifndef CORE_METRIC_GRAD_SPREAD_H
#define CORE_METRIC_GRAD_SPREAD_H

#include "core/real.h"

typedef struct grad_spread {
    double n, mean, centred, max_abs; /* centred: sum of (x - mean)^2 */
} grad_spread;

grad_spread grad_spread_of(const real *x, size_t n);
void grad_spread_merge(grad_spread *into, const grad_spread *from);
void grad_spread_scale(grad_spread *e, double factor); /* as if of factor x */
double grad_spread_var(const grad_spread *e);

#endif
