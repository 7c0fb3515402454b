/* Spikes in the gradient norms of a short training run, g_t of step t, before clipping.
 *
 *   z_t = (ln g_t - m_t)/(1.4826 MAD_t + 1e-3)
 *
 * m_t the median and MAD_t the median absolute deviation of ln g over the 32 steps before t (those
 * there are, 8 at least). A step with z_t > 6 is a spike. Norms that are not finite or not positive
 * are left out: a run that diverges says so elsewhere. Without a z: REASON_TOO_FEW, and without a
 * spike its first step is REASON_ABSENT. With fewer than 100 steps this is the only form of spike
 * detection that means anything; those over windows of 1000 steps are not offered.
 * Allocates nothing. Any thread. Source: ours, a robust z score (median, MAD).
 */
#ifndef CORE_METRIC_SPIKE_H
#define CORE_METRIC_SPIKE_H

#include "core/metric/value.h"

enum { SPIKE_WINDOW = 32, SPIKE_LEAST = 8 };

/* norms [n] of steps 0..n-1; fills the three metrics of group spike. */
void spike_finish(const double *norms, int n, metric_value out[]);

#endif
