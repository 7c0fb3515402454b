/* x' = x + N(W_O (s_h head_h(N(x)))), y = lambda x' + W_2 N(f(W_1 N(x'))): Pre-LN with a learned
 * scale s_h per head, a norm after W_O and one over the hidden units; with strategy.resscale lambda
 * is a learned gain [D], else 1; final norm. Source: arXiv:2110.09456; the scale stands before W_O
 * as in the paper, fairseq has it after. */
#include "core/placement/placement.h"

static int values(builder *b, int y)
{
    return builder_gain(b, "attn.head_scale", (size_t)b->spec->model.n_heads, 1, y);
}

static int hidden(builder *b, int h)
{
    return builder_norm(b, SLOT_MLP_INNER, h);
}

static int sublayer(builder *b, const branch *s, int x)
{
    int out = s->build(b, builder_norm(b, s->in, x));
    if (!s->is_mlp) return builder_add(b, s, x, builder_norm(b, s->out, out));
    if (b->spec->strategy.resscale) x = builder_gain(b, "mlp.res_scale", (size_t)b->width, 1, x);
    return builder_add(b, s, x, out);
}

const placement placement_normformer = {
    .entry = {.name = "normformer",
              .summary = "x' = x + N(W_O (s_h head_h(N(x)))); y = x' + W_2 N(f(W_1 N(x'))), s_h "
                         "learned; final norm",
              .source = "arXiv:2110.09456"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(OUT_GAIN) | USES(RESSCALE),
    .sublayer = sublayer,
    .theory = {.known = true,
               .attn = {.in = true, .out = true},
               .mlp = {.in = true, .inner = true}},
    .inside = {.values = values, .hidden = hidden},
};
