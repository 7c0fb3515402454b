#include "core/loss/loss.h"

const loss *const loss_table[] = {
#define LOSS(name) &loss_##name,
#include "core/loss/loss.def"
#undef LOSS
};

static const entry *const rows[] = {
#define LOSS(name) &loss_##name.entry,
#include "core/loss/loss.def"
#undef LOSS
};

const registry loss_registry = {"losses", "what the gradient starts from", rows,
                                sizeof rows / sizeof *rows};
