/* PowerNorm-V: each channel is divided by its quadratic mean over all tokens of the batch, without
 * centring: phi = mean(x^2), z = x / sqrt(phi + eps), y = gain z + bias.
 *
 * Backward, exact, with g = gain dy and means over tokens:  dx = (g - z mean(g z)) / sqrt(phi +
 * eps)
 *
 * State: running_phi <- stat_keep running_phi + (1 - stat_keep) phi, which eval uses.
 * Source: Shen et al. 2020, arXiv:2003.07845.
 */
#include "core/norm/norm.h"
#include "core/norm/over_batch.h"

#include <math.h>

enum { STEPS, PHI };

static void forward(batch_pass *p)
{
    double keep = p->strategy->stat_keep;
    for (size_t c = 0; c < p->n; c++) {
        p->scale[c] = 1 / sqrt(p->square[c] + p->eps);
        p->next[PHI][c] = keep * p->now[PHI][c] + (1 - keep) * p->square[c];
    }
}

static void backward(batch_pass *p)
{
    for (size_t c = 0; c < p->n; c++) {
        p->along_g[c] = p->scale[c];
        p->along_z[c] = -p->scale[c] * p->gz[c];
    }
}

static const batch_norm batch = {
    .states = {{"steps", BATCH_ONE, 0}, {"running_phi", BATCH_CHANNELS, 1}},
    .forward = forward,
    .eval = batch_norm_eval_square,
    .backward = backward,
};

const norm norm_powernorm_v = {
    .entry = {.name = "powernorm_v",
              .summary = "y = gain x / sqrt(mean(x^2) + eps) + bias, over the tokens of the batch, "
                         "channel by channel",
              .source = "arXiv:2003.07845"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .uses = USES(STATISTIC),
    .batch = &batch,
};
