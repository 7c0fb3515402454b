#pragma GCC optimize("fp-contract=fast")

#include "core/metric/spectrum.h"

#include "core/metric/lanes.h"
#include "core/metric/order.h"
#include "core/metric/tridiagonal.h"

#include <stdbool.h>

enum { ROWS = 4 }; /* rows that share one load of the vectors in the pass over the matrix */

/* Eight matrices on their way to tridiagonal form. Row i of the lower triangle, entries (i, 0..i), is
 * at a + i(i+1)/2. v and w: the reflection being made, A <- A - v w' - w v'; old_v, old_w: the one
 * before, which the next pass applies. */
typedef struct reduction {
    f64x8 *a, *v, *w, *old_v, *old_w, *p, *d, *e;
    int n;
} reduction;

static size_t triangle(size_t n)
{
    return n * (n + 1) / 2;
}

size_t spectrum_scratch_bytes(int n)
{
    return (triangle((size_t)n) + 7 * (size_t)n) * sizeof(f64x8);
}

static void carve(reduction *t, f64x8 *at, int n)
{
    f64x8 **const rows[7] = {&t->v, &t->w, &t->old_v, &t->old_w, &t->p, &t->d, &t->e};
    t->n = n;
    t->a = at;
    at += triangle((size_t)n);
    for (int k = 0; k < 7; k++, at += n) *rows[k] = at;
}

INLINE f64x8 *row_of(const reduction *t, int i)
{
    return t->a + triangle((size_t)i);
}

/* The exponent e for which 2^-e brings the largest entry below 1, or -1 for an entry that is not
 * finite. Magnitudes are compared as integers, where NaN and Inf are the largest. */
CLONES static bool exponent_of(const double *gram, int n, int *exponent)
{
    int64_t most = 0;
    for (int i = 0; i < n; i++) {
        const int64_t *row = (const int64_t *)(const void *)(gram + (size_t)i * (size_t)n);
        for (int j = 0; j <= i; j++) {
            const int64_t bits = row[j] & INT64_MAX;
            most = bits > most ? bits : most;
        }
    }
    double largest;
    memcpy(&largest, &most, sizeof largest);
    *exponent = 0;
    if (!isfinite(largest)) return false;
    frexp(largest, exponent);
    if (*exponent < -1000) *exponent = -1000;
    return true;
}

static void pack(reduction *t, int lane, const double *gram, double factor)
{
    double *to = (double *)t->a + lane;
    for (int i = 0; i < t->n; i++) {
        const double *row = gram + (size_t)i * (size_t)t->n;
        for (int j = 0; j <= i; j++, to += LANES) *to = row[j] * factor;
    }
}

static void pack_zero(reduction *t, int lane)
{
    double *to = (double *)t->a + lane;
    for (size_t k = 0; k < triangle((size_t)t->n); k++) to[k * LANES] = 0;
}

/* Applies the reflection before to row i alone, so that the next can be made from it. */
INLINE void update_row(reduction *t, int i)
{
    f64x8 *row = row_of(t, i);
    const f64x8 vi = t->old_v[i], wi = t->old_w[i];
    for (int j = 0; j <= i; j++) row[j] -= vi * t->old_w[j] + wi * t->old_v[j];
}

/* From row i: v (length i) with (I - v v'/h) row = (0, .., 0, e), h = v'v/2. Where the row is zero but
 * for its last entry there is nothing to do: v = 0, 1/h = 0. over_h: 1/h. */
INLINE void reflect(reduction *t, int i, f64x8 *over_h)
{
    const f64x8 *row = row_of(t, i);
    f64x8 rest = {0};
    for (int j = 0; j < i - 1; j++) rest += row[j] * row[j];
    const f64x8 last = row[i - 1], squares = last * last + rest;
    const i64x8 needed = rest > 0;
    f64x8 norm;
    for (int k = 0; k < LANES; k++) norm[k] = sqrt(squares[k]);
    const f64x8 h = squares + norm * LANES_ABS(last);
    for (int k = 0; k < LANES; k++) (*over_h)[k] = needed[k] ? 1 / h[k] : 0;
    for (int j = 0; j < i - 1; j++) t->v[j] = LANES_AND(row[j], needed);
    const f64x8 signed_norm = LANES_SELECT(last < 0, -norm, norm);
    t->v[i - 1] = LANES_AND(last + signed_norm, needed);
    t->e[i - 1] = LANES_SELECT(needed, squares, last * last);
    t->d[i] = row[i];
}

