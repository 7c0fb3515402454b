/* ResiDual: a normed stream p and a second one q that only adds up:
 *
 *   p' = N(p + A(p)),  q' = q + A(p);  p'' = N(p' + M(p')),  q'' = q' + M(p')
 *
 * output p_L + N(q_L). Both start as the embedding. The stream of the results is p.
 */
#include "core/placement/placement.h"

#include "core/op/op.h"

static int begin(builder *b, int x)
{
    b->second = x;
    return x;
}

static int sublayer(builder *b, const branch *s, int p)
{
    int out = builder_branch(b, s, s->build(b, p));
    b->second = op_add_build(b->g, b->second, out);
    return builder_norm(b, s->post, op_add_build(b->g, p, out));
}

static int end(builder *b, int p)
{
    return op_add_build(b->g, p, builder_norm(b, SLOT_FINAL_Y, b->second));
}

const placement placement_residual_dual = {
    .entry = {.name = "residual_dual",
              .summary = "p' = N(p + f(p)); q' = q + f(p); output p + N(q)",
              .source = "arXiv:2304.14802"},
    .uses = USES(RESIDUAL),
    .begin = begin,
    .sublayer = sublayer,
    .theory = {.known = true, .stream_only = true, .attn = {.post = true}, .mlp = {.post = true}},
    .end = end,
};
