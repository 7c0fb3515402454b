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
