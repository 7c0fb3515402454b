/* x' = x + N(A(x)), y = x' + N(M(x')): branches read the raw stream and their outputs are normed;
 * final norm. Swin-V2 starts these gains at 0, OLMo-2 at 1 with queries and keys normed. */
#include "core/placement/placement.h"

static int sublayer(builder *b, const branch *s, int x)
{
    return builder_add(b, s, x, builder_norm(b, s->out, s->build(b, x)));
}

const placement placement_res_post_norm = {
    .entry = {.name = "res_post_norm",
              .summary = "x' = x + N(A(x)); y = x' + N(M(x')); final norm",
              .source = "arXiv:2111.09883"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(OUT_GAIN),
    .sublayer = sublayer,
    .theory = {.known = true, .attn = {.out = true}, .mlp = {.out = true}},
};
