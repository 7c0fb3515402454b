/* What the tests of core/metric share: numbers from a fixed stream, and comparisons that print. */
#ifndef TESTS_CORE_NUMBERS_H
#define TESTS_CORE_NUMBERS_H

#include "core/metric/lanes.h"
#include "core/metric/value.h"
#include "core/real.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* splitmix64; Box-Muller on top. */
static inline double numbers_uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static inline double numbers_normal(uint64_t *state)
{
    const double u = numbers_uniform(state);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * numbers_uniform(state));
}

static inline real *numbers_matrix(size_t n, uint64_t seed)
{
    real *x = malloc((n ? n : 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++) x[i] = (real)numbers_normal(&seed);
    return x;
}

static inline void *numbers_block(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* Both widths of the kernels by turns: 4, and 8 where the processor has it. */
static inline int numbers_width(int turn)
{
    const int widest = lanes_width();
    return turn % 2 ? widest : 4;
}

#define ck_close(got, want, relative, floor)                                                       \
    do {                                                                                           \
        const double got_ = (got), want_ = (want);                                                 \
        const double allowed_ = (relative)*fabs(want_) + (floor);                                  \
        ck_assert_msg(fabs(got_ - want_) <= allowed_,                                              \
                      "%s = %.17g, wanted %.17g: off by %.3g, allowed %.3g", #got, got_, want_,    \
                      fabs(got_ - want_), allowed_);                                               \
    } while (0)

#define ck_value(got, want, relative, floor)                                                       \
    do {                                                                                           \
        const metric_value v_ = (got);                                                             \
        ck_assert_msg(v_.reason == REASON_NONE, "%s: reason %s", #got, reason_name(v_.reason));    \
        ck_close(v_.value, want, relative, floor);                                                 \
    } while (0)

#define ck_reason(got, why)                                                                        \
    do {                                                                                           \
        const metric_value v_ = (got);                                                             \
        ck_assert_msg(v_.reason == (why), "%s: reason '%s' (value %g), wanted '%s'", #got,         \
                      reason_name(v_.reason), v_.value, reason_name(why));                         \
    } while (0)

#endif
