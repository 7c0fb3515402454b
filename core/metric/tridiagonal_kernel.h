/* Eigenvalues of symmetric tridiagonal matrices, one per lane, in one or two groups of lanes.
 *
 * d [n] the diagonals, e [n] the squares of the off-diagonals: e[i] couples i and i + 1, e[n - 1]
 * is ignored. Both are overwritten; d ends up with the eigenvalues in no particular order, divided
 * by two to the power of exponent. split [n] is work space. Entries must be finite. A lane that has
 * not converged after 30 n sweeps (never seen) ends up NaN.
 *
 * A sweep is one chain of dependent divisions, so two groups go through it together in the time of
 * one; they may differ in n. With p, c, s, gamma as in LAPACK dsterf and r = p + b^2, a step is
 *
 *   t = p (alpha - shift) - b^2 gamma,  gamma = t/r,  p = t^2/(r p),  c = p/r,  s = b^2/r
 *
 * with one quotient, 1/(r p), and nothing but it and a product between one p and the next. Where p
 * is too small for that the cosine counts as zero, which moves p by less than 1e-58 of its scale.
 * Each lane has its own position and its own end of sweep; lanes at different positions share one
 * loop in which those that have nothing to do at an index are masked, so that a lane's bits depend
 * on that lane only. Off-diagonals below eps times the largest entry of the lane count as zero:
 * eigenvalues are exact to that and no further. Included by spectrum.c, by way of
 * spectrum_kernel.h, once for each width.
 */
#undef tridiagonal
#define tridiagonal L(tridiagonal)

typedef struct tridiagonal {
    f64v *d, *e;
    i64v *split; /* split[i]: the first k >= i whose e[k] is negligible, n - 1 if none */
    int n;
    /* Where each lane stands: it works on [at, end], and is finished when at == n. */
    int64_t at[LANES], end[LANES], sweeps[LANES];
    int exponent[LANES];
    f64v shift, negligible;
} tridiagonal;

LANES_INLINE void L(find_negligible)(tridiagonal *q)
{
    f64v most = {0};
    for (int i = 0; i < q->n; i++) {
        const f64v size = LANES_ABS(q->d[i]);
        most = LANES_MAX(size, most);
        if (i + 1 == q->n) break;
        /* e is a square: compare with the square of what has been found so far. */
        const i64v larger = q->e[i] > most * most;
        int64_t any = 0;
        for (int k = 0; k < LANES; k++) any |= larger[k];
        if (!any) continue;
        for (int k = 0; k < LANES; k++) most[k] = larger[k] ? sqrt(q->e[i][k]) : most[k];
    }
    most *= DBL_EPSILON / 2;
    q->negligible = most * most;
}

/* split[i] from split[i + 1], first: d and e of i, d of i + 1. */
#undef FIND_SPLIT
#define FIND_SPLIT(first, i, at_d, at_e, next_d, negligible)                                       \
    do {                                                                                           \
        const double eps2_ = DBL_EPSILON / 2 * (DBL_EPSILON / 2);                                  \
        const i64v small_ = (at_e) <= LANES_ABS((at_d) * (next_d)) * eps2_ + (negligible);         \
        (first) = (small_ & ((i64v){0} + (i))) | (~small_ & (first));                              \
    } while (0)

LANES_INLINE void L(find_splits)(tridiagonal *q)
{
    i64v first = {0}; /* e[n - 1] is 0: the last entry splits */
    f64v next = {0};
    for (int64_t i = q->n - 1; i >= 0; i--) {
        FIND_SPLIT(first, i, q->d[i], q->e[i], next, q->negligible);
        q->split[i] = first;
        next = q->d[i];
    }
}

/* The eigenvalue of the leading 2x2 block that is nearer to its first entry, of every lane that is
 * not finished. */
LANES_INLINE void L(find_shifts)(tridiagonal *q)
{
    f64v first = {0}, second = {0}, bb = LANES_ALL(1.0), root, t, hypotenuse;
    for (int k = 0; k < LANES; k++) {
        const int64_t l = q->at[k];
        if (l >= q->n) continue;
        first[k] = q->d[l][k];
        second[k] = q->d[l + 1][k];
        bb[k] = q->e[l][k];
    }
    for (int k = 0; k < LANES; k++) root[k] = sqrt(bb[k]);
    t = (second - first) / (2 * root);
    hypotenuse = t * t + 1;
    for (int k = 0; k < LANES; k++) hypotenuse[k] = sqrt(hypotenuse[k]);
    q->shift = first - root / (t + LANES_SELECT(t < 0, -hypotenuse, hypotenuse));
}

/* Moves lane k past every eigenvalue that stands alone or in a pair. False when the lane is
 * finished. */
static bool L(aim)(tridiagonal *q, int k)
{
    const int64_t n = q->n;
    int64_t l = q->at[k];
    while (l < n) {
        const int64_t end = q->split[l][k];
        if (end > l + 1) break;
        if (end == l + 1) {
            double a = q->d[l][k], c = q->d[l + 1][k];
            solve_2x2(&a, &c, q->e[l][k]);
            q->d[l][k] = a;
            q->d[l + 1][k] = c;
        }
        l = end + 1;
    }
    if (l < n && q->sweeps[k]++ == 30 * n) {
        for (int64_t i = 0; i < n; i++) q->d[i][k] = NAN;
        l = n;
    }
    q->at[k] = l;
    q->end[k] = l < n ? q->split[l][k] : n;
    return l < n;
}

/* One sweep of every lane over its own [at, end], in one loop over the union. Where a lane is not
 * between the two, its d and e are kept and its state is that of a sweep about to start here. */
