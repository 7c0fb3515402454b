/* The block of none with an init that needs neither norm nor warm-up: W_V, W_O and the MLP's
 * matrices times 0.67 L^(-1/4), embeddings times (9 L)^(-1/4). W_V is multiplied by sqrt(2) too,
 * which undoes the gain 1/sqrt(2) that init fairseq gives it. A decoder in a pair
 * (strategy.partner_depth) has (9 L)^(-1/4) on all of them; a decoder alone is not in the source
 * and has the encoder's factor. Source: Huang et al., ICML 2020; T-Fixup,
 * fairseq/modules/transformer_layer.py and fairseq/models/transformer.py.
 */
#include "core/placement/placement.h"

#include <math.h>

static int sublayer(builder *b, const branch *s, int x)
{
    return placement_none.sublayer(b, s, x);
}

static init_rule start(const run_spec *spec, const param *p, init_rule r)
{
    double L = spec->depth, small = pow(9 * L, -1.0 / 4);
    bool second = spec->strategy.partner_depth > 0 && spec->model.mask == MASK_CAUSAL;
    if (p->kind == PARAM_EMBED && isnan(spec->init.embed_std)) r.scale *= small;
    if (init_is_carrier(p)) r.scale *= second ? small : 0.67 * pow(L, -1.0 / 4);
    if (p->matrix == MATRIX_value) r.scale *= sqrt(2.0);
    return r;
}

const placement placement_t_fixup = {
    .entry = {.name = "t_fixup",
              .summary = "x' = x + A(x); y = x' + M(x'), smaller initial weights; no norm",
              .source = "Huang et al., ICML 2020"},
    .uses = USES(PAIR) | USES(RESIDUAL) | USES(GPAS) | USES(PARTNER) | USES(INIT_FACTOR),
    .sublayer = sublayer,
    .theory = {.known = true},
    .init = start,
};
