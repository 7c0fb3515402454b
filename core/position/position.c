#include "core/position/position.h"

#include <math.h>
#include <stdlib.h>

const position *const position_table[] = {
#define POSITION(name) &position_##name,
#include "core/position/position.def"
#undef POSITION
};

static const entry *const rows[] = {
#define POSITION(name) &position_##name.entry,
#include "core/position/position.def"
#undef POSITION
};

const registry position_registry = {"positions", "how tokens know their place", rows,
                                    sizeof rows / sizeof *rows};

size_t position_bucket(const position *p, bool causal, long ahead)
{
    long buckets = causal ? p->buckets : p->buckets / 2, near = buckets / 2;
    long base = !causal && ahead > 0 ? buckets : 0, distance = labs(ahead);
    if (causal && ahead > 0) distance = 0; /* masked; as published */
    if (distance < near) return (size_t)(base + distance);
    const double rounding = 1e-9; /* distances on a boundary belong to the farther bucket */
    double share = log((double)distance / (double)near) / log((double)p->farthest / (double)near);
    long far = near + (long)(share * (double)(buckets - near) + rounding);
    return (size_t)(base + (far < buckets ? far : buckets - 1));
}
