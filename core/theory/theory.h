/* Predictions of what a run measures at its start, from the spec alone.
 *
 * Forward: the kernel of the tokens from x_0 through every sublayer (block.h); backward: the kernel
 * of the gradient from the loss's own. Blocks are walked one by one. What the backward walk
 * needs of them is kept for as many as fit THEORY_KEPT bytes (THEORY_KEPT_RUN in a run, which has
 * little depth and better use for memory), and of those before only the kernel at every so many
 * blocks, from where it goes forward again: time O(L n^2) for n groups of tokens.
 *
 * Groups: up to THEORY_GROUPS, fewer (down to THEORY_GROUPS_RUN) where more would cost over a
 * twentieth of a pass of the run, and fewer again for deep networks, so that L n^2 stays below
 * THEORY_BUDGET, down to THEORY_GROUPS_MIN; one where tokens are exchangeable. Beyond n tokens
 * groups grow by a constant factor from the first token on (tokens.h).
 *
 * Each prediction has the tolerance of one run: 0.01 + 4 s on ln q, s from spread (block.h).
 */
#ifndef CORE_THEORY_THEORY_H
#define CORE_THEORY_THEORY_H

#include "core/base/arena.h"
#include "core/result.h"
#include "core/theory/setting.h"

enum { THEORY_KEPT = 1 << 27, THEORY_KEPT_RUN = 1 << 23 };
enum { THEORY_GROUPS = 48, THEORY_GROUPS_RUN = 12, THEORY_GROUPS_MIN = 6, THEORY_BUDGET = 1 << 17 };

/* Counted with a counting arena: what theory_predict needs; alone: without the data of a run. */
size_t theory_bytes(const run_spec *spec, bool alone);
/* data NULL: expectations. memory: theory_bytes with alone where there are no data, aligned to 64.
 * Only what spec.measure wants; where there is no law one row with the reason per metric. A null
 * predict of the sink: nothing. */
void theory_predict(const run_spec *spec, const theory_data *data, void *memory, const sink *to);

#endif
