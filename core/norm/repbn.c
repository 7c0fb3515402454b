/* RepBN: BatchNorm over tokens plus the input itself times one learned scalar,
 *   y = gain z + bias + eta x,  z = (x - mean) / sqrt(var + eps),  eta starts at 1.
 *
 * Backward, exact: dx = (gradient of BatchNorm) + eta dy,  deta = sum over tokens and channels of
 * dy x. In eval it folds into one affine map: gain' = gain + eta sqrt(var + eps), bias' = bias +
 * eta mean.
 *
 * State: as batchnorm. Source: Guo et al. 2024 (SLAB), arXiv:2405.11582; xinghaochen/SLAB,
 * classification/models/prepbn.py, where eta is alpha.
 */
#include "core/norm/batchnorm.h"
#include "core/norm/norm.h"

static const batch_norm batch = {
    .centred = true,
    .has_eta = true,
    .states = BATCHNORM_STATES,
    .forward = batchnorm_forward,
    .eval = batchnorm_eval,
    .backward = batchnorm_backward,
};

const norm norm_repbn = {
    .entry = {.name = "repbn",
              .summary = "y = BatchNorm(x) + eta x, eta one learned scalar",
              .source = "arXiv:2405.11582"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .uses = USES(STATISTIC),
    .batch = &batch,
};
