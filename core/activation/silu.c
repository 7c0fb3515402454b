/* SiLU: y = x s, s = 1/(1 + exp(-x)); y' = s (1 + x (1 - s)). */
#include "core/activation.h"

CLONES static void forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] / (1 + EXP(-x[i]));
}

CLONES static void backward(real *dx, const real *dy, const real *restrict x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real s = 1 / (1 + EXP(-x[i]));
        dx[i] = dy[i] * s * (1 + x[i] * (1 - s));
    }
}

const activation activation_silu = {
    .entry = {.name = "silu", .summary = "y = x sigmoid(x)", .source = "arXiv:1702.03118"},
    .forward = forward,
    .backward = backward,
};
