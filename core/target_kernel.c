#include "core/target_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK, from OpenBLAS; called on one thread. */
extern void dsyev_(const char *jobz,
                   const char *uplo,
                   const int *n,
                   double *a,
                   const int *lda,
                   double *w,
                   double *work,
                   const int *lwork,
                   int *info);

static const double hidden = -80;

static double gamma_at(int layer, int depth, double end)
{
    if (layer == 0) return INFINITY;
    /* alpha_L^2 = -expm1(-2 gamma_L); 1 - alpha_L^{2l/L} = -expm1(l/L ln alpha_L^2) */
    double log_alpha_sq = log(-expm1(-2 * end));
    return -0.5 * log(-expm1(log_alpha_sq * layer / depth));
}

static double rho_at(int layer, int depth, double end)
{
    return -expm1(log1p(-end) * layer / depth);
}

target_kernel
target_kernel_at(target_family family, bool causal, int length, int layer, int depth, double end)
{
    bool exponential = family == TARGET_EXPONENTIAL;
    return (target_kernel){
        .family = family,
        .causal = causal,
        .length = length,
        .now = exponential ? gamma_at(layer, depth, end) : rho_at(layer, depth, end),
        .last = exponential ? gamma_at(layer - 1, depth, end) : rho_at(layer - 1, depth, end),
    };
}

/* --- one row: its logarithms and the logarithm of its sum ---------------------------------------
 */

typedef struct row {
    double *log_a; /* [T]; -INFINITY where A is 0 or hidden */
    double log_sum;
} row;

/* Closed form: a = exp(-gamma_l), b = exp(-gamma_{l-1}), kappa = s_a/s_b, s = sqrt(1 - a^2);
 *   A_11 = 1, A_ii = kappa, A_ij = kappa (a-b) a^{i-j-1}, A_i1 = a^{i-2} (a - b kappa),
 *   row sum a^{i-1} + sqrt((1-b)(1+a)/((1+b)(1-a))) (1 - a^{i-1}). */
static void exponential_row(const target_kernel *k, int i, row *out)
{
    double log_a = -k->now, a = exp(-k->now), b = exp(-k->last);
    double log_kappa = 0.5 * (log(-expm1(-2 * k->now)) - log(-expm1(-2 * k->last)));
    double kappa = exp(log_kappa), log_step = log_kappa + log(a - b);
    for (int j = 0; j < k->length; j++) out->log_a[j] = -INFINITY;
    for (int j = 1; j < i; j++) out->log_a[j] = log_step + (i - j - 1) * log_a;
    out->log_a[i] = i == 0 ? 0 : log_kappa;
    if (i > 0) out->log_a[0] = (i - 1) * log_a + log(a - b * kappa);
    double power = exp(i * log_a), one_less_a = -expm1(-k->now), one_less_b = -expm1(-k->last);
    double ratio = sqrt(one_less_b * (1 + a) / ((1 + b) * one_less_a));
    out->log_sum = log(power + ratio * -expm1(i * log_a));
}

/* Entries of the Cholesky factor of (1-rho) I + rho 11': the diagonal of column j = 1.., and what
 * stands below it. */
static double factor_diagonal(double rho, int j)
{
    return sqrt((1 - rho) * (1 + (j - 1) * rho) / (1 + (j - 2) * rho));
}

static double factor_below(double rho, int j)
{
    return rho * sqrt((1 - rho) / ((1 + (j - 2) * rho) * (1 + (j - 1) * rho)));
}

/* A L' = L solved from the diagonal to the left: A_ij = (L_ij - L'_below,j sum_{k>j} A_ik)/L'_jj.
 */
static void uniform_row(const target_kernel *k, int i, row *out)
{
    double sum = 0;
    for (int j = i + 1; j < k->length; j++) out->log_a[j] = -INFINITY;
    for (int j = i; j >= 0; j--) {
        double target = j == i ? factor_diagonal(k->now, j + 1) : factor_below(k->now, j + 1);
        double a = (target - factor_below(k->last, j + 1) * sum) / factor_diagonal(k->last, j + 1);
        out->log_a[j] = a > 0 ? log(a) : -INFINITY;
        sum += a;
    }
    out->log_sum = log(sum);
}

