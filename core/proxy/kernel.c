#include "core/proxy/kernel.h"

#include <cblas.h>
#include <float.h>
#include <math.h>

/* Rows to length 1; returns how many are zero. */
static int unit_rows(double *rows, size_t n, size_t m)
{
    int zeros = 0;
    for (size_t i = 0; i < n; i++, rows += m) {
        double square = 0, top = 0;
        for (size_t j = 0; j < m; j++) top = fmax(top, fabs(rows[j]));
        zeros += top == 0;
        for (size_t j = 0; j < m && top > 0; j++) square += rows[j] / top * (rows[j] / top);
        for (size_t j = 0; j < m && top > 0; j++) rows[j] /= top * sqrt(square);
    }
    return zeros;
}

/* Takes the mean off; what rounding leaves of a constant row is zero. */
static void centre(double *row, size_t m)
{
    double sum = 0, top = 0, left = 0;
    for (size_t j = 0; j < m; j++) sum += row[j], top = fmax(top, fabs(row[j]));
    for (size_t j = 0; j < m; j++) {
        row[j] -= sum / (double)m;
        left = fmax(left, fabs(row[j]));
    }
    if (left > (double)m * DBL_EPSILON * top) return;
    for (size_t j = 0; j < m; j++) row[j] = 0;
}

static void products(const double *rows, size_t n, size_t m, double *R)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)n, (int)m, 1, rows, (int)m, 0, R,
                (int)n);
}

int proxy_correlate(double *rows, size_t n, size_t m, double *R)
{
    for (size_t i = 0; i < n; i++) centre(rows + i * m, m);
    int zeros = unit_rows(rows, n, m);
    products(rows, n, m, R);
    return zeros;
}

proxy_spectrum proxy_score(const double *eigenvalues, int n)
{
    const double k = 1e-5;
    proxy_spectrum s = {0};
    for (int i = 0; i < n; i++) {
        double v = eigenvalues[i] < 0 ? 0 : eigenvalues[i];
        s.score -= log(v + k) + 1 / (v + k);
        s.nulls += v < k;
    }
    return s;
}

metric_value proxy_cosine(double *rows, size_t n, size_t m, double *R)
{
    double sum = 0;
    if (n < 2) return value_undefined(REASON_ONE_SEQUENCE);
    if (unit_rows(rows, n, m)) return value_undefined(REASON_ZERO);
    products(rows, n, m, R);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) sum += pow(fabs(R[i * n + j]), 1.0 / 20);
    return value_of(1 - 2 * sum / (2 * (double)(n * n - n)));
}

metric_value proxy_logdet(double *K, size_t n)
{
    double top = 0, sum = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, K[i * n + i]);
    for (size_t j = 0; j < n; j++) {
        double pivot = K[j * n + j];
        for (size_t k = 0; k < j; k++) pivot -= K[j * n + k] * K[j * n + k];
        if (!(pivot > (double)n * DBL_EPSILON * top)) return value_undefined(REASON_SINGULAR);
        sum += log(pivot);
        K[j * n + j] = sqrt(pivot);
        for (size_t i = j + 1; i < n; i++) {
            double x = K[i * n + j];
            for (size_t k = 0; k < j; k++) x -= K[i * n + k] * K[j * n + k];
            K[i * n + j] = x / K[j * n + j];
        }
    }
    return value_of(sum);
}

double proxy_nuclear(const double *eigenvalues, int n, size_t larger)
{
    double sum = 0, floor = (double)larger * DBL_EPSILON * eigenvalues[n - 1];
    if (!isfinite(eigenvalues[n - 1])) return (double)NAN;
    for (int i = 0; i < n; i++)
        if (eigenvalues[i] > floor) sum += sqrt(eigenvalues[i]);
    return sum;
}
