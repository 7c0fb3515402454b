/* ReLU: y = max(x, 0); the derivative at 0 is 0. NaN stays NaN. */
#include "core/activation/activation.h"

CLONES static void forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

CLONES static void gradient(real *dx, const real *dy, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) dx[i] = x[i] > 0 ? dy[i] : (x[i] == x[i] ? 0 : x[i]);
}

CLONES static void
gradient_and_value(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        dx[i] = x[i] > 0 ? dy[i] : (x[i] == x[i] ? 0 : x[i]);
        y[i] = x[i] < 0 ? 0 : x[i];
    }
}

static void backward(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
    if (y)
        gradient_and_value(dx, dy, x, y, n);
    else
        gradient(dx, dy, x, n);
}

const activation activation_relu = {
    .entry = {.name = "relu", .summary = "y = max(x, 0)", .source = "Nair & Hinton 2010"},
    .forward = forward,
    .backward = backward,
};
