/* x' = N(x + A(x)), y = N(x' + M(x')): the norm is on the stream, no final norm. */
#include "core/placement/placement.h"

static int block(builder *b, int x)
{
    int sum = builder_add(b, BRANCH_ATTN, x, builder_attention(b, x));
    int mid = builder_mid(b, builder_norm(b, SLOT_ATTN_POST, sum));
    return builder_norm(b, SLOT_MLP_POST, builder_add(b, BRANCH_MLP, mid, builder_mlp(b, mid)));
}

/* y = N(x + A(x) + M(x)). */
static int parallel_block(builder *b, int x)
{
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, builder_attention(b, x)));
    return builder_norm(b, SLOT_ATTN_POST, builder_add(b, BRANCH_MLP, mid, builder_mlp(b, x)));
}

const placement placement_post_ln = {
    .entry = {.name = "post_ln",
              .summary = "x' = N(x + A(x)); y = N(x' + M(x')); no final norm",
              .source = "arXiv:1706.03762"},
    .uses = USES(RESIDUAL) | USES(GPAS),
    .inside = {.gpas_first = true},
    .block = block,
    .theory = {.known = true, .attn = {.post = true}, .mlp = {.post = true}},
    .parallel_block = parallel_block,
};
