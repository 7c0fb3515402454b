/* Learned biases on the attention logits by distance, as in T5. */
#include "core/position/position.h"

const position position_relative_bias = {
    .entry = {.name = "relative_bias",
              .summary =
                  "logits + b[bucket(j - i)][h], b [32, H] learned, one table for all blocks; "
                  "N(0, 1/D) at the start",
              .source = "arXiv:1910.10683; Hugging Face transformers, modeling_t5.py"},
    .buckets = 32,
    .farthest = 128,
};
