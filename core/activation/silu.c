/* SiLU: y = x s, s = 1/(1 + exp(-x)); y' = s (1 + x (1 - s)). */
#include "core/activation/activation.h"

CLONES static void forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real s = 1 / (1 + EXP(-x[i]));
        y[i] = x[i] * s;
    }
}

CLONES static void gradient(real *dx, const real *dy, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real s = 1 / (1 + EXP(-x[i]));
        dx[i] = dy[i] * s * (1 + x[i] * (1 - s));
    }
}

CLONES static void
gradient_and_value(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real s = 1 / (1 + EXP(-x[i]));
        dx[i] = dy[i] * s * (1 + x[i] * (1 - s));
        y[i] = x[i] * s;
    }
}

static void backward(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
    if (y)
        gradient_and_value(dx, dy, x, y, n);
    else
        gradient(dx, dy, x, n);
}

const activation activation_silu = {
    .entry = {.name = "silu", .summary = "y = x sigmoid(x)", .source = "arXiv:1702.03118"},
    .forward = forward,
    .backward = backward,
};
