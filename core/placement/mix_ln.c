/* The first floor(fraction L) blocks are those of post_ln, the rest those of pre_ln; final norm.
 * Source: arXiv:2412.13795; MixLN, peft_pretraining/modeling_llama.py, norm type post_pre. */
#include "core/placement/placement.h"

#include <math.h>

static const placement *kind_of(const run_spec *spec, int layer)
{
    const double rounding = 1e-9; /* a third of 3 blocks is one */
    double posts = floor(spec->strategy.fraction * spec->depth + rounding);
    return layer <= posts ? &placement_post_ln : &placement_pre_ln;
}

static int block(builder *b, int x)
{
    return placement_block(b, kind_of(b->spec, b->g->layer), x);
}

const placement placement_mix_ln = {
    .entry = {.name = "mix_ln",
              .summary = "blocks 1..floor(fraction L): post_ln; the rest: pre_ln; final norm",
              .source = "arXiv:2412.13795"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(FRACTION),
    .block = block,
    .theory = {.known = true, .kind = kind_of},
};
