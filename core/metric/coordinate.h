/* Coordinate check: how large the entries of a site are, and how far training has moved them.
 *
 *   mean_abs         mean |x| over the entries of the site
 *   delta_mean_abs   mean |x_k - x_0|, x_k the same site on the same batch after k updates
 *   delta_rms        sqrt(mean (x_k - x_0)^2)
 *
 * Of attention matrices visible entries only. NaN and Inf are not left out: what blew up must not
 * look small. At step 0 the last two are REASON_FIRST_STEP, without an entry all are
 * REASON_NO_ENTRIES. Sums are float64, in the order of rows and columns. Allocates nothing.
 * Source: the coordinate check of Tensor Programs V, arXiv:2203.03466, appendix D.1; its step t = 1
 * is our step 0.
 */
#ifndef CORE_METRIC_COORDINATE_H
#define CORE_METRIC_COORDINATE_H

#include "core/metric/value.h"
#include "core/real.h"

#include <stddef.h>
#include <stdint.h>

typedef struct coordinate {
    uint64_t n;
    double abs, delta_abs, delta_sq; /* sums */
} coordinate;

/* n entries of a row; first NULL: there is none to compare with. */
void coordinate_add(coordinate *c, const real *x, const real *first, size_t n);
void coordinate_merge(coordinate *into, const coordinate *from);
void coordinate_finish(const coordinate *c, bool has_delta, metric_value out[]);

#endif
