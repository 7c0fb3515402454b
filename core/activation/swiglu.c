/* SwiGLU: y = silu(gate) up, the hidden units coming in two halves [gate | up]. */
#include "core/activation/activation.h"

const activation activation_swiglu = {
    .entry = {.name = "swiglu",
              .summary = "y = silu(gate) * up, two matrices in",
              .source = "arXiv:2002.05202"},
    .gate = &activation_silu,
};
