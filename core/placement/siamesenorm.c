/* Two streams, x normed after each sum and y never; both branches feed both:
 *
 *   x <- N_post(x),  z = N_in(x + N_y(y)),  b = f(z),  x <- x + b / sqrt(2 l),  y <- y + b
 *
 * for f = A, then M, in block l = 1..L; output N(N_a(x) + N_b(y)). Both start as the embedding. The
 * stream of the results is y.
 */
#include "core/placement/placement.h"

#include "core/op/op.h"

#include <math.h>

static int begin(builder *b, int x)
{
    b->second = x;
    return x;
}

/* Takes and returns y, moves x. */
static int sublayer(builder *b, const branch *s, int y)
{
    graph *g = b->g;
    int x = builder_norm(b, s->post, b->second);
    int seen = op_add_build(g, x, builder_norm(b, s->beside, y));
    int out = builder_branch(b, s, s->build(b, builder_norm(b, s->in, seen)));
    b->second = op_mix_build(g, 1, x, 1 / sqrt(2.0 * g->layer), out);
    return op_add_build(g, y, out);
}

static int end(builder *b, int y)
{
    int x = builder_norm(b, SLOT_FINAL_X, b->second);
    return op_add_build(b->g, x, builder_norm(b, SLOT_FINAL_Y, y));
}

const placement placement_siamesenorm = {
    .entry = {.name = "siamesenorm",
              .summary = "x = N(x); z = N(x + N(y)); x += f(z)/sqrt(2 l); y += f(z); final norm of "
                         "N(x) + N(y)",
              .source = "arXiv:2602.08064"},
    .final_norm = true,
    .uses = USES(RESIDUAL),
    .theory = {.unknown = REASON_NO_LAW_STREAMS},
    .begin = begin,
    .sublayer = sublayer,
    .end = end,
};
