/* u = N(x + A(x)), y = N(x + u + M(u)): Post-LN with one more way past the whole block; no final
 * norm. All matrices of the blocks start 1/sqrt(L) times as large. Source: arXiv:2206.00330;
 * b2t_connection, fairseq/modules/transformer_layer.py. */
#include "core/placement/placement.h"

#include "core/op/op.h"

#include <math.h>

static int sublayer(builder *b, const branch *s, int x)
{
    bool first = !s->is_mlp;
    int out = s->build(b, x), by = first ? x : op_add_build(b->g, b->entered, x);
    if (first) b->entered = x;
    return builder_norm(b, s->post, builder_add(b, s, by, out));
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
    .uses = USES(PAIR) | USES(RESIDUAL) | USES(GPAS) | USES(INIT_FACTOR),
    .inside = {.gpas_first = true},
    .sublayer = sublayer,
    .theory = {.known = true, .attn = {.post = true}, .mlp = {.post = true, .around = true}},
    .init = start,
};
