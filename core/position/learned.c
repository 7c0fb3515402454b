/* A learned table [T, D] added to the embedding. */
#include "core/position/position.h"

const position position_learned = {
    .entry = {.name = "learned",
              .summary = "x_0[t] += P[t], P learned",
              .source = "arXiv:1705.03122"},
    .has_table = true,
};
