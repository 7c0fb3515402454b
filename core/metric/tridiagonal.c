/* Fused multiply-adds: GCC 12 treats -ffp-contract=on as off. */
#pragma GCC optimize("fp-contract=fast")

#include "core/metric/tridiagonal.h"

#include <float.h>
#include <stdbool.h>

INLINE void find_negligible(tridiagonal *q)
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

INLINE void find_splits(tridiagonal *q, int from)
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

/* Moves lane k past every eigenvalue that stands alone or in a pair, then aims its next sweep.
 * False when the lane is finished. */
static bool aim(tridiagonal *q, int k)
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
INLINE void sweep(tridiagonal *const *q, const int groups, int64_t low, int64_t high)
{
    const f64x8 one = LANES_ALL(1.0);
    f64x8 middle[TRIDIAGONAL_GROUPS],
        reach[TRIDIAGONAL_GROUPS]; /* at <= i < end: |i - middle| <= reach */
    f64x8 keep_d[TRIDIAGONAL_GROUPS], keep_e[TRIDIAGONAL_GROUPS], gamma[TRIDIAGONAL_GROUPS];
    f64x8 p[TRIDIAGONAL_GROUPS], c[TRIDIAGONAL_GROUPS], s[TRIDIAGONAL_GROUPS];
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
        s[g] = (f64x8){0};
    }
    for (int64_t i = high - 1; i >= low; i--) {
        for (int g = 0; g < groups; g++) {
            const i64x8 active = LANES_ABS((double)i - middle[g]) <= reach[g];
            const f64x8 alpha = q[g]->d[i], bb = q[g]->e[i], shift = q[g]->shift;
            const f64x8 r = p[g] + bb, over_r = one / r, over_c = r / p[g];
            const f64x8 new_c = p[g] * over_r, new_s = bb * over_r, start = alpha - shift;
            const f64x8 new_gamma = new_c * start - new_s * gamma[g];
            const f64x8 new_p =
                LANES_SELECT(new_c > 0x1p-1000, new_gamma * new_gamma * over_c, c[g] * bb);
            q[g]->d[i + 1] = LANES_SELECT(active, gamma[g] + (alpha - new_gamma), keep_d[g]);
            q[g]->e[i + 1] = LANES_SELECT(active, s[g] * r, keep_e[g]);
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
    }
}

/* Aims every lane of a group; false when the group is finished. */
static bool aim_group(tridiagonal *q, int64_t *low, int64_t *high)
{
    bool any = false;
    for (int k = 0; k < LANES; k++) {
        if (!aim(q, k)) continue;
        any = true;
        *low = q->at[k] < *low ? q->at[k] : *low;
        *high = q->end[k] > *high ? q->end[k] : *high;
    }
    return any;
}

static int64_t least_at(const tridiagonal *q)
{
    int64_t least = q->n;
    for (int k = 0; k < LANES; k++) least = q->at[k] < least ? q->at[k] : least;
    return least;
}

CLONES static void solve(tridiagonal *t, int groups)
{
    tridiagonal *open[TRIDIAGONAL_GROUPS];
    for (int g = 0; g < groups; g++) find_negligible(&t[g]);
    for (;;) {
        int n_open = 0;
        int64_t low = t->n, high = 0;
        for (int g = 0; g < groups; g++) {
            const int64_t from = least_at(&t[g]);
            if (from == t->n) continue;
            find_splits(&t[g], (int)from);
            if (aim_group(&t[g], &low, &high)) open[n_open++] = &t[g];
        }
        if (n_open == 0) return;
        if (n_open == 1) {
            sweep(open, 1, low, high);
        } else {
            sweep(open, TRIDIAGONAL_GROUPS, low, high);
        }
    }
}

void tridiagonal_init(tridiagonal *t, f64x8 *d, f64x8 *e, f64x8 *split, int n)
{
    *t = (tridiagonal){.d = d, .e = e, .split = (i64x8 *)split, .n = n};
    e[n - 1] = (f64x8){0};
}

void tridiagonal_solve(tridiagonal *t, int groups)
{
    solve(t, groups);
}
