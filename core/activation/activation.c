#include "core/activation/activation.h"

const activation *const activation_table[] = {
#define ACTIVATION(name) &activation_##name,
#include "core/activation/activation.def"
#undef ACTIVATION
};

static const entry *const rows[] = {
#define ACTIVATION(name) &activation_##name.entry,
#include "core/activation/activation.def"
#undef ACTIVATION
};

const registry activation_registry = {"activations", "pointwise functions of the MLP", rows,
                                      sizeof rows / sizeof *rows};
