/* GELU, exact: y = x Phi(x), Phi(x) = (1 + erf(x/sqrt 2))/2; y' = Phi(x) + x phi(x). */
#include "core/activation/activation.h"

/* phi(x), the normal density; 0 where exp(-x^2/2) is too small to matter beside 1. There the vector
 * exp would fall back to slow scalar code, so it is given 0 instead; a plain minimum is folded away
 * by the compiler, which knows exp of the bound. NaN stays NaN. */
static inline __attribute__((always_inline)) real density(real x)
{
    const real most = REAL_BITS == 64 ? R(37.0) : R(12.5);
    real inside = x * x < most * most || x != x;
    real near = x * inside;
    return R(0.39894228040143267794) * inside * EXP(R(-0.5) * near * near);
}

CLONES static void forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real cdf = R(0.5) + R(0.5) * ERF(x[i] * R(0.70710678118654752440));
        y[i] = x[i] * cdf;
    }
}

CLONES static void gradient(real *dx, const real *dy, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real phi = density(x[i]);
        real cdf = R(0.5) + R(0.5) * ERF(x[i] * R(0.70710678118654752440));
        dx[i] = dy[i] * (cdf + x[i] * phi);
    }
}

CLONES static void
gradient_and_value(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real phi = density(x[i]);
        real cdf = R(0.5) + R(0.5) * ERF(x[i] * R(0.70710678118654752440));
        dx[i] = dy[i] * (cdf + x[i] * phi);
        y[i] = x[i] * cdf;
    }
}

static void backward(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
    if (y)
        gradient_and_value(dx, dy, x, y, n);
    else
        gradient(dx, dy, x, n);
}

const activation activation_gelu = {
    .entry = {.name = "gelu", .summary = "y = x Phi(x), with erf", .source = "arXiv:1606.08415"},
    .forward = forward,
    .backward = backward,
};
