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

/* One after the other. */
static int sublayers(builder *b, const placement *kind, int x)
{
    for (int i = 0; i < b->n_sublayers; i++) {
        if (i > 0) x = builder_mid(b, x);
        x = kind->sublayer(b, b->sublayers[i], x);
    }
    return x;
}

int placement_block(builder *b, const placement *kind, int x)
{
    const branch_hooks *own = b->inside;
    b->inside = &kind->inside;
    x = kind->block ? kind->block(b, x) : sublayers(b, kind, x);
    b->inside = own;
    return x;
}
