/* The profiling pass of a run (exec_profile): when it is made, and when once more.
 *
 * It comes after the initial weights and before the first pass, on the first batch, so that what it
 * sets (omega of admin, sigma of frozen norms) is among what a run shows as its start. Whoever
 * loads other weights then brings these along; where they do not, because the weights come from a
 * model that has no such thing, the pass is made again with the loaded weights.
 */
#ifndef CORE_RUN_PROFILE_H
#define CORE_RUN_PROFILE_H

#include "core/graph/pass.h"

#include <stdint.h>

typedef struct profile_mark {
    uint64_t weights, profiled;
} profile_mark;

/* A digest of the parameters, and one of what the pass sets. */
profile_mark profile_mark_of(const exec *x);
/* Were weights changed since, but nothing that the pass sets? */
bool profile_is_stale(const exec *x, profile_mark before);

#endif
