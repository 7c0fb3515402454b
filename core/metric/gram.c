/* Fused multiply-adds: GCC 12 treats -ffp-contract=on as off. */
#pragma GCC optimize("fp-contract=fast")

#include "core/metric/gram.h"

#include "core/metric/lanes.h"

#include <math.h>
#include <stdbool.h>

/* DEPTH: columns packed at a time: two panels of eight rows take half of a first-level cache of
 * 32 KiB. TALL: panels against one, in as many sums as hide the latency of a multiply-add. */
enum { GRAM_ALIGN = 64, DEPTH = 128, TALL = 2 };

size_t gram_n(size_t T, size_t D)
{
    return T < D ? T : D;
}

static size_t rounded(size_t bytes)
{
    return (bytes + GRAM_ALIGN - 1) / GRAM_ALIGN * GRAM_ALIGN;
}

size_t gram_bytes(size_t T, size_t D)
{
    return rounded(gram_n(T, D) * gram_n(T, D) * sizeof(double));
}

static size_t padded(size_t n)
{
    return (n + LANES_WIDEST - 1) / LANES_WIDEST * LANES_WIDEST;
}

size_t gram_work_bytes(size_t T, size_t D)
{
    return (padded(gram_n(T, D)) * DEPTH + 2 * padded(D)) * sizeof(double);
}

/* Y [n, depth], whose product Y Y' is wanted: see pack_rows and pack_columns. */
typedef struct factors {
    const real *x;
    size_t n, depth, ld;
    bool by_column;
    const double *shift, *last; /* padded(D); last may be NULL */
} factors;

#define LANES 8
#include "core/metric/lanes_kernel.h"

#include "core/metric/gram_kernel.h"
#undef LANES
#define LANES 4
#include "core/metric/lanes_kernel.h"

#include "core/metric/gram_kernel.h"

static void multiply(double *K, const factors *y, double *panels, int width)
{
    if (width == 8) {
        multiply_8(K, y, panels);
    } else {
        multiply_4(K, y, panels);
    }
}

/* The parts of work. */
typedef struct room {
    double *shift, *last, *panels;
} room;

static room carve(void *work, size_t D)
{
    double *const at = work;
    return (room){at, at + padded(D), at + 2 * padded(D)};
}

void gram_of(
    double *K, const real *x, size_t T, size_t D, size_t ld, const double *col_mean, void *work)
{
    gram_of_width(K, x, T, D, ld, col_mean, work, lanes_width());
}

void gram_of_width(double *K,
                   const real *x,
                   size_t T,
                   size_t D,
                   size_t ld,
                   const double *col_mean,
                   void *work,
                   int width)
{
    const room r = carve(work, D);
    const factors y = {.x = x,
                       .n = gram_n(T, D),
                       .depth = T <= D ? D : T,
                       .ld = ld,
                       .by_column = T > D,
                       .shift = r.shift};
    memset(r.shift, 0, padded(D) * sizeof *r.shift);
    if (col_mean) memcpy(r.shift, col_mean, D * sizeof *r.shift);
    multiply(K, &y, r.panels, width);
}

/* H X, see the header: rows x_i - xbar + (x_last - xbar)/(sqrt(T) - 1) and, last, sqrt(T) xbar. */
static factors turned(const slab *s, const room *r)
{
    const size_t T = s->rows, D = s->cols;
    const double root = sqrt((double)T), part = 1 / (root - 1);
    const real *last = s->x + (T - 1) * s->ld;
    for (size_t j = 0; j < D; j++) {
        r->shift[j] = s->col_mean[j] - ((double)last[j] - s->col_mean[j]) * part;
        r->last[j] = root * s->col_mean[j];
    }
    return (factors){
        .x = s->x, .n = T, .depth = D, .ld = s->ld, .shift = r->shift, .last = r->last};
}

/* The reflection I - u u' that takes v to ||v|| times the last unit vector, up to sign: returns
 * ||v||^2. Nothing to do (u = 0) for v = 0. */
static double reflection_of(double *u, const double *v, size_t n)
{
    double largest = 0, rest = 0;
    for (size_t j = 0; j < n; j++) largest = fmax(largest, fabs(v[j]));
    memset(u, 0, n * sizeof *u);
    if (!(largest > 0) || !isfinite(largest)) return 0;
    for (size_t j = 0; j < n; j++) {
        u[j] = v[j] / largest;
        rest += u[j] * u[j];
    }
    const double norm = sqrt(rest), last = u[n - 1] + copysign(norm, u[n - 1]);
    const double factor = 1 / sqrt(norm * fabs(last));
    for (size_t j = 0; j < n - 1; j++) u[j] *= factor;
    u[n - 1] = last * factor;
    return largest * norm * (largest * norm);
}

/* K <- (I - u u') K (I - u u') = K - u w' - w u', w = K u - u (u'K u)/2; lower triangle. */
CLONES static void
reflect(double *restrict K, const double *restrict u, double *restrict w, size_t n)
{
    double along = 0;
    for (size_t i = 0; i < n; i++) w[i] = 0;
    for (size_t i = 0; i < n; i++) {
        const double *row = K + i * n;
        const double ui = u[i];
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < i; j++) {
            sum += row[j] * u[j];
            w[j] += row[j] * ui;
        }
        w[i] += sum + row[i] * ui;
    }
    for (size_t i = 0; i < n; i++) along += w[i] * u[i];
    for (size_t i = 0; i < n; i++) w[i] -= along / 2 * u[i];
    for (size_t i = 0; i < n; i++) {
        double *row = K + i * n;
#pragma omp simd
        for (size_t j = 0; j <= i; j++) row[j] -= u[i] * w[j] + w[i] * u[j];
    }
}

double gram_turned(double *K, const slab *s, void *work)
{
    return gram_turned_width(K, s, work, lanes_width());
}

double gram_turned_width(double *K, const slab *s, void *work, int width)
{
    const size_t T = s->rows, D = s->cols;
    const room r = carve(work, D);
    if (T == 1) { /* H = 1 */
        gram_of_width(K, s->x, T, D, s->ld, NULL, work, width);
        return 0;
    }
    if (T <= D) {
        const factors y = turned(s, &r);
        multiply(K, &y, r.panels, width);
        return 0;
    }
    gram_of_width(K, s->x, T, D, s->ld, s->col_mean, work, width);
    const double square = reflection_of(r.shift, s->col_mean, D);
    reflect(K, r.shift, r.last, D);
    return (double)T * square;
}
