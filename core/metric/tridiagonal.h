/* Eigenvalues of eight symmetric tridiagonal matrices, one per lane.
 *
 * d [n] the diagonals, e [n] the squares of the off-diagonals: e[i] couples i and i + 1, e[n - 1] is
 * ignored. Both are interleaved by eight lanes and overwritten; d ends up with the eigenvalues in no
 * particular order. work [n] lanes. Entries must be finite and at most about 1 in size. A lane that
 * has not converged after 30 n sweeps (never seen) ends up NaN.
 *
 * Each lane has its own position and its own end of sweep; lanes at different positions share one
 * loop in which those that have nothing to do at an index are masked, so that a lane's bits depend on
 * that lane only. Off-diagonals below eps times the largest entry of the lane count as zero:
 * eigenvalues are exact to that and no further. Allocates nothing. Any thread.
 */
#ifndef CORE_METRIC_TRIDIAGONAL_H
#define CORE_METRIC_TRIDIAGONAL_H

#include "core/metric/lanes.h"

void tridiagonal_lanes(f64x8 *d, f64x8 *e, f64x8 *work, int n);

#endif
