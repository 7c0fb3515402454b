/* What measuring costs, known before the run: each group of metrics by its arithmetic and by the
 * passes it makes of its own, as its gauge says (core/probe/gauge.h). */
#ifndef CORE_RUN_METRIC_COST_H
#define CORE_RUN_METRIC_COST_H

#include "core/result.h"

/* clang-format off */
/* A multiply-add counts 2. N entries of a site, n = min(T, width), m = max(T, width), per sequence:
 *
 *   moments       20 N: two passes over the site, made once for all that read them (GAUGE_SLABS);
 *                 they stand with the first that is wanted, as does what another group needs
 *   geometry      4 (T + width); cos_abs_mean 2 T^2 width; cos_mean_centred 8 N
 *   gradient      5 N: one pass over the gradient
 *   fit           what it needs of moments and gradient where they are not wanted themselves
 *   spectrum      n (n + 1) m for the Gram matrix; 4/3 n^3 for its reduction, which serves both
 *                 spectra; 40 n^2 for the eigenvalues of each
 *   attention     12 for each entry of [H, T, T]
 *   contraction   as spectrum with n = m = T, per head; for the product over depth 2 T^3, a Gram
 *                 matrix and a reduction more per sequence
 *   format        6 N for the values, 6 N for the gradients
 *   branch        8 N of the branches
 *   outlier       400 N, mostly selection; correlations 2 width^2 T on the stream
 *   similarity    n (n + 1) m on the stream after each block, and T^2 for each pair of layers
 *   parameter     8 for each parameter, once for the batch
 *   coordinate    2 N
 *   jacobian, noise, sharpness   passes at each probed step (core/run/extra.h), among them `iterations`
 *                 Hessian-vector products for each block with hessian_max_block
 *   proxy         passes before the run (core/proxy/proxy.h), 64 forward passes for Zen-score
 *
 * The factor is what the time of it is of the forward and backward passes that are measured: 0.1 is
 * a tenth more, 20 makes a measured pass 21 times as long. Meant to be right within a factor of 2,
 * or 0.05 where that is more; `normscope bench --metrics` prints predicted beside measured. Where
 * training steps lie between probed ones, the factor is of the probed ones alone. The struct is in
 * core/result.h. */
/* clang-format on */
struct session;

/* Of one measured pass: flops, and passes of the groups that have some at each probed step. */
void metric_cost_of(const struct session *s, metric_cost out[GROUP_COUNT]);

/* Once flops and passes are those of the whole run: the factors. pass_flops and pass_bytes: matrix
 * products and traffic of one pass; n_measured passes are measured. */
void metric_cost_factors(metric_cost out[GROUP_COUNT],
                         double pass_flops,
                         double pass_bytes,
                         int n_measured);

#endif
