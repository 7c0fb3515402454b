/* DyT: y = gain tanh(alpha x) + bias (pointwise_kernel.h).
 *
 * Source: Zhu et al. 2025, arXiv:2503.10622.
 */
#include "core/real.h"

static inline __attribute__((always_inline)) real slope(real u)
{
    real t = TANH(u);
    return 1 - t * t;
}

#define CURVE TANH
#define SLOPE slope
#include "core/norm/pointwise_kernel.h"

const norm norm_dyt = {
    .entry = {.name = "dyt",
              .summary = "y = gain tanh(alpha x) + bias, alpha one learned number",
              .source = "arXiv:2503.10622"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS | 1 << NORM_ALPHA,
    .law = NORM_LAW_TANH,
    POINTWISE_FUNCTIONS,
};
