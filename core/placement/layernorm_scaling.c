/* x' = x + A(c N(x)), y = x' + M(c N(x')), c = 1/sqrt(l) in block l = 1..L, the same for both
 * branches and after the norm's gain; final norm, which is not scaled. The constant costs nothing:
 * it is a factor of the first matrix product of the branch. Source: arXiv:2502.05795;
 * LayerNorm-Scaling, peft_pretraining/modeling_llama.py, norm type LNS. */
#include "core/placement/placement.h"

#include <math.h>

static double scale_of(const run_spec *spec, int layer)
{
    (void)spec;
    return 1 / sqrt((double)layer);
}

static int sublayer(builder *b, const branch *s, int x)
{
    b->in_scale = scale_of(b->spec, b->g->layer);
    return placement_pre_ln.sublayer(b, s, x);
}

const placement placement_layernorm_scaling = {
    .entry = {.name = "layernorm_scaling",
              .summary = "x' = x + A(N(x)/sqrt(l)); y = x' + M(N(x')/sqrt(l)) in block l; final "
                         "norm",
              .source = "arXiv:2502.05795"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS),
    .sublayer = sublayer,
    .theory = {.known = true, .attn = {.in = true}, .mlp = {.in = true}, .in_scale = scale_of},
};
