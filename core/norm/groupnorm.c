/* Group norm of a token: its features in strategy.groups groups, each normed as by layernorm; gain
 * and bias per feature. Source: Wu & He 2018, arXiv:1803.08494, on the features of a token alone.
 */
#include "core/norm/norm.h"

const norm norm_groupnorm = {
    .entry = {.name = "groupnorm",
              .summary = "layernorm over each of strategy.groups groups of features of a token",
              .source = "arXiv:1803.08494"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .law = NORM_LAW_RMS,
    .law_centres = true,
    .uses = USES(GROUPS),
    .of_groups = &norm_layernorm,
};
