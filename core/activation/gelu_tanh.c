/* GELU by tanh: y = x (1 + tanh(u))/2, u = sqrt(2/pi) (x + 0.044715 x^3). */
#include "core/activation/activation.h"

CLONES static void forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real square = x[i] * x[i];
        real t = TANH(R(0.79788456080286535588) * (x[i] + R(0.044715) * square * x[i]));
        y[i] = R(0.5) * x[i] * (1 + t);
    }
}

CLONES static void gradient(real *dx, const real *dy, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real square = x[i] * x[i];
        real t = TANH(R(0.79788456080286535588) * (x[i] + R(0.044715) * square * x[i]));
        real du = R(0.79788456080286535588) * (1 + R(0.134145) * square);
        dx[i] = dy[i] * (R(0.5) * (1 + t) + R(0.5) * x[i] * (1 - t * t) * du);
    }
}

CLONES static void
gradient_and_value(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real square = x[i] * x[i];
        real t = TANH(R(0.79788456080286535588) * (x[i] + R(0.044715) * square * x[i]));
        real du = R(0.79788456080286535588) * (1 + R(0.134145) * square);
        dx[i] = dy[i] * (R(0.5) * (1 + t) + R(0.5) * x[i] * (1 - t * t) * du);
        y[i] = R(0.5) * x[i] * (1 + t);
    }
}

static void backward(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n)
{
    if (y)
        gradient_and_value(dx, dy, x, y, n);
    else
        gradient(dx, dy, x, n);
}

const activation activation_gelu_tanh = {
    .entry = {.name = "gelu_tanh",
              .summary = "y = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))/2",
              .source = "arXiv:1606.08415"},
    .forward = forward,
    .backward = backward,
};
