/* Rotary positions: q and k turned by op rope; nothing is added to the embedding. */
#include "core/position/position.h"

const position position_rope = {
    .entry = {.name = "rope",
              .summary = "entries (j, j + d_k/2) of q and k turned by t base^(-2j/d_k)",
              .source = "arXiv:2104.09864"},
    .rotates = true,
};