/* Applies the reflection before to rows r..r+R-1 and adds what these rows contribute to p = A v. */
INLINE void pass_rows(reduction *t, int r, const int R)
{
    f64x8 *row[ROWS], vi[ROWS], wi[ROWS], ui[ROWS], sum[ROWS];
    for (int q = 0; q < R; q++) {
        row[q] = row_of(t, r + q);
        vi[q] = t->old_v[r + q];
        wi[q] = t->old_w[r + q];
        ui[q] = t->v[r + q];
        sum[q] = (f64x8){0};
    }
    for (int j = 0; j < r; j++) {
        const f64x8 vj = t->old_v[j], wj = t->old_w[j], uj = t->v[j];
        f64x8 pj = t->p[j];
        for (int q = 0; q < R; q++) {
            const f64x8 a = row[q][j] - vi[q] * wj - wi[q] * vj;
            row[q][j] = a;
            sum[q] += a * uj;
            pj += a * ui[q];
        }
        t->p[j] = pj;
    }
    for (int q = 0; q < R; q++) { /* the corner on the diagonal */
        for (int k = 0; k <= q; k++) {
            const f64x8 a = row[q][r + k] - vi[q] * wi[k] - wi[q] * vi[k];
            row[q][r + k] = a;
            sum[q] += a * ui[k];
            if (k < q) sum[k] += a * ui[q];
        }
    }
    for (int q = 0; q < R; q++) t->p[r + q] = sum[q];
}

/* p = A v over the leading m x m part, while the reflection before is applied to it. */
INLINE void pass(reduction *t, int m)
{
    int r = 0;
    for (; r < m % ROWS; r++) pass_rows(t, r, 1);
    for (; r < m; r += ROWS) pass_rows(t, r, ROWS);
}

/* w = p/h - (v'p/(2 h^2)) v, and it becomes the reflection before. */
INLINE void finish_reflection(reduction *t, int m, const f64x8 *over_h)
{
    f64x8 vp = {0};
    for (int j = 0; j < m; j++) vp += t->v[j] * t->p[j];
    const f64x8 k = vp * *over_h * *over_h * 0.5;
    for (int j = 0; j < m; j++) t->w[j] = t->p[j] * *over_h - k * t->v[j];
    f64x8 *const v = t->old_v, *const w = t->old_w;
    t->old_v = t->v;
    t->old_w = t->w;
    t->v = v;
    t->w = w;
}

CLONES static void reduce(reduction *t)
{
    memset(t->old_v, 0, (size_t)t->n * sizeof *t->old_v);
    memset(t->old_w, 0, (size_t)t->n * sizeof *t->old_w);
    for (int i = t->n - 1; i > 0; i--) {
        update_row(t, i);
        f64x8 over_h;
        reflect(t, i, &over_h);
        pass(t, i);
        finish_reflection(t, i, &over_h);
    }
    update_row(t, 0);
    t->d[0] = row_of(t, 0)[0];
}

void spectrum_lanes(
    const double *const *gram, int lanes, int n, double *const *eigenvalues, void *scratch)
{
    reduction t;
    int exponent[LANES] = {0};
    bool finite[LANES] = {false};
    carve(&t, scratch, n);
    for (int k = 0; k < LANES; k++) {
        if (k < lanes) finite[k] = exponent_of(gram[k], n, &exponent[k]);
        if (finite[k]) {
            pack(&t, k, gram[k], ldexp(1, -exponent[k]));
        } else {
            pack_zero(&t, k);
        }
    }
    reduce(&t);
    tridiagonal_lanes(t.d, t.e, t.p, n);
    for (int k = 0; k < lanes; k++) {
        for (int i = 0; i < n; i++) {
            eigenvalues[k][i] = finite[k] ? ldexp(t.d[i][k], exponent[k]) : NAN;
        }
        if (finite[k]) order_sort(eigenvalues[k], (size_t)n);
    }
}
