/* Eigenvalues of up to SPECTRUM_LANES matrices, LANES at a time; included by spectrum.c once for
 * each width. The widths agree to rounding: where the compiler fuses a multiply-add is its choice.
 */
/* ROWS: rows that share one load of the vectors in the pass over the matrix. */
#define GROUPS (SPECTRUM_LANES / LANES)
#define ROWS (LANES / 2)

#include "core/metric/tridiagonal_kernel.h"

#undef reduction
#define reduction L(reduction)

/* LANES matrices on their way to tridiagonal form. Row i of the lower triangle, entries (i, 0..i),
 * is at a + i(i+1)/2. v and w: the reflection being made, A <- A - v w' - w v'; old_v, old_w: the
 * one before, which the next pass applies. */
typedef struct reduction {
    f64v *a, *v, *w, *old_v, *old_w, *p, *d, *e;
    int n;
} reduction;

/* Returns where the vectors of the groups begin. */
static f64v *L(carve)(reduction *t, f64v *at, int n)
{
    f64v **const rows[VECTORS] = {&t->v, &t->w, &t->old_v, &t->old_w, &t->p};
    t->n = n;
    t->a = at;
    at += triangle((size_t)n);
    for (int k = 0; k < VECTORS; k++, at += n) *rows[k] = at;
    return at;
}

LANES_INLINE f64v *L(row_of)(const reduction *t, int i)
{
    return t->a + triangle((size_t)i);
}

LANES_CLONES static void L(pack)(reduction *t, const source from[LANES])
{
    for (int i = 0; i < t->n; i++) {
        f64v *row = L(row_of)(t, i);
        const size_t start = (size_t)i * (size_t)t->n;
        int j = 0;
        for (; j + LANES <= i + 1; j += LANES) {
            f64v part[LANES] = {0};
            for (int k = 0; k < LANES; k++) {
                if (from[k].finite)
                    part[k] = *(const loose_f64 *)(from[k].gram + start + j) * from[k].factor;
            }
            L(transpose)(part);
            for (int k = 0; k < LANES; k++) row[j + k] = part[k];
        }
        for (; j <= i; j++) {
            for (int k = 0; k < LANES; k++)
                row[j][k] = from[k].finite ? from[k].gram[start + (size_t)j] * from[k].factor : 0;
        }
    }
}

/* Applies the reflection before to row i alone, so that the next can be made from it. */
LANES_INLINE void L(update_row)(reduction *t, int i)
{
    f64v *row = L(row_of)(t, i);
    const f64v vi = t->old_v[i], wi = t->old_w[i];
    for (int j = 0; j <= i; j++) row[j] -= vi * t->old_w[j] + wi * t->old_v[j];
}

/* From row i: v (length i) with (I - v v'/h) row = (0, .., 0, e), h = v'v/2. Where the row is zero
 * but for its last entry there is nothing to do: v = 0, 1/h = 0. over_h: 1/h. */
LANES_INLINE void L(reflect)(reduction *t, int i, f64v *over_h)
{
    const f64v *row = L(row_of)(t, i);
    f64v rest = {0};
    for (int j = 0; j < i - 1; j++) rest += row[j] * row[j];
    const f64v last = row[i - 1], squares = last * last + rest;
    const i64v needed = rest > 0;
    f64v norm;
    for (int k = 0; k < LANES; k++) norm[k] = sqrt(squares[k]);
    const f64v h = squares + norm * LANES_ABS(last);
    for (int k = 0; k < LANES; k++) (*over_h)[k] = needed[k] ? 1 / h[k] : 0;
    for (int j = 0; j < i - 1; j++) t->v[j] = LANES_AND(row[j], needed);
    const f64v signed_norm = LANES_SELECT(last < 0, -norm, norm);
    t->v[i - 1] = LANES_AND(last + signed_norm, needed);
    t->e[i - 1] = LANES_SELECT(needed, squares, last * last);
    t->d[i] = row[i];
}

/* Applies the reflection before to rows r..r+R-1 and adds what these rows contribute to p = A v. */
LANES_INLINE void L(pass_rows)(reduction *t, int r, const int R)
{
    f64v *row[ROWS], vi[ROWS], wi[ROWS], ui[ROWS], sum[ROWS];
    for (int q = 0; q < R; q++) {
        row[q] = L(row_of)(t, r + q);
        vi[q] = t->old_v[r + q];
        wi[q] = t->old_w[r + q];
        ui[q] = t->v[r + q];
        sum[q] = (f64v){0};
    }
    for (int j = 0; j < r; j++) {
        const f64v vj = t->old_v[j], wj = t->old_w[j], uj = t->v[j];
        f64v pj = t->p[j];
        for (int q = 0; q < R; q++) {
            const f64v a = row[q][j] - vi[q] * wj - wi[q] * vj;
            row[q][j] = a;
            sum[q] += a * uj;
            pj += a * ui[q];
        }
        t->p[j] = pj;
    }
    for (int q = 0; q < R; q++) { /* the corner on the diagonal */
        for (int k = 0; k <= q; k++) {
            const f64v a = row[q][r + k] - vi[q] * wi[k] - wi[q] * vi[k];
            row[q][r + k] = a;
            sum[q] += a * ui[k];
            if (k < q) sum[k] += a * ui[q];
        }
    }
    for (int q = 0; q < R; q++) t->p[r + q] = sum[q];
}

