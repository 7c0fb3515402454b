/* Derf: y = gain erf(alpha x + s) + bias (pointwise_kernel.h); erf'(u) = 2/sqrt(pi) exp(-u^2).
 *
 * Source: arXiv:2512.10938; alpha 0.5 and s 0 at the start from memory.
 */
#include "core/math/exp_down.h"

static inline __attribute__((always_inline)) real slope(real u)
{
    return R(1.1283791670955126) * exp_down(-u * u);
}

#define CURVE ERF
#define SLOPE slope
#include "core/norm/pointwise_kernel.h"

const norm norm_derf = {
    .entry = {.name = "derf",
              .summary = "y = gain erf(alpha x + s) + bias, alpha and s learned numbers",
              .source = "arXiv:2512.10938"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS | 1 << NORM_ALPHA | 1 << NORM_SHIFT,
    .law = NORM_LAW_ERF,
    POINTWISE_FUNCTIONS,
};
