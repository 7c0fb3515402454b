/* x' = x + A(x), u = N(x'), y = u + M(u): the norm stands on the stream between attention and MLP,
 * and there is none before attention, whose queries, keys and values are to be normed
 * (model.qk_norm, model.v_norm); final norm. Source: arXiv:2503.04598; HybridNorm,
 * dense_model/olmo/model.py. */
#include "core/placement/placement.h"

static int sublayer(builder *b, const branch *s, int x)
{
    if (s->is_mlp) x = builder_norm(b, s->in, x);
    return builder_add(b, s, x, s->build(b, x));
}

const placement placement_hybridnorm = {
    .entry = {.name = "hybridnorm",
              .summary = "x' = x + A(x); u = N(x'); y = u + M(u); final norm",
              .source = "arXiv:2503.04598"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS),
    .sublayer = sublayer,
    .theory = {.known = true, .mlp = {.stream = true}},
};
