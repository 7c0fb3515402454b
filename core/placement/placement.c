#include "core/placement/placement.h"

const placement *const placement_table[] = {
#define PLACEMENT(name) &placement_##name,
#include "core/placement/placement.def"
#undef PLACEMENT
};

static const entry *const rows[] = {
#define PLACEMENT(name) &placement_##name.entry,
#include "core/placement/placement.def"
#undef PLACEMENT
};

const registry placement_registry = {"placements", "where the norms of a block sit", rows,
                                     sizeof rows / sizeof *rows};

int placement_block(builder *b, const placement *kind, int x)
{
    const branch_hooks *own = b->inside;
    b->inside = &kind->inside;
    for (int i = 0; i < b->n_sublayers && !kind->block; i++) {
        x = kind->sublayer(b, b->sublayers[i], x);
        if (i + 1 < b->n_sublayers) x = builder_mid(b, x);
    }
    if (kind->block) x = kind->block(b, x);
    b->inside = own;
    return x;
}
