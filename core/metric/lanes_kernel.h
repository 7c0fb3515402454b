/* What depends on the width, see lanes.h; included once for each.
 *
 *   f64v, i64v     LANES lanes of double and of int64_t (as masks: 0 or -1)
 *   LANES_INDEX    0, 1, .. LANES - 1
 *   LANES_ALL      the same number in every lane
 *   LANES_LOAD     LANES reals at p, as float64
 *   LANES_MAX      a > b ? a : b
 *   LANES_CLONES   for static functions: the instruction sets this width is for; what they call
 *                  must be LANES_INLINE
 */
#undef f64v
#undef i64v
#undef loose_f64
#undef loose_real
#undef LANES_CLONES
#undef LANES_INLINE
#undef LANES_INDEX
#undef LANES_ALL
#undef LANES_LOAD
#undef LANES_MAX
#define LANES_LOAD(p) __builtin_convertvector(*(const loose_real *)(p), f64v)
#define LANES_MAX(a, b) LANES_SELECT((a) > (b), a, b)
#if LANES == 8
#define f64v f64x8
#define i64v i64x8
#define loose_f64 loose_f64x8
#define loose_real loose_real_x8
#define LANES_INDEX                                                                                \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7                                                                     \
    }
#define LANES_ALL(c)                                                                               \
    (f64v)                                                                                         \
    {                                                                                              \
        c, c, c, c, c, c, c, c                                                                     \
    }
#if defined(__x86_64__)
/* One instruction each, where GCC 12 makes several of the general form. */
#undef LANES_MAX
#define LANES_MAX(a, b) ((f64v)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#if REAL_BITS == 32
#undef LANES_LOAD
#define LANES_LOAD(p) ((f64v)_mm512_cvtps_pd(_mm256_loadu_ps(p)))
#endif
#define LANES_CLONES __attribute__((target("arch=x86-64-v4")))
#define LANES_INLINE LANES_CLONES INLINE
#else
#define LANES_CLONES
#define LANES_INLINE INLINE
#endif
#else
#define LANES_INLINE INLINE
#define f64v f64x4
#define i64v i64x4
#define loose_f64 loose_f64x4
#define loose_real loose_real_x4
#define LANES_INDEX                                                                                \
    {                                                                                              \
        0, 1, 2, 3                                                                                 \
    }
#define LANES_ALL(c)                                                                               \
    (f64v)                                                                                         \
    {                                                                                              \
        c, c, c, c                                                                                 \
    }
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&                \
    !defined(__SANITIZE_THREAD__)
#define LANES_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define LANES_CLONES
#endif
#endif

LANES_INLINE double L(lanes_sum)(const f64v *v)
{
    const double *a = (const double *)v;
#if LANES == 8
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
#else
    return (a[0] + a[2]) + (a[1] + a[3]);
#endif
}

LANES_INLINE double L(lanes_max)(const f64v *v)
{
    double most = 0;
    for (int l = 0; l < LANES; l++) {
        if ((*v)[l] > most) most = (*v)[l];
    }
    return most;
}

#undef LANES_PAIRS_EVEN
#undef LANES_PAIRS_ODD
#if LANES == 8
#define LANES_PAIRS_EVEN(x, y) __builtin_shufflevector(x, y, 0, 8, 2, 10, 4, 12, 6, 14)
#define LANES_PAIRS_ODD(x, y) __builtin_shufflevector(x, y, 1, 9, 3, 11, 5, 13, 7, 15)
#else
#define LANES_PAIRS_EVEN(x, y) __builtin_shufflevector(x, y, 0, 4, 2, 6)
#define LANES_PAIRS_ODD(x, y) __builtin_shufflevector(x, y, 1, 5, 3, 7)
#endif

/* in[k] = LANES entries of k becomes in[j] = entry j of each. */
LANES_INLINE void L(transpose)(f64v in[LANES])
{
    f64v a[LANES];
    for (int k = 0; k < LANES; k += 2) {
        a[k] = LANES_PAIRS_EVEN(in[k], in[k + 1]);
        a[k + 1] = LANES_PAIRS_ODD(in[k], in[k + 1]);
    }
#if LANES == 8
    f64v b[LANES];
    for (int k = 0; k < LANES; k += 4) {
        for (int q = 0; q < 2; q++) {
            const f64v x = a[k + q], y = a[k + q + 2];
            b[k + q] = __builtin_shufflevector(x, y, 0, 1, 8, 9, 4, 5, 12, 13);
            b[k + q + 2] = __builtin_shufflevector(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (int k = 0; k < 4; k++) {
        in[k] = __builtin_shufflevector(b[k], b[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        in[k + 4] = __builtin_shufflevector(b[k], b[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#else
    for (int k = 0; k < 2; k++) {
        in[k] = __builtin_shufflevector(a[k], a[k + 2], 0, 1, 4, 5);
        in[k + 2] = __builtin_shufflevector(a[k], a[k + 2], 2, 3, 6, 7);
    }
#endif
}
