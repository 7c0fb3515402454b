#pragma GCC optimize("fp-contract=fast")

#include "core/metric/tridiagonal.h"

#include <float.h>
#include <stdbool.h>

/* Where each lane stands: it works on [at, end], deflates at `at`, and is finished when at == n. */
typedef struct ql {
    f64x8 *d, *e;
    i64x8 *split; /* split[i]: the first k >= i whose e[k] is negligible, n - 1 if none */
    int n;
    int64_t at[LANES], end[LANES];
    f64x8 shift, negligible;
    int64_t sweeps[LANES];
} ql;

INLINE void find_negligible(ql *q)
{
    f64x8 most = {0};
    for (int i = 0; i < q->n; i++) {
        const f64x8 size = LANES_ABS(q->d[i]);
        most = LANES_MAX(size, most);
        if (i + 1 == q->n) break;
        /* e is a square: compare with the square of what has been found so far. */
        const i64x8 larger = q->e[i] > most * most;
        if (!(larger[0] | larger[1] | larger[2] | larger[3] | larger[4] | larger[5] | larger[6] |
              larger[7]))
            continue;
        for (int k = 0; k < LANES; k++) most[k] = larger[k] ? sqrt(q->e[i][k]) : most[k];
    }
    most *= DBL_EPSILON / 2;
    q->negligible = most * most;
}

INLINE void find_splits(ql *q, int from)
{
    const double eps2 = DBL_EPSILON / 2 * (DBL_EPSILON / 2);
    i64x8 first = (i64x8){0} + (q->n - 1);
    q->split[q->n - 1] = first;
    for (int i = q->n - 2; i >= from; i--) {
        const f64x8 limit = LANES_ABS(q->d[i] * q->d[i + 1]) * eps2 + q->negligible;
        const i64x8 small = q->e[i] <= limit;
        first = (small & ((i64x8){0} + i)) | (~small & first);
        q->split[i] = first;
    }
}

/* Eigenvalues of [[a, b], [b, c]], bb = b^2: the larger by adding what has one sign, the other from
 * the determinant (as LAPACK dlae2). */
static void solve_2x2(double *a, double *c, double bb)
{
    const double sum = *a + *c, gap = *a - *c, root = sqrt(gap * gap + 4 * bb);
    const double big = fabs(*a) > fabs(*c) ? *a : *c, small = fabs(*a) > fabs(*c) ? *c : *a;
    if (sum == 0) {
        *a = root / 2;
        *c = -root / 2;
        return;
    }
    const double first = sum < 0 ? (sum - root) / 2 : (sum + root) / 2;
    *a = first;
    *c = big / first * small - sqrt(bb) / first * sqrt(bb);
}

/* The eigenvalue of the leading 2x2 block that is nearer to its first entry. */
static double shift_of(double first, double second, double bb)
{
    const double root = sqrt(bb), t = (second - first) / (2 * root);
    return first - root / (t + copysign(sqrt(t * t + 1), t));
}

/* Moves lane k past every eigenvalue that stands alone or in a pair, then aims its next sweep. False
 * when the lane is finished. */
static bool aim(ql *q, int k)
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
    q->shift[k] = l < n ? shift_of(q->d[l][k], q->d[l + 1][k], q->e[l][k]) : 0;
    return l < n;
}

/* One sweep of every lane over its own [at, end], in one loop over the union. Where a lane is not
 * between the two, its d and e are kept and its state is that of a sweep about to start here. */
INLINE void sweep(ql *q, int64_t low, int64_t high)
{
    const f64x8 one = LANES_ALL(1.0), shift = q->shift;
    f64x8 middle, reach; /* at <= i < end as one comparison, |i - middle| <= reach */
    for (int k = 0; k < LANES; k++) {
        middle[k] = (double)(q->at[k] + q->end[k] - 1) / 2;
        reach[k] = (double)(q->end[k] - 1 - q->at[k]) / 2;
    }
    f64x8 keep_d = q->d[high], keep_e = q->e[high];
    f64x8 gamma = keep_d - shift, p = gamma * gamma, c = one, s = {0};
    for (int64_t i = high - 1; i >= low; i--) {
        const i64x8 active = LANES_ABS((double)i - middle) <= reach;
        const f64x8 alpha = q->d[i], bb = q->e[i];
        const f64x8 r = p + bb, over_r = one / r, over_c = r / p;
        const f64x8 old_c = c, old_gamma = gamma, old_s = s;
        c = p * over_r;
        s = bb * over_r;
        gamma = c * (alpha - shift) - s * old_gamma;
        p = LANES_SELECT(c > 0x1p-1000, gamma * gamma * over_c, old_c * bb);
        q->d[i + 1] = LANES_SELECT(active, old_gamma + (alpha - gamma), keep_d);
        q->e[i + 1] = LANES_SELECT(active, old_s * r, keep_e);
        keep_d = LANES_SELECT(active, shift + gamma, alpha);
        keep_e = LANES_SELECT(active, s * p, bb);
        const f64x8 start = alpha - shift;
        gamma = LANES_SELECT(active, gamma, start);
        p = LANES_SELECT(active, p, start * start);
        c = LANES_SELECT(active, c, one);
        s = LANES_AND(s, active);
    }
    q->d[low] = keep_d;
    q->e[low] = keep_e;
}

CLONES static void solve(ql *q)
{
    find_negligible(q);
    for (int64_t low = 0;;) {
        find_splits(q, (int)low);
        bool any = false;
        int64_t high = 0;
        low = q->n;
        for (int k = 0; k < LANES; k++) {
            if (!aim(q, k)) continue;
            any = true;
            low = q->at[k] < low ? q->at[k] : low;
            high = q->end[k] > high ? q->end[k] : high;
        }
        if (!any) return;
        sweep(q, low, high);
    }
}

void tridiagonal_lanes(f64x8 *d, f64x8 *e, f64x8 *work, int n)
{
    ql q = {.d = d, .e = e, .split = (i64x8 *)work, .n = n};
    e[n - 1] = (f64x8){0};
    solve(&q);
}
