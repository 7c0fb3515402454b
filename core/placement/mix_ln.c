/* The first floor(fraction L) blocks are those of post_ln, the rest those of pre_ln; final norm.
 * Source: arXiv:2412.13795; MixLN, peft_pretraining/modeling_llama.py, norm type post_pre. */
#include "core/placement.h"

#include <math.h>

static int block(builder *b, int x)
{
    const double rounding = 1e-9; /* a third of 3 blocks is one */
    double posts = floor(b->spec->strategy.fraction * b->spec->depth + rounding);
    return placement_block(b, b->g->layer <= posts ? &placement_post_ln : &placement_pre_ln, x);
}

const placement placement_mix_ln = {
    .entry = {.name = "mix_ln",
              .summary = "blocks 1..floor(fraction L): post_ln; the rest: pre_ln; final norm",
              .source = "arXiv:2412.13795"},
    .final_norm = true,
    .uses = USES(RESIDUAL) | USES(GPAS) | USES(FRACTION),
    .block = block,
};
