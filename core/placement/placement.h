/* Placements: where the norms of a block sit. One file each under core/placement/, one row in
 * placement.def.
 *
 * sublayer appends one sublayer of a block, from the stream it reads to the stream after it: a block
 * is the family's sublayers in turn (builder.h). With spec.model.parallel the block is
 * parallel_block, whose branches read the same input. The other hooks are NULL where a placement has
 * nothing of its own there.
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
    /* The stream after one sublayer; a block is one after the other. */
    int (*sublayer)(builder *b, const branch *s, int x);
    int (*block)(builder *b, int x);          /* in their place, where a block is no such loop */
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

/* One block of a placement, with its hooks: the one of the run, or another's. */
int placement_block(builder *b, const placement *kind, int x);

#endif
