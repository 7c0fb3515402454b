/* tanh; y' = 1 - y^2. */
#include "core/activation/activation.h"

CLONES static void forward(real *restrict y, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        y[i] = TANH(x[i]);
    }
}

CLONES static void gradient(real *dx, const real *dy, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real t = TANH(x[i]);
        dx[i] = dy[i] * (1 - t * t);
    }
}

CLONES static void
gradient_and_value(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real t = TANH(x[i]);
        dx[i] = dy[i] * (1 - t * t);
        y[i] = t;
    }
}

static void backward(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
    if (y)
        gradient_and_value(dx, dy, x, y, n);
    else
        gradient(dx, dy, x, n);
}

const activation activation_tanh = {
    .entry = {.name = "tanh", .summary = "y = tanh(x)", .source = "LeCun et al. 1998"},
    .forward = forward,
    .backward = backward,
};
