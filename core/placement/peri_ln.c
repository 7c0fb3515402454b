/* x' = x + N_out(A(N_in(x))), y = x' + N_out(M(N_in(x'))); final norm. With strategy.embed_norm the
 * embedding is normed too, as in the paper's base variant. */
#include "core/placement/placement.h"

static int sublayer(builder *b, const branch *s, int x)
{
    int out = builder_norm(b, s->out, s->build(b, builder_norm(b, s->in, x)));
    return builder_add(b, s, x, out);
}

static int parallel_block(builder *b, int x)
{
    int in = builder_norm(b, SLOT_ATTN_IN, x);
    int attn = builder_norm(b, SLOT_ATTN_OUT, builder_attention(b, in));
    int mid = builder_mid(b, builder_add(b, &branch_attention, x, attn));
    int mlp = builder_norm(b, SLOT_MLP_OUT, builder_mlp(b, builder_parallel_norm(b, x, in)));
    return builder_add(b, &branch_mlp, mid, mlp);
}

const placement placement_peri_ln = {
    .entry = {.name = "peri_ln",
              .summary = "x' = x + N_out(A(N_in(x))); y = x' + N_out(M(N_in(x'))); final norm",
              .source = "arXiv:2502.02732"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(OUT_GAIN) | USES(PARALLEL),
    .sublayer = sublayer,
    .theory = {.known = true, .attn = {.in = true, .out = true}, .mlp = {.in = true, .out = true}},
    .parallel_block = parallel_block,
};
