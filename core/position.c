#include "core/position.h"

const position *const position_table[] = {
#define POSITION(name) &position_##name,
#include "core/position.def"
#undef POSITION
};

static const entry *const rows[] = {
#define POSITION(name) &position_##name.entry,
#include "core/position.def"
#undef POSITION
};

const registry position_registry = {"positions", "how tokens know their place", rows,
                                    sizeof rows / sizeof *rows};
