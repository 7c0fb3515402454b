#include "core/norm/norm.h"

const norm *const norm_table[] = {
#define NORM(name) &norm_##name,
#include "core/norm/norm.def"
#undef NORM
};

static const entry *const rows[] = {
#define NORM(name) &norm_##name.entry,
#include "core/norm/norm.def"
#undef NORM
};

const registry norm_registry = {"norms", "how values are normalized", rows,
                                sizeof rows / sizeof *rows};

bool norm_fits_head(const norm *n)
{
    return !n->is_identity && !n->batch && !n->of_groups && !n->pointwise && !n->compressed;
}
