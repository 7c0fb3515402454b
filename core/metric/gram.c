#include "core/metric/gram.h"

#include <cblas.h>
#include <stdbool.h>

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

/* K_ij - r_i - r_j + r, r_i the mean of row i and r the mean of all; row means of the lower
 * triangle. */
CLONES static void
centre_by_token(double *restrict C, const double *restrict K, size_t T, double *restrict r)
{
    double all = 0;
    for (size_t i = 0; i < T; i++) r[i] = 0;
    for (size_t i = 0; i < T; i++) {
        const double *row = K + i * T;
        double sum = 0;
        for (size_t j = 0; j < i; j++) {
            sum += row[j];
            r[j] += row[j];
        }
        r[i] += sum + row[i];
    }
    for (size_t i = 0; i < T; i++) {
        r[i] /= (double)T;
        all += r[i];
    }
    all /= (double)T;
    for (size_t i = 0; i < T; i++) {
        const double shift = all - r[i];
        for (size_t j = 0; j <= i; j++) C[i * T + j] = K[i * T + j] + (shift - r[j]);
    }
}

CLONES static void centre_by_feature(
    double *restrict C, const double *restrict K, size_t T, size_t D, const double *restrict mean)
{
    for (size_t i = 0; i < D; i++) {
        const double scaled = (double)T * mean[i];
        for (size_t j = 0; j <= i; j++) C[i * D + j] = K[i * D + j] - scaled * mean[j];
    }
}

void gram_pair(double *K, double *centred, const slab *s, void *work)
{
    if (K) gram_of(K, s->x, s->rows, s->cols, s->ld, NULL, work);
    if (!centred) return;
    if (!K || !(s->residual_sq >= s->sum_sq / 4)) {
        gram_of(centred, s->x, s->rows, s->cols, s->ld, s->col_mean, work);
    } else if (s->rows <= s->cols) {
        centre_by_token(centred, K, s->rows, work);
    } else {
        centre_by_feature(centred, K, s->rows, s->cols, s->col_mean);
    }
}
