#include "core/optimizer/optimizer.h"

const optimizer *const optimizer_table[] = {
#define OPTIMIZER(name) &optimizer_##name,
#include "core/optimizer/optimizer.def"
#undef OPTIMIZER
};

static const entry *const rows[] = {
#define OPTIMIZER(name) &optimizer_##name.entry,
#include "core/optimizer/optimizer.def"
#undef OPTIMIZER
};

const registry optimizer_registry = {"optimizers", "how weights move", rows,
                                     sizeof rows / sizeof *rows};
