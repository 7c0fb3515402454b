/* x' = x + A(x), y = x' + M(x'): no norm anywhere. */
#include "core/placement/placement.h"

static int sublayer(builder *b, const branch *s, int x)
{
    return builder_add(b, s, x, s->build(b, x));
}

static int parallel_block(builder *b, int x)
{
    int mid = builder_mid(b, builder_add(b, &branch_attention, x, builder_attention(b, x)));
    return builder_add(b, &branch_mlp, mid, builder_mlp(b, x));
}

const placement placement_none = {
    .entry = {.name = "none",
              .summary = "x' = x + A(x); y = x' + M(x')",
              .source = "arXiv:1512.03385"},
    .uses = USES(RECENTRE) | USES(RESIDUAL) | USES(GPAS),
    .sublayer = sublayer,
    .theory = {.known = true},
    .parallel_block = parallel_block,
};
