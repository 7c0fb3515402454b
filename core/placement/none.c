/* x' = x + A(x), y = x' + M(x'): no norm anywhere. */
#include "core/placement/placement.h"

static int block(builder *b, int x)
{
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, builder_attention(b, x)));
    return builder_add(b, BRANCH_MLP, mid, builder_mlp(b, mid));
}

static int parallel_block(builder *b, int x)
{
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, builder_attention(b, x)));
    return builder_add(b, BRANCH_MLP, mid, builder_mlp(b, x));
}

const placement placement_none = {
    .entry = {.name = "none",
              .summary = "x' = x + A(x); y = x' + M(x')",
              .source = "arXiv:1512.03385"},
    .uses = USES(RECENTRE) | USES(RESIDUAL) | USES(GPAS),
    .block = block,
    .theory = {.known = true},
    .parallel_block = parallel_block,
};
