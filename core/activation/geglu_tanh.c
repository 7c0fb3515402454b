/* GEGLU with the tanh form of gelu, as Gemma and T5 1.1 have it: y = gelu_tanh(gate) up, the hidden
 * units coming in two halves [gate | up]. */
#include "core/activation/activation.h"

const activation activation_geglu_tanh = {
    .entry = {.name = "geglu_tanh",
              .summary = "y = gelu_tanh(gate) * up, two matrices in",
              .source = "arXiv:2002.05202; huggingface/transformers, models/gemma"},
    .gate = &activation_gelu_tanh,
};
