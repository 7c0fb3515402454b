/* SELU: y = l x for x > 0, l a (exp(x) - 1) else; mean 0 and variance 1 are a fixed point. NaN
 * stays NaN. */
#include "core/activation/activation.h"

static const real scale = (real)1.0507009873554804934, below = (real)1.6732632423543772848;

CLONES static void forward(real *restrict y, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real low = scale * below * (EXP(x[i] < 0 ? x[i] : 0) - 1);
        y[i] = x[i] > 0 ? scale * x[i] : x[i] == x[i] ? low : x[i];
    }
}

CLONES static void gradient(real *dx, const real *dy, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real slope = scale * below * EXP(x[i] < 0 ? x[i] : 0);
        dx[i] = x[i] > 0 ? dy[i] * scale : x[i] == x[i] ? dy[i] * slope : x[i];
    }
}

CLONES static void
gradient_and_value(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real e = EXP(x[i] < 0 ? x[i] : 0), low = scale * below * (e - 1), z = x[i];
        dx[i] = z > 0 ? dy[i] * scale : z == z ? dy[i] * (scale * below * e) : z;
        y[i] = z > 0 ? scale * z : z == z ? low : z;
    }
}

static void backward(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
    if (y)
        gradient_and_value(dx, dy, x, y, n);
    else
        gradient(dx, dy, x, n);
}

const activation activation_selu = {
    .entry = {.name = "selu",
              .summary = "y = 1.0507 x for x > 0, 1.0507 x 1.6733 (exp(x) - 1) else",
              .source = "arXiv:1706.02515"},
    .forward = forward,
    .backward = backward,
};
