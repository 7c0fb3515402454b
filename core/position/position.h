/* Positions: one file each under core/position/, one row in position.def. */
#ifndef CORE_POSITION_POSITION_H
#define CORE_POSITION_POSITION_H

#include "core/base/registry.h"
#include "core/real.h"

/* Biases by distance: B_ij = table[position_bucket(j - i)][h], table [buckets, H] learned, one for
 * all blocks. Half of the buckets hold one distance each; the rest widen geometrically up to
 * farthest, beyond which all share the last. Without causality half of them are for keys behind the
 * query. */
typedef struct position {
    entry entry;
    int buckets, farthest; /* of biases by distance; 0: none */
    bool has_table;        /* a learned [T, D] parameter is added to the embedding */
    bool rotates;          /* q and k are turned (op rope) */
    void (*add_row)(real *y, int t, size_t width); /* adds a fixed row; NULL: none */
} position;

#define POSITION(name) extern const position position_##name;
#include "core/position/position.def"
#undef POSITION

/* Row of the table for a key that stands `ahead` tokens after the query. */
size_t position_bucket(const position *p, bool causal, long ahead);

extern const position *const position_table[];
extern const registry position_registry;

#endif
