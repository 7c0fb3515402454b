/* Positions: one file each under core/position/, one row in position.def. */
#ifndef CORE_POSITION_H
#define CORE_POSITION_H

#include "core/base/registry.h"
#include "core/real.h"

typedef struct position {
    entry entry;
    bool has_table; /* a learned [T, D] parameter is added to the embedding */
    bool rotates;   /* q and k are turned (op rope) */
    void (*add_row)(real *y, int t, size_t width); /* adds a fixed row; NULL: none */
} position;

#define POSITION(name) extern const position position_##name;
#include "core/position.def"
#undef POSITION

extern const position *const position_table[];
extern const registry position_registry;

#endif
