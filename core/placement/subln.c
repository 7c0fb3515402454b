/* The block of pre_ln with a second norm in each branch, before its output matrix: over the
 * concatenated heads before W_O, over the hidden units before W_2; final norm. Source:
 * arXiv:2210.06423; torchscale, architecture/{encoder,decoder}.py. */
#include "core/placement.h"

static int block(builder *b, int x)
{
    return placement_pre_ln.block(b, x);
}

static int values(builder *b, int y)
{
    return builder_norm(b, SLOT_ATTN_INNER, y);
}

static int hidden(builder *b, int h)
{
    return builder_norm(b, SLOT_MLP_INNER, h);
}

const placement placement_subln = {
    .entry = {.name = "subln",
              .summary = "x' = x + W_O N(heads(N(x))); y = x' + W_2 N(f(W_1 N(x'))); final norm",
              .source = "arXiv:2210.06423"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS),
    .block = block,
    .values = values,
    .hidden = hidden,
};
