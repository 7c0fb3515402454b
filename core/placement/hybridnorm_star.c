/* As hybridnorm, but block 1 is that of pre_ln. */
#include "core/placement/placement.h"

static const placement *kind_of(const run_spec *spec, int layer)
{
    (void)spec;
    return layer == 1 ? &placement_pre_ln : &placement_hybridnorm;
}

static int block(builder *b, int x)
{
    return placement_block(b, kind_of(b->spec, b->g->layer), x);
}

const placement placement_hybridnorm_star = {
    .entry = {.name = "hybridnorm_star",
              .summary = "block 1: pre_ln; the others: x' = x + A(x); u = N(x'); y = u + M(u); "
                         "final norm",
              .source = "arXiv:2503.04598"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS),
    .block = block,
    .theory = {.known = true, .kind = kind_of},
};
