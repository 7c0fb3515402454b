/* L1 normalization with c = 1 (l1_kernel.h): on Gaussian rows the output has variance pi/2.
 * Source: Guo et al. 2025, "Sub-8-bit integer training" (constant from memory). */
#define L1_CONSTANT 1.0
#include "core/norm/l1_kernel.h"

const norm norm_l1norm = {
    .entry = {.name = "l1norm",
              .summary = "y = gain (x - mean(x)) / (mean|x - mean(x)| + eps) + bias, over the "
                         "features of a token",
              .source = "L1 normalization of sub-8-bit integer training (from memory)"},
    L1_FUNCTIONS,
    .law = NORM_LAW_RMS,
    .law_rms = 1.2533141373155002512, /* sqrt(pi/2) */
    .law_centres = true,
};
