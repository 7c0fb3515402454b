/* The block of pre_ln with a second norm in each branch, before its output matrix: over the
 * concatenated heads before W_O, over the hidden units before W_2; final norm. W_V, W_O and the
 * MLP's matrices start larger by
 *
 *   one stack of L blocks     sqrt(ln(2 L))
 *   encoder (L) of a pair     sqrt(ln(3 P) ln(2 L) / 3)
 *   decoder (L) of a pair     sqrt(ln(3 L))
 *
 * P blocks in the other stack (strategy.partner_depth). Source: arXiv:2210.06423; torchscale,
 * architecture/{encoder,decoder}.py.
 */
#include "core/placement/placement.h"

#include <math.h>

static int sublayer(builder *b, const branch *s, int x)
{
    return placement_pre_ln.sublayer(b, s, x);
}

static int values(builder *b, int y)
{
    return builder_norm(b, SLOT_ATTN_INNER, y);
}

static int hidden(builder *b, int h)
{
    return builder_norm(b, SLOT_MLP_INNER, h);
}

static double factor_of(const run_spec *spec)
{
    double L = spec->depth, P = spec->strategy.partner_depth;
    if (!spec->strategy.partner_depth) return sqrt(log(2 * L));
    return sqrt(spec->model.mask == MASK_CAUSAL ? log(3 * L) : log(3 * P) * log(2 * L) / 3);
}

static init_rule start(const run_spec *spec, const param *p, init_rule r)
{
    if (init_is_carrier(p)) r.scale *= factor_of(spec);
    return r;
}

const placement placement_subln = {
    .entry = {.name = "subln",
              .summary = "x' = x + W_O N(heads(N(x))); y = x' + W_2 N(f(W_1 N(x'))); final norm",
              .source = "arXiv:2210.06423"},
    .final_norm = true,
    .uses = USES(PAIR) | USES(RESIDUAL) | USES(GPAS) | USES(PARTNER) | USES(INIT_FACTOR),
    .sublayer = sublayer,
    .theory = {.known = true,
               .attn = {.in = true, .inner = true},
               .mlp = {.in = true, .inner = true}},
    .inside = {.values = values, .hidden = hidden},
    .init = start,
};
