/* u = N(x + A(x)), y = N(x + u + M(u)): Post-LN with one more way past the whole block; no final
 * norm. All matrices of the blocks start 1/sqrt(L) times as large. Source: arXiv:2206.00330;
 * b2t_connection, fairseq/modules/transformer_layer.py. */
#include "core/placement/placement.h"

#include "core/op/op.h"

#include <math.h>

static int block(builder *b, int x)
{
    int sum = builder_add(b, BRANCH_ATTN, x, builder_attention(b, x));
    int mid = builder_mid(b, builder_norm(b, SLOT_ATTN_POST, sum));
    int mlp = builder_mlp(b, mid), around = op_add_build(b->g, x, mid);
    return builder_norm(b, SLOT_MLP_POST, builder_add(b, BRANCH_MLP, around, mlp));
}

static init_rule start(const run_spec *spec, const param *p, init_rule r)
{
    if (init_is_block_matrix(p)) r.scale /= sqrt((double)spec->depth);
    return r;
}

const placement placement_b2t = {
    .entry = {.name = "b2t",
              .summary = "u = N(x + A(x)); y = N(x + u + M(u)); no final norm",
              .source = "arXiv:2206.00330"},
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(INIT_FACTOR),
    .inside = {.gpas_first = true},
    .block = block,
    .theory = {.known = true, .attn = {.post = true}, .mlp = {.post = true, .around = true}},
    .init = start,
};
