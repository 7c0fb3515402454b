/* The part of the gauge of geometry for cosines that cannot be made in passing: after a stage of the forward
 * pass its values are all still there, so the mean over the batch can be taken away from them.
 *
 *   cos_abs_mean      mean of |x_i.x_j|/(||x_i|| ||x_j||) over i < j of a sequence
 *   cos_mean_centred  mean cosine of x_i - m, m the mean over all tokens of the batch
 *
 * Means over sequences; tokens that are zero (after m is taken away) are left out. T = 1:
 * REASON_ONE_TOKEN; without two tokens that are not zero in any sequence: REASON_ZERO.
 * Source: definitions.
 */
#ifndef CORE_PROBE_COSINE_H
#define CORE_PROBE_COSINE_H

#include "core/graph/exec.h"
#include "core/metric/value.h"

typedef struct probe_cosine {
    const graph *g;
    bool wanted[2];  /* of magnitudes, centred */
    double *cosines; /* [n_taps, 2, B]; negative infinity: undefined */
    double *sums;    /* [B, cols] of the tap that is looked at, sums of its columns */
    double *work;    /* of each worker: [T, cols] and [T, T] */
    size_t cols, work_numbers;
} probe_cosine;

void probe_cosine_init(probe_cosine *p, const graph *g);
void probe_cosine_layout(probe_cosine *p, int n_threads, arena *a);
/* After a stage of spans of the forward pass. */
void probe_cosine_stage(probe_cosine *p, const exec *x, const stage *st);
void probe_cosine_finish(const probe_cosine *p, int tap_index, metric_value out[]);

#endif
