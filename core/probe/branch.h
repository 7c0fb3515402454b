/* The part of the probe that looks at branches: each is measured where it meets its stream, at the
 * sum, when both have just been read; a copy of it waits for the same branch of the next block.
 */
#ifndef CORE_PROBE_BRANCH_H
#define CORE_PROBE_BRANCH_H

#include "core/graph/exec.h"
#include "core/metric/branch.h"
#include "core/op/op.h"

typedef struct probe_branch {
    const graph *g;
    bool sums, alignment, stalls; /* wanted */
    branch_sums *taps;            /* [n_taps, B] */
    real *last[2];                /* [B, T, D] of each kind: attention, MLP */
    size_t numbers;               /* of one sequence */
} probe_branch;

void probe_branch_init(probe_branch *p, const graph *g);
/* Carves its memory from a counting or real arena. */
void probe_branch_layout(probe_branch *p, arena *a);
/* After a node of the forward pass has run: is it a sum with a branch that is measured? */
void probe_branch_values(probe_branch *p, const exec *x, const node *n, const span *s);
/* In the order of the taps. */
void probe_branch_finish(probe_branch *p, int tap_index, metric_value out[]);

#endif
