/* PowerNorm: PowerNorm-V that normalizes with a running quadratic mean once it is warm, and whose
 * backward pass is approximate. phi_B = mean(x^2) over the tokens of the batch, per channel; k is
 * the training step from 1, W is stat_warmup, keep is stat_keep.
 *
 *   z = x / sqrt((k <= W ? phi_B : phi) + eps),  y = gain z + bias
 *   k < W:  phi <- phi (k - 1) / k + phi_B / k
 *   phi <- keep phi + (1 - keep) phi_B         with stat_compat always, else only where k >= W
 *
 * Backward, with g = gain dy: no gradient flows to phi of this or of earlier batches; nu stands for
 * it, an integrator that settles where (1 - keep) nu mean(z^2) = mean(g z):
 *
 *   d = g - (1 - keep) nu z,  dx = d / sqrt(psi + eps),  nu <- nu + mean(d z)
 *
 * psi is phi_B (stat_divisor batch, as released) or what the forward pass divided by (forward, as
 * in the paper). With nu at that point and k <= W, dx is the exact gradient of PowerNorm-V.
 *
 * Eval divides by sqrt(phi + eps). strategy.group_scale puts an RMSNorm without gain over so many
 * groups of channels of each token in front, which the released code always has.
 * Source: Shen et al. 2020, arXiv:2003.07845; sIncerass/powernorm,
 * fairseq/modules/norms/mask_powernorm.py, whose buffers are running_phi and ema_gz (nu here).
 */
#include "core/norm/norm.h"
#include "core/norm/over_batch.h"

#include <math.h>

enum { STEPS, PHI, NU };

static void forward(batch_pass *p)
{
    const spec_strategy *s = p->strategy;
    double keep = s->stat_keep, k = p->step;
    bool warm = p->step > s->stat_warmup, average = p->step < s->stat_warmup;
    for (size_t c = 0; c < p->n; c++) {
        double batch = p->square[c], phi = p->now[PHI][c];
        p->scale[c] = 1 / sqrt((warm ? phi : batch) + p->eps);
        p->kept[c] = batch;
        if (average) phi = phi * (k - 1) / k + batch / k;
        if (!average || s->stat_compat) phi = keep * phi + (1 - keep) * batch;
        p->next[PHI][c] = phi;
    }
}

static void backward(batch_pass *p)
{
    const spec_strategy *s = p->strategy;
    for (size_t c = 0; c < p->n; c++) {
        double share = (1 - s->stat_keep) * p->now[NU][c], scale = p->scale[c];
        double z_square = p->kept[c] * scale * scale;
        double by = s->stat_divisor == DIVISOR_BATCH ? 1 / sqrt(p->kept[c] + p->eps) : scale;
        p->along_g[c] = by;
        p->along_z[c] = -by * share;
        p->next[NU][c] = p->now[NU][c] + (p->gz[c] - share * z_square);
    }
}

static const batch_norm batch = {
    .group_scales = true,
    .states = {{"steps", BATCH_ONE, 0},
               {"running_phi", BATCH_CHANNELS, 1},
               {"ema_gz", BATCH_CHANNELS, 0}},
    .forward = forward,
    .eval = batch_norm_eval_square,
    .backward = backward,
};

const norm norm_powernorm = {
    .entry = {.name = "powernorm",
              .summary = "y = gain x / sqrt(phi + eps) + bias, phi the mean of x^2 over the tokens "
                         "of the batch, after stat_warmup steps its running mean",
              .source = "arXiv:2003.07845",
              .approximate = "dx = (g - (1 - stat_keep) nu z) / sqrt(phi + eps) with g = gain dy, "
                             "then nu <- nu + mean((g - (1 - stat_keep) nu z) z): a running value "
                             "stands for the gradient that flows through the statistics"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .uses = USES(STATISTIC) | USES(WARMUP) | USES(COMPAT) | USES(DIVISOR) | USES(GROUP_SCALE),
    .warmup = 10000,
    .batch = &batch,
};
