/* x' = x + N(A(x)), y = x' + N(M(x')): branches read the raw stream and their outputs are normed;
 * final norm. Swin-V2 starts these gains at 0, OLMo-2 at 1 with queries and keys normed. */
#include "core/placement/placement.h"

static int block(builder *b, int x)
{
    int attn = builder_norm(b, SLOT_ATTN_OUT, builder_attention(b, x));
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, attn));
    int mlp = builder_norm(b, SLOT_MLP_OUT, builder_mlp(b, mid));
    return builder_add(b, BRANCH_MLP, mid, mlp);
}

const placement placement_res_post_norm = {
    .entry = {.name = "res_post_norm",
              .summary = "x' = x + N(A(x)); y = x' + N(M(x')); final norm",
              .source = "arXiv:2111.09883"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(OUT_GAIN),
    .block = block,
    .theory = {.known = true, .attn = {.out = true}, .mlp = {.out = true}},
};
