/* What depends on the width, see lanes.h; included once for each.
 *
 *   f64v, i64v     LANES lanes of double and of int64_t (as masks: 0 or -1)
 *   LANES_INDEX    0, 1, .. LANES - 1
 *   LANES_CLONES   for static functions: the instruction sets this width is for; what they call
 *                  must be INLINE
 */
#undef f64v
#undef i64v
#undef loose_f64
#undef loose_real
#undef LANES_CLONES
#undef LANES_INDEX
#if LANES == 8
#define f64v f64x8
#define i64v i64x8
#define loose_f64 loose_f64x8
#define loose_real loose_real_x8
#define LANES_INDEX                                                                                \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7                                                                     \
    }
#if defined(__x86_64__)
#define LANES_CLONES __attribute__((target("arch=x86-64-v4")))
#else
#define LANES_CLONES
#endif
#else
#define f64v f64x4
#define i64v i64x4
#define loose_f64 loose_f64x4
#define loose_real loose_real_x4
#define LANES_INDEX                                                                                \
    {                                                                                              \
        0, 1, 2, 3                                                                                 \
    }
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&                \
    !defined(__SANITIZE_THREAD__)
#define LANES_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define LANES_CLONES
#endif
#endif

INLINE double L(lanes_sum)(const f64v *v)
{
    const double *a = (const double *)v;
#if LANES == 8
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
#else
    return (a[0] + a[2]) + (a[1] + a[3]);
#endif
}

INLINE double L(lanes_max)(const f64v *v)
{
    double most = 0;
    for (int l = 0; l < LANES; l++) {
        if ((*v)[l] > most) most = (*v)[l];
    }
    return most;
}
