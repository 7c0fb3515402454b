/* What number formats would do to a tensor: the rows of core/base/format.def, over N finite
 * entries.
 *
 *   headroom_bits   log2(max_finite/max |x|); REASON_ZERO where every entry is 0
 *   frac_overflow   share with |x| > max_finite
 *   frac_subnormal  share with 0 < |x| < 2^e_min, the smallest normal number
 *   frac_flush      share with 0 < |x| <= 2^(e_min - mantissa)/2, half the smallest number: what
 *                   rounds to 0, ties to even
 *   loss_scale      2^floor(headroom_bits - 1), gradients only
 *
 * The first four under the names of values or of gradients (grad_*). Without a finite entry all are
 * REASON_NO_ENTRIES. headroom_add takes entries that lie one after another. A counter holds 2^32
 * entries of one call. Allocates nothing. Any thread.
 * Source: Micikevicius et al. 2018, arXiv:1710.03740 (loss scale).
 */
#ifndef CORE_METRIC_HEADROOM_H
#define CORE_METRIC_HEADROOM_H

#include "core/base/format.h"
#include "core/metric/value.h"
#include "core/real.h"

#include <stdbool.h>
#include <stdint.h>

/* The rows of format.def: FORMAT_fp16 + k of core/base/format.h is format k here. */
enum { HEADROOM_FORMATS = FORMAT_int8 - FORMAT_fp16 };

typedef struct headroom_counts {
    uint64_t n, over[HEADROOM_FORMATS], subnormal[HEADROOM_FORMATS], flushed[HEADROOM_FORMATS];
    double max_abs;
} headroom_counts;

double headroom_max(int k);           /* max_finite */
bool headroom_is_metric(int m);       /* one of those above? */
bool headroom_is_of_gradients(int m); /* of those, one of a gradient? */
void headroom_reset(headroom_counts *c);
void headroom_add(headroom_counts *c, const real *x, size_t n);
void headroom_merge(headroom_counts *into, const headroom_counts *from);
void headroom_finish(const headroom_counts *c, bool gradients, metric_value out[]);

#endif
