/* Eigenvalues of symmetric tridiagonal matrices, one per lane, in one or two groups of eight lanes.
 *
 * d [n] the diagonals, e [n] the squares of the off-diagonals: e[i] couples i and i + 1, e[n - 1]
 * is ignored. Both are overwritten; d ends up with the eigenvalues in no particular order.
 * split [n] is work space. Entries must be finite and at most about 1 in size. A lane that has not
 * converged after 30 n sweeps (never seen) ends up NaN.
 *
 * A sweep is one chain of dependent divisions, so two groups go through it together in the time of
 * one. Each lane has its own position and its own end of sweep; lanes at different positions share
 * one loop in which those that have nothing to do at an index are masked, so that a lane's bits
 * depend on that lane only. Off-diagonals below eps times the largest entry of the lane count as
 * zero: eigenvalues are exact to that and no further. Allocates nothing. Any thread.
 */
#ifndef CORE_METRIC_TRIDIAGONAL_H
#define CORE_METRIC_TRIDIAGONAL_H

#include "core/metric/lanes.h"

enum { TRIDIAGONAL_GROUPS = 2 };

typedef struct tridiagonal {
    f64x8 *d, *e;
    i64x8 *split; /* split[i]: the first k >= i whose e[k] is negligible, n - 1 if none */
    int n;
    /* Where each lane stands: it works on [at, end], and is finished when at == n. */
    int64_t at[LANES], end[LANES], sweeps[LANES];
    f64x8 shift, negligible;
} tridiagonal;

void tridiagonal_init(tridiagonal *t, f64x8 *d, f64x8 *e, f64x8 *split, int n);
void tridiagonal_solve(tridiagonal *t, int groups);

#endif
