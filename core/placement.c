#include "core/placement.h"

const placement *const placement_table[] = {
#define PLACEMENT(name) &placement_##name,
#include "core/placement.def"
#undef PLACEMENT
};

static const entry *const rows[] = {
#define PLACEMENT(name) &placement_##name.entry,
#include "core/placement.def"
#undef PLACEMENT
};

const registry placement_registry = {"placements", "where the norms of a block sit", rows,
                                     sizeof rows / sizeof *rows};
