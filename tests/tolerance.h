/* Tolerances of the tests, with their reasons. A value agrees when
 *
 *     |a - b| <= relative * max(|a|, |b|) + floor
 *
 * Two float64 implementations differ by the order of their sums, about 1e-15 times the
 * conditioning.
 */
#ifndef TESTS_TOLERANCE_H
#define TESTS_TOLERANCE_H

#include "core/base/catalog.h"

#include <math.h>

typedef struct tolerance {
    double relative, floor;
} tolerance;

/* Losses, norms, moments, ranks: asked for is 1e-9, every golden agrees to 1e-12 (the goldens'
 * projections have 13 digits). The floor is for values that are zero by symmetry (the gradient of a
 * key bias) and come out as rounding of terms near 1. */
static const tolerance TOLERANCE_VALUE = {1e-11, 1e-14};

/* A projection is a share of the tensor's norm: relative to that, not to itself. */
static const tolerance TOLERANCE_PROJECTION = {1e-11, 1e-14};

/* m4/m2^2 - 3: the subtraction leaves an absolute error. */
static const tolerance TOLERANCE_KURTOSIS = {1e-11, 1e-12};

/* AdamW divides the gradient by its own size: rounding of 1e-17 in a zero gradient moves a weight
 * by lr * 1e-17/1e-8, which is up to 1e-10 of a bias's norm. */
static const tolerance TOLERANCE_UPDATE = {1e-9, 1e-9};

/* Singular values by way of the Gram matrix: a relative error of 1e-16 (s_1/s)^2, entered once and
 * not squared. Those that are zero are recognized as noise below sqrt(2^-52 max(T, D)) s_1; one
 * that is not zero but smaller than that would be missing here, and cost up to 1e-7. */
static const tolerance TOLERANCE_SPECTRAL = {1e-9, 1e-10};

/* Sharp causal attention is nearly singular: of singular values below sqrt(2^-52 T) s_1, which the
 * Gram matrix leaves out, each adds up to -p ln p, p = 5e-8, to the entropy. */
static const tolerance TOLERANCE_SINGULAR = {1e-6, 0};

/* R^2 of a series that is nearly constant divides rounding by a small spread. */
static const tolerance TOLERANCE_FIT = {1e-10, 1e-12};

/* float32 has 6e-8; some hundred roundings and the conditioning of the norms come on top. */
static const tolerance TOLERANCE_SINGLE = {1e-4, 1e-6};

/* The loss of a rounded run in float32: a few numbers fall on the other side of a middle, each by
 * the spacing of its format, 2^-2 at most, among a hundred tokens. */
static const tolerance TOLERANCE_ROUNDED = {1e-2, 0};

/* Central differences with step h: h^2 f''' / 6 + 1e-16 / h. */
static const tolerance TOLERANCE_DIFFERENCE = {1e-6, 1e-9};

/* An identity of section 5 of the strategies, relative to the sum of the sizes of its terms, in
 * float64 with eps = 0. What must not hold is off by more than COUNTER_EXAMPLE. */
#define TOLERANCE_IDENTITY 1e-12
#define COUNTER_EXAMPLE 1e-5

static inline tolerance tolerance_of(metric m)
{
    switch (m) {
    case METRIC_kurtosis:
        return TOLERANCE_KURTOSIS;
    case METRIC_hessian_max:
    case METRIC_hessian_min:
    case METRIC_hessian_grad:
    case METRIC_hessian_max_block:
        return TOLERANCE_DIFFERENCE;
    case METRIC_param_update_ratio:
        return TOLERANCE_UPDATE;
    case METRIC_effective_rank:
    case METRIC_effective_rank_centred:
    case METRIC_rank1_residual:
    case METRIC_rank1_residual_centred:
        return TOLERANCE_SPECTRAL;
    case METRIC_attn_effective_rank:
        return TOLERANCE_SINGULAR;
    case METRIC_var_growth_r2_linear:
    case METRIC_var_growth_r2_exponential:
    case METRIC_var_growth_r2_power:
    case METRIC_grad_growth_r2_linear:
    case METRIC_grad_growth_r2_exponential:
    case METRIC_grad_growth_r2_power:
        return TOLERANCE_FIT;
    default:
        return TOLERANCE_VALUE;
    }
}

/* |a - b| as a multiple of what is allowed: agreement is <= 1. NaN never agrees. */
static inline double tolerance_excess(tolerance t, double scale, double a, double b)
{
    double d = fabs(a - b);
    if (d == 0) return 0;
    double x = d / (t.relative * scale + t.floor);
    return isnan(x) ? INFINITY : x;
}

#endif
