/* How far one seed may be from the mean, as a covariance of the two parts of the mean square of a
 * kernel: p (the mean token) and u (what tokens differ by). block.h has the rule.
 */
#ifndef CORE_THEORY_SPREAD_H
#define CORE_THEORY_SPREAD_H

#include "core/theory/sublayer.h"

/* What becomes of the error of a stream in a norm. */
void spread_normalise(spread *e, const norm_step *s, kernel_mean before, kernel_mean after);
double spread_log(const spread *e, kernel_mean m);  /* variance of ln q */
double spread_corr(const spread *e, kernel_mean m); /* variance of p/q */

/* The error of x before the sublayer becomes that of the sum, tr is what the sublayer made of it;
 * tr->branch_error is set. Activations keep relative errors, */
void spread_sum(const sublayer *s, const tokens *t, stream *x, trace *tr);
/* or those of sublayers that are mapped change by the derivatives of its map; own_error, in_error
 * too. */
void spread_layer(const sublayer *s, const tokens *t, stream *x, trace *tr);

/* The part of the gradient's error that comes with the forward pass: slopes and norms follow the
 * mean square of the stream, delta_l = ln q_l - E. From layer l on the logarithm of |G|^2 moves by
 * S_l = along delta_l + what later layers add by chance, of variance rest. */
typedef struct swing {
    double along, rest, variance;
} swing;

/* One mapped sublayer further back: q of the stream that it read, tr as spread_layer left it. */
void swing_back(swing *w, const sublayer *s, double q, const trace *tr);

#endif
