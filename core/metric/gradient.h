/* Norms of the loss gradient at a site, G [B, T, D]; G_b is the slab of one sequence.
 *
 *   grad_norm        ||G||_F
 *   grad_rms         ||G||_F/sqrt(N), N finite entries
 *   grad_max_abs     max |g|
 *   grad_token_corr  (sum_b ||1'G_b||^2 - ||G||_F^2)/((T-1) ||G||_F^2); REASON_ONE_TOKEN if T = 1,
 *                    REASON_ZERO if G = 0, NaN if G has a non-finite entry
 *   grad_nonfinite   NaN and Inf entries; they are left out of the norms
 *
 * Without a finite entry the norms are REASON_NO_ENTRIES. grad_norm_rel needs the norm at another
 * site: gradient_norm gives it (NaN when there is none). gradient_add reads a slab after slab_norms
 * (or slab_sums). Allocates nothing. Any thread.
 * In float64 runs ||G|| below 1e-154 loses digits and below 1e-162 reads 0: squares underflow.
 */
#ifndef CORE_METRIC_GRADIENT_H
#define CORE_METRIC_GRADIENT_H

#include "core/metric/slab.h"
#include "core/metric/value.h"

typedef struct gradient {
    uint64_t n, nonfinite;
    size_t tokens; /* T */
    double sum_sq, max_abs;
    double token_sum_sq; /* sum over sequences of ||1'G_b||^2 */
} gradient;

void gradient_reset(gradient *g);
void gradient_add(gradient *g, const slab *s);
void gradient_merge(gradient *into, const gradient *from);
double gradient_norm(const gradient *g);
void gradient_finish(const gradient *g, metric_value out[]); /* all but grad_norm_rel */

#endif
