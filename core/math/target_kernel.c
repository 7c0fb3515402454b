#include "core/math/target_kernel.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

static const double hidden = -80;

/* ln(1 - exp(x)), x <= 0, in the form that keeps its digits. */
static double log_less(double x)
{
    return x > -0.5 ? log(-expm1(x)) : log1p(-exp(x));
}

/* Beyond an end of 372 all kernels are the identity. */
static double gamma_at(int layer, int depth, double end)
{
    if (layer == 0) return INFINITY;
    double log_alpha_sq = log_less(-2 * end);
    return -0.5 * log_less(log_alpha_sq * layer / depth);
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
    for (int j = 0; j < k->length; j++) out->log_a[j] = -INFINITY;
    out->log_a[i] = out->log_sum = 0;
    if (i == 0 || isinf(k->now)) return;
    double log_a = -k->now, a = exp(-k->now), b = exp(-k->last);
    double log_kappa = 0.5 * (log_less(-2 * k->now) - log_less(-2 * k->last));
    double log_less_b = log_a + log_less(fmin(k->now - k->last, 0)); /* ln(a - b) */
    for (int j = 1; j < i; j++) out->log_a[j] = log_kappa + log_less_b + (i - j - 1) * log_a;
    out->log_a[i] = log_kappa;
    out->log_a[0] = (i - 1) * log_a + log(exp(log_less_b) - b * expm1(log_kappa));
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
 *
 * The inverse of Sigma_ij = a^|i-j| is tridiagonal, so that its eigenvectors are waves. With x
 * counted from the middle token, for k = 0..n-1:
 *
 *   v_x ~ cos(theta x - k pi/2),  lambda = (1 - a^2)/((1 - a)^2 + 4 a sin(theta/2)^2),
 *   (n-1) theta = k pi + 2 atan((cos theta - a)/sin theta),
 *
 * the last line from the ends, where v beyond the end must be a times v at the end. Its left side
 * less its right side rises with theta: one angle for each k in (0, pi).
 */

static const double pi = 3.141592653589793;

/* less = 1 - a. */
static double beyond_angle(double less, int n, int k, double theta)
{
    double s = sin(theta / 2);
    return (n - 1) * theta - k * pi - 2 * atan2(less - 2 * s * s, sin(theta));
}

/* To the last bit, however small it is. */
static double wave_angle(double less, int n, int k)
{
    double low = 0, high = pi, mid = pi / 2;
    while (mid > low && mid < high) {
        if (beyond_angle(less, n, k, mid) > 0)
            high = mid;
        else
            low = mid;
        mid = low + (high - low) / 2;
    }
    return mid;
}

/* Sigma of one gamma: v [n, n] with eigenvector k in column k, lambda [n]. */
typedef struct waves {
    size_t n;
    double *v, *lambda;
} waves;

static void waves_make(waves *w, double gamma)
{
    double less = -expm1(-gamma), middle = ((double)w->n - 1) / 2;
    for (size_t k = 0; k < w->n; k++) {
        double theta = wave_angle(less, (int)w->n, (int)k), s = sin(theta / 2), square = 0;
        for (size_t i = 0; i < w->n; i++) {
            double angle = theta * ((double)i - middle), v = k % 2 ? sin(angle) : cos(angle);
            w->v[i * w->n + k] = v;
            square += v * v;
        }
        for (size_t i = 0; i < w->n; i++) w->v[i * w->n + k] /= sqrt(square);
        w->lambda[k] = -expm1(-2 * gamma) / (less * less + 4 * exp(-gamma) * s * s);
    }
}

static void
multiply(const double *a, bool turn_a, const double *b, bool turn_b, double *c, size_t n)
{
    cblas_dgemm(CblasRowMajor, turn_a ? CblasTrans : CblasNoTrans,
                turn_b ? CblasTrans : CblasNoTrans, (int)n, (int)n, (int)n, 1, a, (int)n, b, (int)n,
                0, c, (int)n);
}

/* Where the work space of both functions below begins with the two Sigmas. */
static waves waves_at(double *work, size_t n, size_t i)
{
    double *at = work + i * (n * n + n);
    return (waves){.n = n, .v = at, .lambda = at + n * n};
}

/* a [n, n] = V D^1/2 (V'V_0) D_0^-1/2 V_0', index 0 of block l-1; for block 1 V D^1/2 V'. */
static void exponential_both(const target_kernel *k, double *a, double *work)
{
    size_t n = (size_t)k->length;
    waves now = waves_at(work, n, 0), before = waves_at(work, n, 1);
    double *mixed = work + 2 * (n * n + n);
    bool first = isinf(k->last);
    waves_make(&now, k->now);
    if (!first) waves_make(&before, k->last);
    if (!first) multiply(now.v, true, before.v, false, mixed, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double *m = &mixed[i * n + j];
            if (first)
                *m = i == j ? sqrt(now.lambda[i]) : 0;
            else
                *m *= sqrt(now.lambda[i] / before.lambda[j]);
        }
    multiply(now.v, false, mixed, false, a, n);
    memcpy(mixed, a, n * n * sizeof *a);
    multiply(mixed, false, first ? now.v : before.v, true, a, n);
}

/* x becomes Sigma^power x; wave [n]. */
static void apply_power(const waves *w, double power, double *x, double *wave)
{
    memset(wave, 0, w->n * sizeof *wave);
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < w->n; k++) wave[k] += w->v[i * w->n + k] * x[i];
    for (size_t k = 0; k < w->n; k++) wave[k] *= pow(w->lambda[k], power);
    for (size_t i = 0; i < w->n; i++) {
        x[i] = 0;
        for (size_t k = 0; k < w->n; k++) x[i] += w->v[i * w->n + k] * wave[k];
    }
}

/* sums [n] = A 1. */
static void exponential_both_sums(const target_kernel *k, double *sums, double *work)
{
    size_t n = (size_t)k->length;
    waves w = waves_at(work, n, 0);
    double *wave = waves_at(work, n, 1).v;
    for (size_t i = 0; i < n; i++) sums[i] = 1;
    if (!isinf(k->last)) {
        waves_make(&w, k->last);
        apply_power(&w, -0.5, sums, wave);
    }
    waves_make(&w, k->now);
    apply_power(&w, 0.5, sums, wave);
}

static void row_of_matrix(const double *a, int n, row *out)
{
    double sum = 0;
    for (int j = 0; j < n; j++) {
        out->log_a[j] = a[j] > 0 ? log(a[j]) : -INFINITY;
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
    return needs_roots(family, causal) ? 4 * n * n + 3 * n : n;
}

void target_kernel_fill(const target_kernel *k, real *bias, real *rows, double *work)
{
    size_t n = (size_t)k->length;
    bool roots = needs_roots(k->family, k->causal), whole = roots && bias;
    double *a = work + n;
    row r = {.log_a = work};
    if (whole)
        exponential_both(k, a, a + n * n);
    else if (roots)
        exponential_both_sums(k, work, a);
    for (int i = 0; i < k->length; i++) {
        if (whole)
            row_of_matrix(a + (size_t)i * n, k->length, &r);
        else if (roots)
            r.log_sum = log(work[i]);
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
