#include "core/op/op.h"

static const entry *const rows[] = {
#define OP(name) &op_##name.entry,
#include "core/op/op.def"
#undef OP
};

const registry op_registry = {"ops", "what a graph is made of", rows, sizeof rows / sizeof *rows};
