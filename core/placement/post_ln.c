/* x' = N(x + A(x)), y = N(x' + M(x')): the norm is on the stream, no final norm. */
#include "core/placement/placement.h"

static int sublayer(builder *b, const branch *s, int x)
{
    return builder_norm(b, s->post, builder_add(b, s, x, s->build(b, x)));
}

/* y = N(x + A(x) + M(x)). */
static int parallel_block(builder *b, int x)
{
    int mid = builder_mid(b, builder_add(b, &branch_attention, x, builder_attention(b, x)));
    return builder_norm(b, SLOT_ATTN_POST, builder_add(b, &branch_mlp, mid, builder_mlp(b, x)));
}

const placement placement_post_ln = {
    .entry = {.name = "post_ln",
              .summary = "x' = N(x + A(x)); y = N(x' + M(x')); no final norm",
              .source = "arXiv:1706.03762"},
    .uses = USES(RESIDUAL) | USES(GPAS),
    .inside = {.gpas_first = true},
    .sublayer = sublayer,
    .theory = {.known = true, .attn = {.post = true}, .mlp = {.post = true}},
    .parallel_block = parallel_block,
};
