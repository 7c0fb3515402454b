/* The slots of a block: what mixes tokens (model.mixer), and the MLP (model.mlp). One row each in
 * slot.def. */
#ifndef CORE_NETWORK_SLOT_H
#define CORE_NETWORK_SLOT_H

#include "core/network/builder.h"

enum { SLOTS = 2 };

extern const registry mixer_registry, mlp_registry;

/* The sublayers of a block of this spec, in order; returns how many. */
int slot_branches(const branch *out[SLOTS], const run_spec *spec);

/* Hidden units of the MLP: what its activation makes. */
int slot_units(const run_spec *spec);

/* NULL: the block has none. */
const branch *slot_mixer(const run_spec *spec);
const branch *slot_mlp(const run_spec *spec);

#endif
