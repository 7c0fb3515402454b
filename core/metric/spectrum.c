/* Fused multiply-adds: GCC 12 treats -ffp-contract=on as off. */
#pragma GCC optimize("fp-contract=fast")

#include "core/metric/spectrum.h"

#include "core/metric/lanes.h"
#include "core/metric/order.h"
#include "core/metric/tridiagonal.h"

#include <stdbool.h>

/* ROWS: rows that share one load of the vectors in the pass over the matrix. VECTORS: arrays of n
 * that the reduction works with, GROUP_VECTORS those that each group of eight matrices keeps. */
enum { ROWS = 4, VECTORS = 5, GROUP_VECTORS = 3 };
_Static_assert(SPECTRUM_LANES == LANES * TRIDIAGONAL_GROUPS, "groups of eight lanes");

/* Eight matrices on their way to tridiagonal form. Row i of the lower triangle, entries (i, 0..i),
 * is at a + i(i+1)/2. v and w: the reflection being made, A <- A - v w' - w v'; old_v, old_w: the
 * one before, which the next pass applies. */
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
    return (triangle((size_t)n) + (VECTORS + TRIDIAGONAL_GROUPS * GROUP_VECTORS) * (size_t)n) *
           sizeof(f64x8);
}

/* Returns where the vectors of the groups begin. */
static f64x8 *carve(reduction *t, f64x8 *at, int n)
{
    f64x8 **const rows[VECTORS] = {&t->v, &t->w, &t->old_v, &t->old_w, &t->p};
    t->n = n;
    t->a = at;
    at += triangle((size_t)n);
    for (int k = 0; k < VECTORS; k++, at += n) *rows[k] = at;
    return at;
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

/* in[k] = eight entries of matrix k becomes in[j] = entry j of eight matrices. */
INLINE void transpose(f64x8 in[LANES])
{
    f64x8 a[LANES], b[LANES];
    for (int k = 0; k < LANES; k += 2) {
        a[k] = __builtin_shuffle(in[k], in[k + 1], (i64x8){0, 8, 2, 10, 4, 12, 6, 14});
        a[k + 1] = __builtin_shuffle(in[k], in[k + 1], (i64x8){1, 9, 3, 11, 5, 13, 7, 15});
    }
    for (int k = 0; k < LANES; k += 4) {
        for (int q = 0; q < 2; q++) {
            b[k + q] = __builtin_shuffle(a[k + q], a[k + q + 2], (i64x8){0, 1, 8, 9, 4, 5, 12, 13});
            b[k + q + 2] =
                __builtin_shuffle(a[k + q], a[k + q + 2], (i64x8){2, 3, 10, 11, 6, 7, 14, 15});
        }
    }
    for (int k = 0; k < 4; k++) {
        in[k] = __builtin_shuffle(b[k], b[k + 4], (i64x8){0, 1, 2, 3, 8, 9, 10, 11});
        in[k + 4] = __builtin_shuffle(b[k], b[k + 4], (i64x8){4, 5, 6, 7, 12, 13, 14, 15});
    }
}

/* What one lane is filled from: a matrix and the power of two that brings it below 1; a lane
 * without a matrix, or with one that is not finite, is zero. */
typedef struct source {
    const double *gram;
    double factor;
    int exponent;
    bool finite;
} source;

CLONES static void pack(reduction *t, const source from[LANES])
{
    typedef double loose_x8 __attribute__((vector_size(64), aligned(8), may_alias));
    for (int i = 0; i < t->n; i++) {
        f64x8 *row = row_of(t, i);
        const size_t start = (size_t)i * (size_t)t->n;
        int j = 0;
        for (; j + LANES <= i + 1; j += LANES) {
            f64x8 part[LANES] = {0};
            for (int k = 0; k < LANES; k++) {
                if (from[k].finite)
                    part[k] = *(const loose_x8 *)(from[k].gram + start + j) * from[k].factor;
            }
            transpose(part);
            for (int k = 0; k < LANES; k++) row[j + k] = part[k];
        }
        for (; j <= i; j++) {
            for (int k = 0; k < LANES; k++)
                row[j][k] = from[k].finite ? from[k].gram[start + (size_t)j] * from[k].factor : 0;
        }
    }
}

/* Applies the reflection before to row i alone, so that the next can be made from it. */
INLINE void update_row(reduction *t, int i)
{
    f64x8 *row = row_of(t, i);
    const f64x8 vi = t->old_v[i], wi = t->old_w[i];
    for (int j = 0; j <= i; j++) row[j] -= vi * t->old_w[j] + wi * t->old_v[j];
}

/* From row i: v (length i) with (I - v v'/h) row = (0, .., 0, e), h = v'v/2. Where the row is zero
 * but for its last entry there is nothing to do: v = 0, 1/h = 0. over_h: 1/h. */
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

static void scale(source *from, const double *gram, int n)
{
    *from = (source){.gram = gram};
    from->finite = gram && exponent_of(gram, n, &from->exponent);
    from->factor = ldexp(1, -from->exponent);
}

static void unpack(const source *from, const f64x8 *d, int lane, int n, double *eigenvalues)
{
    for (int i = 0; i < n; i++)
        eigenvalues[i] = from->finite ? ldexp(d[i][lane], from->exponent) : NAN;
    if (from->finite) order_sort(eigenvalues, (size_t)n);
}

void spectrum_lanes(
    const double *const *gram, int lanes, int n, double *const *eigenvalues, void *scratch)
{
    reduction r;
    tridiagonal t[TRIDIAGONAL_GROUPS];
    source from[SPECTRUM_LANES];
    f64x8 *at = carve(&r, scratch, n);
    const int groups = (lanes + LANES - 1) / LANES;
    for (int k = 0; k < groups * LANES; k++) scale(&from[k], k < lanes ? gram[k] : NULL, n);
    for (int g = 0; g < groups; g++, at += GROUP_VECTORS * n) {
        r.d = at;
        r.e = at + n;
        pack(&r, from + g * LANES);
        reduce(&r);
        tridiagonal_init(&t[g], r.d, r.e, at + 2 * n, n);
    }
    tridiagonal_solve(t, groups);
    for (int k = 0; k < lanes; k++) unpack(&from[k], t[k / LANES].d, k % LANES, n, eigenvalues[k]);
}
