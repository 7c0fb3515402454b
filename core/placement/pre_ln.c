/* x' = x + A(N(x)), y = x' + M(N(x')); a final norm is needed before the head. */
#include "core/placement.h"

static int block(builder *b, int x)
{
    int in = builder_norm(b, SLOT_ATTN_IN, x);
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, builder_attention(b, in)));
    return builder_add(b, BRANCH_MLP, mid, builder_mlp(b, builder_norm(b, SLOT_MLP_IN, mid)));
}

static int parallel_block(builder *b, int x)
{
    int in = builder_norm(b, SLOT_ATTN_IN, x);
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, builder_attention(b, in)));
    return builder_add(b, BRANCH_MLP, mid, builder_mlp(b, builder_parallel_norm(b, x, in)));
}

const placement placement_pre_ln = {
    .entry = {.name = "pre_ln",
              .summary = "x' = x + A(N(x)); y = x' + M(N(x')); final norm",
              .source = "arXiv:2002.04745"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(PARALLEL),
    .block = block,
    .parallel_block = parallel_block,
};
