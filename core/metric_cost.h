/* What measuring costs, by arithmetic: floating-point operations of each group of metrics, a
 * multiply-add counts 2. N entries of a site, n = min(T, width), m = max(T, width), per sequence:
 *
 *   moments, geometry   20 N: two passes over the site, made once for both, fit and spectrum
 *   gradient            8 N: one pass over the gradient
 *   spectrum            n (n + 1) m for the Gram matrix; 4/3 n^3 for its reduction, which serves
 * both spectra; 40 n^2 for the eigenvalues of each attention           12 per entry of [H, T, T]
 *   contraction         the same as spectrum with n = m = T, per head; for the product over depth
 *                       2 T^3, a Gram matrix and a reduction more per sequence
 *
 * These run in float64 and on small matrices: their time is 2 to 4 times their share of the flops
 * of a float32 pass (`normscope bench --metrics` measures it). Groups that are not here cost passes
 * of their own, which estimate.flops counts, or next to nothing.
 */
#ifndef CORE_METRIC_COST_H
#define CORE_METRIC_COST_H

enum { METRIC_COSTS = 5 };

typedef struct metric_cost {
    const char *group; /* a literal, in the order of metric.def */
    double flops;      /* 0: not wanted */
} metric_cost;

struct graph;

/* Of one measured pass. */
void metric_cost_of(const struct graph *g, metric_cost out[METRIC_COSTS]);

#endif
