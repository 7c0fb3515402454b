/* The gradient noise scale from squared norms at two batch sizes, 1 and B > 1:
 *
 *   G2 = (B |g_B|^2 - mean_b |g_b|^2) / (B - 1)     unbiased for |true gradient|^2
 *   S  = (mean_b |g_b|^2 - |g_B|^2) / (1 - 1/B)     unbiased for the trace of the covariance
 *
 * g_b the gradient of one sequence, g_B their mean. S/G2 is the batch size at which noise and
 * signal are alike. G2 may come out negative: the signal is below the noise. Where the two terms are
 * equal but for rounding (the gradients of the sequences are orthogonal, or all but one have no
 * loss) it is 0, and the scale has no value. Averages over steps or seeds are of G2 and S apart,
 * then divided. Source: McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.
 */
#ifndef CORE_EXTRA_NOISE_H
#define CORE_EXTRA_NOISE_H

typedef struct noise_scale {
    double grad_sq, trace;
} noise_scale;

noise_scale noise_scale_of(double batch_sq, double mean_sq, int batch);

#endif