/* p = A v over the leading m x m part, while the reflection before is applied to it. */
LANES_INLINE void L(pass)(reduction *t, int m)
{
    int r = 0;
    for (; r < m % ROWS; r++) L(pass_rows)(t, r, 1);
    for (; r < m; r += ROWS) L(pass_rows)(t, r, ROWS);
}

/* w = p/h - (v'p/(2 h^2)) v, and it becomes the reflection before. */
LANES_INLINE void L(finish_reflection)(reduction *t, int m, const f64v *over_h)
{
    f64v vp = {0};
    for (int j = 0; j < m; j++) vp += t->v[j] * t->p[j];
    const f64v k = vp * *over_h * *over_h * 0.5;
    for (int j = 0; j < m; j++) t->w[j] = t->p[j] * *over_h - k * t->v[j];
    f64v *const v = t->old_v, *const w = t->old_w;
    t->old_v = t->v;
    t->old_w = t->w;
    t->v = v;
    t->w = w;
}

LANES_CLONES static void L(reduce)(reduction *t)
{
    memset(t->old_v, 0, (size_t)t->n * sizeof *t->old_v);
    memset(t->old_w, 0, (size_t)t->n * sizeof *t->old_w);
    for (int i = t->n - 1; i > 0; i--) {
        L(update_row)(t, i);
        f64v over_h;
        L(reflect)(t, i, &over_h);
        L(pass)(t, i);
        L(finish_reflection)(t, i, &over_h);
    }
    L(update_row)(t, 0);
    t->d[0] = L(row_of)(t, 0)[0];
}

/* Each lane ascending: Batcher's merge exchange (Knuth, volume 3, 5.2.2M), whose comparisons do not
 * depend on the values. */
LANES_CLONES static void L(sort)(f64v *d, int n)
{
    int top = 1;
    while (2 * top < n) top *= 2;
    for (int p = top; p > 0; p /= 2) {
        for (int q = top, r = 0, apart = p;; apart = q - p, q /= 2, r = p) {
            for (int i = 0; i < n - apart; i++) {
                if ((i & p) != r) continue;
                const f64v a = d[i], b = d[i + apart];
                const i64v swapped = b < a;
                d[i] = LANES_SELECT(swapped, b, a);
                d[i + apart] = LANES_SELECT(swapped, a, b);
            }
            if (q == p) break;
        }
    }
}

/* A matrix that has lost its last row and column has a 0 instead. */
static void L(tridiagonal_finish)(tridiagonal *t, int n)
{
    for (; t->n < n; t->n++) t->d[t->n] = (f64v){0};
    L(sort)(t->d, n);
}

static void L(unpack)(const source *from, const tridiagonal *t, int lane, double *eigenvalues)
{
    const int exponent = from->exponent + t->exponent[lane];
    const double half = ldexp(1, exponent / 2), rest = ldexp(1, exponent - exponent / 2);
    for (int i = 0; i < t->n; i++)
        eigenvalues[i] = from->finite ? t->d[i][lane] * half * rest : NAN;
}

/* The second tridiagonal matrix of a group, from the first: without its last entry, or with the
 * corners added to it. */
static void
L(second)(tridiagonal *t, const reduction *r, f64v *at, const source *from, const double *corner)
{
    const int n = r->n;
    memcpy(at, r->d, (size_t)n * sizeof *at);
    memcpy(at + n, r->e, (size_t)n * sizeof *at);
    for (int k = 0; corner && k < LANES; k++)
        at[n - 1][k] += from[k].finite ? corner[k] * from[k].factor : 0;
    at[2 * n - 1] = (f64v){0};
    L(tridiagonal_init)(t, at, at + n, at + 2 * n, corner ? n : n - 1);
}

/* One reduction per group, and of each a tridiagonal matrix or two. */
static void L(solve)(const lanes_job *job, void *scratch)
{
    const int n = job->n, groups = (job->lanes + LANES - 1) / LANES;
    reduction r;
    tridiagonal t[GROUPS] = {0};
    source from[SPECTRUM_LANES] = {0};
    f64v *at = L(carve)(&r, scratch, n);
    int made = 0;
    for (int k = 0; k < groups * LANES; k++)
        scale(&from[k], k < job->lanes ? job->gram[k] : NULL, n,
              job->corner && k < job->lanes ? job->corner[k] : 0);
    for (int g = 0; g < groups; g++) {
        double corner[LANES] = {0};
        for (int k = 0; k < LANES && job->corner && g * LANES + k < job->lanes; k++)
            corner[k] = job->corner[g * LANES + k];
        r.d = at;
        r.e = at + n;
        L(pack)(&r, from + g * LANES);
        L(reduce)(&r);
        if (job->second) {
            f64v *const own = at + GROUP_VECTORS * n;
            L(second)(&t[made + 1], &r, own, from + g * LANES, job->corner ? corner : NULL);
        }
        L(tridiagonal_init)(&t[made], r.d, r.e, at + 2 * n, n);
        made += job->second ? 2 : 1;
        at += (job->second ? 2 : 1) * GROUP_VECTORS * n;
    }
    for (int g = 0; g < made; g += TOGETHER)
        L(tridiagonal_solve)(t + g, made - g < TOGETHER ? made - g : TOGETHER);
    for (int g = 0; g < made; g++) L(tridiagonal_finish)(&t[g], n);
    for (int k = 0; k < job->lanes; k++) {
        const int g = k / LANES * (job->second ? 2 : 1);
        L(unpack)(&from[k], &t[g], k % LANES, job->first[k]);
        if (job->second) L(unpack)(&from[k], &t[g + 1], k % LANES, job->second[k]);
    }
}