/* On 1 and on what is orthogonal to it the roots are numbers: A = c (I - 11'/T) + m 11'/T. */
static void uniform_row_both(const target_kernel *k, int i, row *out)
{
    double n = k->length, c = sqrt((1 - k->now) / (1 - k->last));
    double m = sqrt((1 + (n - 1) * k->now) / (1 + (n - 1) * k->last)), beside = (m - c) / n;
    for (int j = 0; j < k->length; j++) {
        double a = j == i ? c + beside : beside;
        out->log_a[j] = a > 0 ? log(a) : -INFINITY;
    }
    out->log_sum = log(m);
}

/* --- roots of exponential kernels --------------------------------------------------------------
 */

/* root [n, n] = V diag(lambda^power) V', Sigma_ij = exp(-gamma |i-j|); work n^2 + 4 n. */
static void kernel_power(double gamma, double power, int n, double *root, double *work)
{
    double *v = work, *lambda = v + (size_t)n * (size_t)n, *more = lambda + n;
    int info = 0, n_more = 3 * n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) v[i * n + j] = exp(-gamma * abs(i - j));
    dsyev_("V", "U", &n, v, &n, lambda, more, &n_more, &info);
    for (int k = 0; k < n; k++) lambda[k] = pow(fmax(lambda[k], 0), power);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++) sum += v[k * n + i] * lambda[k] * v[k * n + j];
            root[i * n + j] = info ? NAN : sum;
        }
}

/* a [n, n] = Sigma_l^1/2 Sigma_{l-1}^-1/2; work 2 n^2 + 4 n more. */
static void exponential_both(const target_kernel *k, double *a, double *work)
{
    size_t n = (size_t)k->length;
    double *now = work, *before = now + n * n;
    if (isinf(k->last)) {
        kernel_power(k->now, 0.5, k->length, a, work);
        return;
    }
    kernel_power(k->now, 0.5, k->length, now, before);
    kernel_power(k->last, -0.5, k->length, a, before);
    memcpy(before, a, n * n * sizeof *a);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t m = 0; m < n; m++) sum += now[i * n + m] * before[m * n + j];
            a[i * n + j] = sum;
        }
}

static void row_of_matrix(const double *a, int n, row *out)
{
    double sum = 0;
    for (int j = 0; j < n; j++) {
        out->log_a[j] = a[j] > 0 ? log(a[j]) : isnan(a[j]) ? (double)NAN : -INFINITY;
        sum += a[j];
    }
    out->log_sum = log(sum);
}

/* --- both --------------------------------------------------------------------------------------
 */

static bool needs_roots(target_family family, bool causal)
{
    return family == TARGET_EXPONENTIAL && !causal;
}

size_t target_kernel_work(target_family family, bool causal, int length)
{
    size_t n = (size_t)length;
    return needs_roots(family, causal) ? 3 * n * n + 5 * n : n;
}

void target_kernel_fill(const target_kernel *k, real *bias, real *rows, double *work)
{
    size_t n = (size_t)k->length;
    bool roots = needs_roots(k->family, k->causal);
    double *a = work + n;
    row r = {.log_a = work};
    if (roots) exponential_both(k, a, a + n * n);
    for (int i = 0; i < k->length; i++) {
        if (roots)
            row_of_matrix(a + (size_t)i * n, k->length, &r);
        else if (k->family == TARGET_EXPONENTIAL)
            exponential_row(k, i, &r);
        else if (k->causal)
            uniform_row(k, i, &r);
        else
            uniform_row_both(k, i, &r);
        if (rows) rows[i] = (real)exp(r.log_sum);
        for (size_t j = 0; j < n && bias; j++) {
            double b = r.log_a[j] - r.log_sum;
            bias[(size_t)i * n + j] = (real)(b < hidden ? hidden : b);
        }
    }
}
