/* BatchNorm over tokens: each channel is centred and scaled by mean and variance of all B T tokens
 * of the batch, z = (x - mean) / sqrt(var + eps), y = gain z + bias.
 *
 * Backward, exact (the statistics depend on every token), with g = gain dy and means over tokens:
 *   dx = (g - mean(g) - z mean(g z)) / sqrt(var + eps)
 *
 * State: running_mean and running_var move by 1 - stat_keep towards the batch's mean and unbiased
 * variance (n / (n - 1)); eval uses them in place of the batch's. stat_keep is the share kept:
 * PyTorch's momentum is 1 - stat_keep.
 * Source: Ioffe & Szegedy 2015, arXiv:1502.03167; running variance as in PyTorch's BatchNorm1d.
 */
#include "core/norm/batchnorm.h"
#include "core/norm/norm.h"

#include <math.h>

void batchnorm_forward(batch_pass *p)
{
    double keep = p->strategy->stat_keep;
    for (size_t c = 0; c < p->n; c++) {
        p->shift[c] = p->mean[c];
        p->scale[c] = 1 / sqrt(p->var[c] + p->eps);
        double unbiased = p->var[c] * (p->tokens / (p->tokens - 1));
        p->next[1][c] = keep * p->now[1][c] + (1 - keep) * p->mean[c];
        p->next[2][c] = keep * p->now[2][c] + (1 - keep) * unbiased;
    }
}

void batchnorm_eval(batch_pass *p)
{
    for (size_t c = 0; c < p->n; c++) {
        p->shift[c] = p->now[1][c];
        p->scale[c] = 1 / sqrt(p->now[2][c] + p->eps);
    }
}

void batchnorm_backward(batch_pass *p)
{
    for (size_t c = 0; c < p->n; c++) {
        p->along_g[c] = p->scale[c];
        p->along_z[c] = -p->scale[c] * p->gz[c];
        p->constant[c] = -p->scale[c] * p->g[c];
    }
}

static const batch_norm batch = {
    .centred = true,
    .states = {{"steps", BATCH_ONE, 0},
               {"running_mean", BATCH_CHANNELS, 0},
               {"running_var", BATCH_CHANNELS, 1}},
    .forward = batchnorm_forward,
    .eval = batchnorm_eval,
    .backward = batchnorm_backward,
};

const norm norm_batchnorm = {
    .entry = {.name = "batchnorm",
              .summary = "y = gain (x - mean(x)) / sqrt(var(x) + eps) + bias, over the tokens of "
                         "the batch, channel by channel",
              .source = "arXiv:1502.03167"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .uses = USES(STATISTIC),
    .batch = &batch,
};