LANES_INLINE void L(sweep)(tridiagonal *const *q, const int groups, int64_t low, int64_t high)
{
    const f64v one = LANES_ALL(1.0);
    f64v middle[TOGETHER], reach[TOGETHER]; /* at <= i < end: |i - middle| <= reach */
    f64v keep_d[TOGETHER], keep_e[TOGETHER], gamma[TOGETHER];
    f64v p[TOGETHER], c[TOGETHER], s[TOGETHER], above[TOGETHER];
    i64v first[TOGETHER];
    for (int g = 0; g < groups; g++) {
        for (int k = 0; k < LANES; k++) {
            middle[g][k] = (double)(q[g]->at[k] + q[g]->end[k] - 1) / 2;
            reach[g][k] = (double)(q[g]->end[k] - 1 - q[g]->at[k]) / 2;
        }
        keep_d[g] = q[g]->d[high];
        keep_e[g] = q[g]->e[high];
        gamma[g] = keep_d[g] - q[g]->shift;
        p[g] = gamma[g] * gamma[g];
        c[g] = one;
        s[g] = (f64v){0};
        above[g] = high + 1 < q[g]->n ? q[g]->d[high + 1] : (f64v){0};
        first[g] = high + 1 < q[g]->n ? q[g]->split[high + 1] : (i64v){0};
    }
    for (int64_t i = high - 1; i >= low; i--) {
        for (int g = 0; g < groups; g++) {
            const i64v active = LANES_ABS((double)i - middle[g]) <= reach[g];
            const f64v alpha = q[g]->d[i], bb = q[g]->e[i], shift = q[g]->shift;
            const i64v divides = p[g] > 0x1p-300;
            const f64v r = p[g] + bb, divisor = LANES_SELECT(divides, p[g], one);
            const f64v inverse = one / (r * divisor), start = alpha - shift;
            const f64v t = p[g] * start - bb * gamma[g], over_r = divisor * inverse;
            const f64v new_c = p[g] * over_r, new_s = bb * over_r, new_gamma = t * over_r;
            const f64v new_p = LANES_SELECT(divides, t * t * inverse, c[g] * bb);
            const f64v done_d = LANES_SELECT(active, gamma[g] + (alpha - new_gamma), keep_d[g]);
            const f64v done_e = LANES_SELECT(active, s[g] * r, keep_e[g]);
            q[g]->d[i + 1] = done_d;
            q[g]->e[i + 1] = done_e;
            FIND_SPLIT(first[g], i + 1, done_d, done_e, above[g], q[g]->negligible);
            q[g]->split[i + 1] = first[g];
            above[g] = done_d;
            keep_d[g] = LANES_SELECT(active, shift + new_gamma, alpha);
            keep_e[g] = LANES_SELECT(active, new_s * new_p, bb);
            gamma[g] = LANES_SELECT(active, new_gamma, start);
            p[g] = LANES_SELECT(active, new_p, start * start);
            c[g] = LANES_SELECT(active, new_c, one);
            s[g] = LANES_AND(new_s, active);
        }
    }
    for (int g = 0; g < groups; g++) {
        q[g]->d[low] = keep_d[g];
        q[g]->e[low] = keep_e[g];
        FIND_SPLIT(first[g], low, keep_d[g], keep_e[g], above[g], q[g]->negligible);
        q[g]->split[low] = first[g];
    }
}

/* Aims every lane of a group; false when the group is finished. */
LANES_INLINE bool L(aim_group)(tridiagonal *q, int64_t *low, int64_t *high)
{
    bool any = false;
    for (int k = 0; k < LANES; k++) {
        if (!L(aim)(q, k)) continue;
        any = true;
        *low = q->at[k] < *low ? q->at[k] : *low;
        *high = q->end[k] > *high ? q->end[k] : *high;
    }
    if (any) L(find_shifts)(q);
    return any;
}

LANES_CLONES static void L(tridiagonal_solve)(tridiagonal *t, int groups)
{
    tridiagonal *open[TOGETHER];
    for (int g = 0; g < groups; g++) {
        L(find_negligible)(&t[g]);
        L(find_splits)(&t[g]);
    }
    for (;;) {
        int n_open = 0;
        int64_t low = t->n, high = 0;
        for (int g = 0; g < groups; g++) {
            if (L(aim_group)(&t[g], &low, &high)) open[n_open++] = &t[g];
        }
        if (n_open == 0) return;
        if (n_open == 1) {
            L(sweep)(open, 1, low, high);
        } else {
            L(sweep)(open, TOGETHER, low, high);
        }
    }
}

/* Brings the largest entry of each lane near 1, by a power of two: where a small matrix was part of
 * a larger one, squares of its entries would get lost. */
LANES_CLONES static void L(tridiagonal_scale)(tridiagonal *t)
{
    f64v most = {0}, most_e = {0}, factor;
    for (int i = 0; i < t->n; i++) {
        const f64v size = LANES_ABS(t->d[i]);
        most = LANES_MAX(size, most);
        most_e = LANES_MAX(t->e[i], most_e);
    }
    for (int k = 0; k < LANES; k++) {
        frexp(fmax(most[k], sqrt(most_e[k])), &t->exponent[k]);
        if (t->exponent[k] < -1000) t->exponent[k] = 0;
        factor[k] = ldexp(1, -t->exponent[k]);
    }
    for (int i = 0; i < t->n; i++) {
        t->d[i] *= factor;
        t->e[i] *= factor;
        t->e[i] *= factor;
    }
}

static void L(tridiagonal_init)(tridiagonal *t, f64v *d, f64v *e, f64v *split, int n)
{
    *t = (tridiagonal){.d = d, .e = e, .split = (i64v *)split, .n = n};
    if (n > 0) e[n - 1] = (f64v){0};
    L(tridiagonal_scale)(t);
}
