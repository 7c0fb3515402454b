/* x' = N(alpha x + A(x)), y = N(alpha x' + M(x')), alpha a constant of the depth; no final norm.
 *
 *                                  alpha                    beta
 *   one stack of L blocks          (2 L)^(1/4)              (8 L)^(-1/4)
 *   encoder (L) of a pair          0.81 (L^4 P)^(1/16)      0.87 (L^4 P)^(-1/16)
 *   decoder (L) of a pair          (3 L)^(1/4)              (12 L)^(-1/4)
 *
 * P blocks in the other stack (strategy.partner_depth). beta multiplies the initial values of W_V,
 * W_O and the MLP's matrices, which the paper starts as Xavier normal. Source: arXiv:2203.00555;
 * torchscale, architecture/{encoder,decoder}.py, divides by the fourth root of (8 L) likewise.
 */
#include "core/placement/placement.h"

#include <math.h>

static double alpha_of(const run_spec *spec, int layer)
{
    (void)layer;
    const spec_strategy *s = &spec->strategy;
    double L = spec->depth, P = s->partner_depth;
    if (!isnan(s->alpha)) return s->alpha;
    if (!s->partner_depth) return pow(2 * L, 1.0 / 4);
    if (spec->model.mask == MASK_CAUSAL) return pow(3 * L, 1.0 / 4);
    return 0.81 * pow(pow(L, 4) * P, 1.0 / 16);
}

static double beta_of(const run_spec *spec)
{
    const spec_strategy *s = &spec->strategy;
    double L = spec->depth, P = s->partner_depth;
    if (!isnan(s->beta)) return s->beta;
    if (!s->partner_depth) return pow(8 * L, -1.0 / 4);
    if (spec->model.mask == MASK_CAUSAL) return pow(12 * L, -1.0 / 4);
    return 0.87 * pow(pow(L, 4) * P, -1.0 / 16);
}

static init_rule start(const run_spec *spec, const param *p, init_rule r)
{
    if (init_is_carrier(p)) r.scale *= beta_of(spec);
    return r;
}

static int sublayer(builder *b, const branch *s, int x)
{
    double alpha = alpha_of(b->spec, b->g->layer);
    return builder_norm(b, s->post, builder_add_scaled(b, s, alpha, x, s->build(b, x)));
}

const placement placement_deepnorm = {
    .entry = {.name = "deepnorm",
              .summary = "x' = N(alpha x + A(x)); y = N(alpha x' + M(x')), alpha = (2 L)^(1/4); no "
                         "final norm",
              .source = "arXiv:2203.00555"},
    .uses = USES(PAIR) | USES(RESIDUAL) | USES(GPAS) | USES(STREAM_ALPHA) | USES(PARTNER) |
            USES(INIT_BETA) | USES(INIT_FACTOR),
    .inside = {.gpas_first = true},
    .sublayer = sublayer,
    .theory = {.known = true, .attn = {.post = true}, .mlp = {.post = true}, .alpha = alpha_of},
    .init = start,
};
