/* x <- N(f(W x + b)): no sum, the norm after the activation. */
#include "core/placement/skipless.h"

static int hidden(builder *b, int h)
{
    return builder_norm(b, SLOT_MLP_INNER, h);
}

const placement placement_chain_post_act = {
    .entry = {.name = "chain_post_act",
              .summary = "x <- N(f(W x + b)): no sum, the norm after the activation; of MLPs alone",
              .source = "arXiv:1607.06450"},
    .uses = USES(CHAIN),
    .sublayer = skipless_sublayer,
    .theory = {.known = true, .no_skip = true, .mlp = {.inner = true}},
    .inside = {.hidden = hidden},
};
