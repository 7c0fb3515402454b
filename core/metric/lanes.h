/* LANES float64 lanes, written with GCC's vector types. A kernel (a *_kernel.h) is written once and
 * compiled twice by the .c file that owns it: with LANES = 8 for AVX-512 and with LANES = 4 for
 * what has half of it. GCC keeps vectors that are wider than the registers in memory, which is ten
 * times slower, so a kernel for 8 alone would not do.
 *
 * The owner defines LANES and includes lanes_kernel.h and its kernel, for each width; lanes_width
 * says which of the two to call. L(name) is name_8 or name_4.
 */
#ifndef CORE_METRIC_LANES_H
#define CORE_METRIC_LANES_H

#include "core/real.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES_WIDEST = 8 };

typedef double f64x8 __attribute__((vector_size(64)));
typedef double f64x4 __attribute__((vector_size(32)));
typedef int64_t i64x8 __attribute__((vector_size(64)));
typedef int64_t i64x4 __attribute__((vector_size(32)));
/* Where they may lie anywhere in an array of numbers. */
typedef double loose_f64x8 __attribute__((vector_size(64), aligned(8), may_alias));
typedef double loose_f64x4 __attribute__((vector_size(32), aligned(8), may_alias));
typedef real loose_real_x8
    __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)), may_alias));
typedef real loose_real_x4
    __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));

#define LANES_JOIN(a, b) a##_##b
#define LANES_NAME(a, b) LANES_JOIN(a, b)
#define L(name) LANES_NAME(name, LANES)

/* Macros, because a function that returns a vector wider than the caller's registers draws an ABI
 * warning even where it is inlined. */
#define LANES_AND(v, mask) ((f64v)((i64v)(v) & (mask)))
#define LANES_ABS(v) LANES_AND(v, (i64v){0} + INT64_MAX)
#define LANES_SELECT(mask, a, b) ((f64v)(((i64v)(a) & (mask)) | ((i64v)(b) & ~(mask))))

/* The first n < LANES entries at p, NaN in the other lanes. */
#define LANES_LOAD_PART(out, p, n)                                                                 \
    do {                                                                                           \
        real part_[LANES];                                                                         \
        for (size_t l_ = 0; l_ < LANES; l_++) part_[l_] = l_ < (n) ? (p)[l_] : (real)NAN;          \
        (out) = LANES_LOAD(part_);                                                                 \
    } while (0)

/* 8 or 4: the width this processor is for. */
static inline int lanes_width(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512cd")
               ? 8
               : 4;
#else
    return 4;
#endif
}

#endif
