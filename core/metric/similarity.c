#include "core/metric/similarity.h"

#include <cblas.h>
#include <string.h>

CLONES static double product(const real *restrict a, const real *restrict b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

CLONES static double
square_of_difference(const real *restrict x, const real *restrict y, double a, double b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        const double d = a * (double)x[i] - b * (double)y[i];
        sum += d * d;
    }
    return sum;
}

double similarity_angle(const real *x, const real *y, size_t n)
{
    const double pi = 3.14159265358979323846, close = 0.999;
    const double xx = product(x, x, n), yy = product(y, y, n);
    if (xx == 0 || yy == 0) return -1;
    const double a = 1 / sqrt(xx), b = 1 / sqrt(yy), cosine = product(x, y, n) * a * b;
    if (cosine > close)
        return 2 * asin(fmin(sqrt(square_of_difference(x, y, a, b, n)) / 2, 1)) / pi;
    return acos(cosine < -1 ? -1 : cosine) / pi;
}

size_t similarity_pairs(size_t n)
{
    return n * (n - 1) / 2;
}

size_t similarity_work(size_t n, size_t cols)
{
    return n * cols + n * n + (n > cols ? n : cols);
}

/* The chosen rows in float64 without their mean. */
static void
take(double *to, const real *x, size_t rows, size_t cols, size_t ld, size_t n, double *mean)
{
    memset(mean, 0, cols * sizeof *mean);
    for (size_t i = 0; i < n; i++) {
        const real *row = x + i * rows / n * ld;
        for (size_t j = 0; j < cols; j++) {
            to[i * cols + j] = (double)row[j];
            mean[j] += (double)row[j];
        }
    }
    for (size_t j = 0; j < cols; j++) mean[j] /= (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < cols; j++) to[i * cols + j] -= mean[j];
}

void similarity_gram(
    double *K, const real *x, size_t rows, size_t cols, size_t ld, size_t n, double *work)
{
    double *const gram = work + n * cols, *const sums = gram + n * n;
    double all = 0;
    take(work, x, rows, cols, ld, n, sums);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)n, (int)cols, 1.0, work, (int)cols,
                0.0, gram, (int)n);
    memset(sums, 0, n * sizeof *sums);
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            sums[i] += gram[i * n + j];
            sums[j] += gram[i * n + j];
        }
    for (size_t i = 0; i < n; i++) all += sums[i];
    const double m = (double)n, shift = all / ((m - 1) * (m - 2));
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++)
            *K++ = gram[i * n + j] - (sums[i] + sums[j]) / (m - 2) + shift;
}

CLONES static double sum_of_products(const double *restrict a, const double *restrict b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

double similarity_product(const double *K, const double *other, size_t n)
{
    return sum_of_products(K, other, similarity_pairs(n));
}
