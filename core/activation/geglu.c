/* GEGLU: y = gelu(gate) up, the hidden units coming in two halves [gate | up]. */
#include "core/activation/activation.h"

const activation activation_geglu = {
    .entry = {.name = "geglu",
              .summary = "y = gelu(gate) * up, two matrices in",
              .source = "arXiv:2002.05202"},
    .gate = &activation_gelu,
};
