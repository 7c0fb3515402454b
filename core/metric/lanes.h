/* Eight float64 lanes, written with GCC's vector types so that every clone of a kernel uses the
 * widest registers it has. Whatever the width, the lanes add up in the same order.
 *
 * Included only by files that mark their kernels CLONES. All helpers are inlined into them.
 */
#ifndef CORE_METRIC_LANES_H
#define CORE_METRIC_LANES_H

#include "core/real.h"

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

typedef double f64x8 __attribute__((vector_size(64)));
typedef int64_t i64x8 __attribute__((vector_size(64)));
typedef real real_x8
    __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)), may_alias));

/* Macros, because a function that returns a vector wider than the caller's registers draws an ABI
 * warning even where it is inlined. */
#define LANES_LOAD(p) __builtin_convertvector(*(const real_x8 *)(p), f64x8)
#define LANES_ALL(c) ((f64x8){0} + (c))
#define LANES_AND(v, mask) ((f64x8)((i64x8)(v) & (mask)))
#define LANES_ABS(v) LANES_AND(v, (i64x8){0} + INT64_MAX)
#define LANES_SELECT(mask, a, b) ((f64x8)(((i64x8)(a) & (mask)) | ((i64x8)(b) & ~(mask))))
#define LANES_MAX(a, b) LANES_SELECT((a) > (b), a, b)

/* The first n < 8 entries at p, NaN in the other lanes. */
#define LANES_LOAD_PART(out, p, n)                                                                 \
    do {                                                                                           \
        real part_[LANES];                                                                         \
        for (size_t l_ = 0; l_ < LANES; l_++) part_[l_] = l_ < (n) ? (p)[l_] : (real)NAN;          \
        (out) = LANES_LOAD(part_);                                                                 \
    } while (0)

INLINE double lanes_sum(const f64x8 *v)
{
    const double *a = (const double *)v;
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

INLINE double lanes_max(const f64x8 *v)
{
    double most = 0;
    for (int l = 0; l < LANES; l++) {
        if ((*v)[l] > most) most = (*v)[l];
    }
    return most;
}

#endif
