#include "core/metric/gram.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { GRAM_ALIGN = 64 };

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

size_t gram_work_bytes(size_t T, size_t D)
{
    return rounded(T * D * sizeof(double));
}

CLONES static void widen(double *restrict y, const real *restrict x, size_t n)
{
    for (size_t j = 0; j < n; j++) y[j] = (double)x[j];
}

CLONES static void
widen_centred(double *restrict y, const real *restrict x, const double *restrict mean, size_t n)
{
    for (size_t j = 0; j < n; j++) y[j] = (double)x[j] - mean[j];
}

void gram_of(
    double *K, const real *x, size_t T, size_t D, size_t ld, const double *col_mean, void *work)
{
    double *const wide = work;
    for (size_t i = 0; i < T; i++) {
        if (col_mean) {
            widen_centred(wide + i * D, x + i * ld, col_mean, D);
        } else {
            widen(wide + i * D, x + i * ld, D);
        }
    }
    const bool by_token = T <= D;
    cblas_dsyrk(CblasRowMajor, CblasLower, by_token ? CblasNoTrans : CblasTrans, (int)gram_n(T, D),
                (int)(by_token ? D : T), 1.0, wide, (int)D, 0.0, K, (int)gram_n(T, D));
}

/* x_i - xbar + (x_last - xbar)/(sqrt(T) - 1) and, last, sqrt(T) xbar: H X, see the header. */
static void widen_turned(double *wide, const slab *s)
{
    const size_t T = s->rows, D = s->cols, last = T - 1;
    double *const shift = wide + last * D; /* the last row, until it is written */
    const double root = sqrt((double)T), part = 1 / (root - 1);
    if (T == 1) {
        widen(wide, s->x, D);
        return;
    }
    widen_centred(shift, s->x + last * s->ld, s->col_mean, D);
    for (size_t j = 0; j < D; j++) shift[j] = s->col_mean[j] - shift[j] * part;
    for (size_t i = 0; i < last; i++) widen_centred(wide + i * D, s->x + i * s->ld, shift, D);
    for (size_t j = 0; j < D; j++) shift[j] = root * s->col_mean[j];
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
    const size_t T = s->rows, D = s->cols;
    double *const wide = work;
    if (T <= D) {
        widen_turned(wide, s);
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)T, (int)D, 1.0, wide, (int)D, 0.0,
                    K, (int)T);
        return 0;
    }
    gram_of(K, s->x, T, D, s->ld, s->col_mean, work);
    const double square = reflection_of(wide, s->col_mean, D);
    reflect(K, wide, wide + D, D);
    return (double)T * square;
}
