/* x' = x + N_out(A(N_in(x))), y = x' + N_out(M(N_in(x'))); final norm. With strategy.embed_norm the
 * embedding is normed too, as in the paper's base variant. */
#include "core/placement/placement.h"

static int block(builder *b, int x)
{
    int attn =
        builder_norm(b, SLOT_ATTN_OUT, builder_attention(b, builder_norm(b, SLOT_ATTN_IN, x)));
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, attn));
    int mlp = builder_norm(b, SLOT_MLP_OUT, builder_mlp(b, builder_norm(b, SLOT_MLP_IN, mid)));
    return builder_add(b, BRANCH_MLP, mid, mlp);
}

static int parallel_block(builder *b, int x)
{
    int in = builder_norm(b, SLOT_ATTN_IN, x);
    int attn = builder_norm(b, SLOT_ATTN_OUT, builder_attention(b, in));
    int mid = builder_mid(b, builder_add(b, BRANCH_ATTN, x, attn));
    int mlp = builder_norm(b, SLOT_MLP_OUT, builder_mlp(b, builder_parallel_norm(b, x, in)));
    return builder_add(b, BRANCH_MLP, mid, mlp);
}

const placement placement_peri_ln = {
    .entry = {.name = "peri_ln",
              .summary = "x' = x + N_out(A(N_in(x))); y = x' + N_out(M(N_in(x'))); final norm",
              .source = "arXiv:2502.02732"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(OUT_GAIN) | USES(PARALLEL),
    .block = block,
    .theory = {.known = true, .attn = {.in = true, .out = true}, .mlp = {.in = true, .out = true}},
    .parallel_block = parallel_block,
};
