/* Placements: where the norms of a block sit. One file each under core/placement/, one row in
 * placement.def.
 *
 * block appends one block that reads the stream x and returns the new stream; with
 * spec.model.parallel it is parallel_block, whose branches read the same input. The other hooks are
 * NULL where a placement has nothing of its own there.
 */
#ifndef CORE_PLACEMENT_PLACEMENT_H
#define CORE_PLACEMENT_PLACEMENT_H

#include "core/init/init.h"
#include "core/network/builder.h"
#include "core/placement/recipe.h"

typedef struct placement {
    entry entry;
    bool final_norm; /* default of strategy.final_norm */
    int narrower;    /* features that the stream has less than d_model */
    use_set uses;    /* bit per enum use: which fields mean something here */
    int (*block)(builder *b, int x);
    int (*parallel_block)(builder *b, int x); /* NULL: model.parallel is refused */
    int (*begin)(builder *b, int x); /* after the embedding: the first stream; may set b->second */
    int (*end)(builder *b, int x);   /* after the last block, before the final norm */
    branch_hooks inside;
    int (*logits)(builder *b, int x); /* vocabulary logits */
    init_adjust *init;                /* what becomes of the initial weights; uses INIT_FACTOR */
    param_projection (*projection)(const param *p); /* after init and after each update */
    recipe theory; /* how the norms stand, for predictions; unknown: none are made */
    err_code (*check)(const run_spec *spec, error *err);
} placement;

#define PLACEMENT(name) extern const placement placement_##name;
#include "core/placement/placement.def"
#undef PLACEMENT

extern const placement *const placement_table[];
extern const registry placement_registry;

/* One block of another placement, hooks and all. */
int placement_block(builder *b, const placement *kind, int x);

#endif
