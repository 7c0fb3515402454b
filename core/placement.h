/* Placements: where the norms of a block sit. One file each under core/placement/, one row in
 * placement.def. block appends one block that reads the stream x and returns the new stream; with
 * spec.model.parallel both branches read the same input. */
#ifndef CORE_PLACEMENT_H
#define CORE_PLACEMENT_H

#include "core/builder.h"

typedef struct placement {
    entry entry;
    bool final_norm; /* default of strategy.final_norm */
    int (*block)(builder *b, int x);
    int (*parallel_block)(builder *b, int x);
} placement;

#define PLACEMENT(name) extern const placement placement_##name;
#include "core/placement.def"
#undef PLACEMENT

extern const placement *const placement_table[];
extern const registry placement_registry;

#endif
