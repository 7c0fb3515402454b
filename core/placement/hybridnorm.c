/* x' = x + A(x), u = N(x'), y = u + M(u): the norm stands on the stream between attention and MLP,
 * and there is none before attention, whose queries, keys and values are to be normed
 * (model.qk_norm, model.v_norm); final norm. Source: arXiv:2503.04598; HybridNorm,
 * dense_model/olmo/model.py. */
#include "core/placement/placement.h"

static int block(builder *b, int x)
{
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, builder_attention(b, x)));
    int u = builder_norm(b, SLOT_MLP_IN, mid);
    return builder_add(b, BRANCH_MLP, u, builder_mlp(b, u));
}

const placement placement_hybridnorm = {
    .entry = {.name = "hybridnorm",
              .summary = "x' = x + A(x); u = N(x'); y = u + M(u); final norm",
              .source = "arXiv:2503.04598"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS),
    .block = block,
    .theory = {.known = true, .mlp = {.stream = true}},
};
