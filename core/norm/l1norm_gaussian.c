/* L1 normalization with c = sqrt(pi/2) (l1_kernel.h): the divisor is the standard deviation of a
 * Gaussian row. */
#define L1_CONSTANT 1.2533141373155002512
#include "core/norm/l1_kernel.h"

const norm norm_l1norm_gaussian = {
    .entry = {.name = "l1norm_gaussian",
              .summary =
                  "y = gain (x - mean(x)) / (sqrt(pi/2) mean|x - mean(x)| + eps) + bias, over "
                  "the features of a token",
              .source = "L1 normalization of sub-8-bit integer training (from memory)"},
    L1_FUNCTIONS,
    .law = NORM_LAW_RMS,
    .law_centres = true,
};
