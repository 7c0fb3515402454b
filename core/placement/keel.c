/* x' = N_post(alpha x + A(N_in(x))), y = N_post(alpha x' + M(N_in(x'))), alpha the number of
 * sublayers 2 L unless strategy.alpha says otherwise; no final norm. Source: arXiv:2601.19895, by
 * notes on it; the default of alpha is from memory, and no official code was found. */
#include "core/placement/placement.h"

#include <math.h>

static double alpha_of(const run_spec *spec, int layer)
{
    (void)layer;
    double given = spec->strategy.alpha;
    return isnan(given) ? 2.0 * spec->depth : given;
}

static int sublayer(builder *b, const branch *s, int x)
{
    int out = s->build(b, builder_norm(b, s->in, x));
    double alpha = alpha_of(b->spec, b->g->layer);
    return builder_norm(b, s->post, builder_add_scaled(b, s, alpha, x, out));
}

const placement placement_keel = {
    .entry = {.name = "keel",
              .summary = "x' = N(alpha x + A(N(x))); y = N(alpha x' + M(N(x'))), alpha = 2 L; no "
                         "final norm",
              .source = "arXiv:2601.19895"},
    .uses = USES(PAIR) | USES(RESIDUAL) | USES(GPAS) | USES(STREAM_ALPHA),
    .inside = {.gpas_first = true},
    .sublayer = sublayer,
    .theory = {.known = true,
               .attn = {.in = true, .post = true},
               .mlp = {.in = true, .post = true},
               .alpha = alpha_of},
};
