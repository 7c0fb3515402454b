/* x' = x + A(N(x)), y = x' + M(N(x')); a final norm is needed before the head. */
#include "core/placement/placement.h"

static int sublayer(builder *b, const branch *s, int x)
{
    return builder_add(b, s, x, s->build(b, builder_norm(b, s->in, x)));
}

static int parallel_block(builder *b, int x)
{
    int in = builder_norm(b, SLOT_ATTN_IN, x);
    int mid = builder_mid(b, builder_add(b, &branch_attention, x, builder_attention(b, in)));
    return builder_add(b, &branch_mlp, mid, builder_mlp(b, builder_parallel_norm(b, x, in)));
}

/* The same block on a stream that stores all but its last feature, minus the sum of the others. */
const placement placement_pre_crmsnorm = {
    .entry = {.name = "pre_crmsnorm",
              .summary =
                  "pre_ln on a stream of D - 1 features, the last of which is minus their sum; "
                  "final norm",
              .source = "arXiv:2305.14858"},
    .final_norm = true,
    .narrower = 1,
    .theory = {.unknown = REASON_NO_LAW_SUM},
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(PARALLEL),
    .sublayer = sublayer,
    .parallel_block = parallel_block,
};

const placement placement_pre_ln = {
    .entry = {.name = "pre_ln",
              .summary = "x' = x + A(N(x)); y = x' + M(N(x')); final norm",
              .source = "arXiv:2002.04745"},
    .final_norm = true,
    .uses = USES(RECENTRE) | USES(RESIDUAL) | USES(GPAS) | USES(PARALLEL),
    .sublayer = sublayer,
    .theory = {.known = true, .attn = {.in = true}, .mlp = {.in = true}},
    .parallel_block = parallel_block,
};
