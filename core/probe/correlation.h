/* The part of the gauge of outliers for what the tokens of the whole batch have in common, N of them, on the
 * stream: after a stage of the forward pass, when the values of all sequences are there, X [N, D].
 *
 *   feature_corr_rms  root mean square of the off-diagonal entries of X'X/N
 *   batch_corr_mean   mean of the off-diagonal entries of XX'/D
 *   batch_corr_rms    their root mean square
 *
 * all for X divided by its rms over the N D entries. XX' is not formed: its squares have the same
 * sum as those of X'X, and its diagonal is that of the lengths. X = 0: REASON_ZERO; N = 1:
 * REASON_ONE_TOKEN (of the last two). Costs 2 N D^2 and D^2 doubles for each worker.
 * Source: He et al. 2024, arXiv:2405.19279 and its code.
 */
#ifndef CORE_PROBE_CORRELATION_H
#define CORE_PROBE_CORRELATION_H

#include "core/graph/exec.h"
#include "core/metric/value.h"

typedef struct probe_correlation {
    const graph *g;
    bool wanted;
    metric_value *taps; /* [n_taps, 3] */
    int *found;         /* taps of the stage */
    double *work;       /* of each worker: [D, D], [T, D] and [D] */
    size_t work_numbers;
} probe_correlation;

bool probe_correlation_wanted(const run_spec *spec);
void probe_correlation_init(probe_correlation *p, const graph *g);
void probe_correlation_layout(probe_correlation *p, int n_threads, arena *a);
/* After a stage of spans of the forward pass. */
void probe_correlation_stage(probe_correlation *p, const exec *x, const stage *st);
void probe_correlation_finish(const probe_correlation *p, int tap_index, metric_value out[]);

#endif
