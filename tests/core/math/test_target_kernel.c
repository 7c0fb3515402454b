/* The mixing matrices of attention without skips: what they must carry, their closed forms against
 * the recursion A Sigma_{l-1} A' = Sigma_l, and what softmax makes of the logits they give. */
#include "core/math/target_kernel.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { DEPTH = 36 };

/* float32 builds store the tables in single precision. */
static const double rounding = REAL_BITS == 64 ? 1e-13 : 2e-6;

typedef struct tables {
    real *bias, *rows;
    double *work, *a; /* a = D softmax(B) [T, T] */
} tables;

static tables make(target_family family, bool causal, int T, int layer, double end)
{
    size_t n = (size_t)T;
    tables t = {.bias = malloc(n * n * sizeof(real)),
                .rows = malloc(n * sizeof(real)),
                .work = malloc(target_kernel_work(family, causal, T) * sizeof(double)),
                .a = malloc(n * n * sizeof(double))};
    ck_assert(t.bias && t.rows && t.work && t.a);
    target_kernel k = target_kernel_at(family, causal, T, layer, DEPTH, end);
    target_kernel_fill(&k, t.bias, t.rows, t.work);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        size_t seen = causal ? i + 1 : n;
        for (size_t j = 0; j < seen; j++) sum += exp((double)t.bias[i * n + j]);
        ck_assert_msg(fabs(sum - 1) < rounding * T, "row %zu of softmax: %.17g", i, sum);
        for (size_t j = 0; j < n; j++)
            t.a[i * n + j] =
                j < seen ? (double)t.rows[i] * exp((double)t.bias[i * n + j]) / sum : 0;
    }
    return t;
}

static void end_tables(tables *t)
{
    free(t->bias);
    free(t->rows);
    free(t->work);
    free(t->a);
}

static double sigma(target_family family, int layer, double end, int i, int j)
{
    if (i == j) return 1;
    if (layer == 0) return 0;
    target_kernel k = target_kernel_at(family, true, 2, layer, DEPTH, end);
    return family == TARGET_EXPONENTIAL ? exp(-k.now * abs(i - j)) : k.now;
}

/* Largest |A Sigma_{l-1} A' - Sigma_l| of every `stride`th row. */
static double
identity_error(const tables *t, target_family family, int T, int layer, double end, int stride)
{
    double worst = 0, *half = malloc(3 * (size_t)T * sizeof *half);
    ck_assert_ptr_nonnull(half);
    double *before = half + T, *now = before + T; /* by |i - j| */
    for (int d = 0; d < T; d++) {
        before[d] = sigma(family, layer - 1, end, 0, d);
        now[d] = sigma(family, layer, end, 0, d);
    }
    for (int i = 0; i < T; i += stride) {
        for (int j = 0; j < T; j++) {
            double sum = 0;
            for (int k = 0; k < T; k++) sum += t->a[i * T + k] * before[abs(k - j)];
            half[j] = sum;
        }
        for (int j = 0; j < T; j++) {
            double sum = 0;
            for (int k = 0; k < T; k++) sum += half[k] * t->a[j * T + k];
            worst = fmax(worst, fabs(sum - now[abs(i - j)]));
        }
    }
    free(half);
    return worst;
}

START_TEST(test_mixing_carries_one_kernel_into_the_next)
{
    static const int layers[] = {1, 2, 18, 36};
    target_family family = _i / 2 ? TARGET_UNIFORM : TARGET_EXPONENTIAL;
    bool causal = _i % 2 == 0;
    double end = family == TARGET_UNIFORM ? 0.8 : 0.005;
    for (int k = 0; k < 4; k++) {
        int T = 160;
        tables t = make(family, causal, T, layers[k], end);
        double off = identity_error(&t, family, T, layers[k], end, 1);
        ck_assert_msg(off < rounding * T, "layer %d: off by %.3g", layers[k], off);
        end_tables(&t);
    }
}
END_TEST

START_TEST(test_exponential_diagonals_are_the_same_in_every_block)
{
    static const int layers[] = {1, 2, 18, 36};
    double expected = pow(-expm1(-2 * 0.005), 0.5 / DEPTH);
    ck_assert_double_eq_tol(expected, 0.93798, 5e-6);
    for (int k = 0; k < 4; k++) {
        tables t = make(TARGET_EXPONENTIAL, true, 16, layers[k], 0.005);
        for (int i = 1; i < 16; i++)
            ck_assert_double_eq_tol(t.a[i * 16 + i], expected, 16 * rounding);
        ck_assert_double_eq_tol(t.a[0], 1, rounding);
        end_tables(&t);
    }
    static const double gammas[] = {1.059, 0.0525, 0.005};
    static const int at[] = {1, 18, 36};
    for (int k = 0; k < 3; k++) {
        target_kernel g = target_kernel_at(TARGET_EXPONENTIAL, true, 2, at[k], DEPTH, 0.005);
        ck_assert_double_eq_tol(g.now, gammas[k], 5e-4);
    }
}
END_TEST

static void check_finite(const tables *t, int T)
{
    int bad = 0; /* an assertion each would cost more than the rest */
    for (int i = 0; i < T * T; i++) {
        real x = t->bias[i];
        bad += !(isfinite(x) && x >= -80 && x < (real)1e-6);
    }
    for (int i = 0; i < T; i++) bad += !(isfinite(t->rows[i]) && t->rows[i] > 0);
    ck_assert_msg(bad == 0, "%d of the numbers for %d tokens are not finite or too large", bad, T);
}

/* Sum of row i = 1.. of A from its entries, closed forms in long double:
 *   A_11 = 1; A_ii = kappa; A_ij = kappa (a-b) a^{i-j-1}, 2 <= j < i; A_i1 = a^{i-2} (a - b kappa).
 */
static double exponential_row_sum(int i, double now, double last)
{
    long double a = expl(-(long double)now), b = expl(-(long double)last);
    long double kappa = sqrtl(expm1l(-2 * (long double)now) / expm1l(-2 * (long double)last));
    if (i == 1) return 1;
    long double sum = kappa, power = 1; /* a^{i-j-1} */
    for (int j = i - 1; j >= 2; j--, power *= a) sum += kappa * (a - b) * power;
    return (double)(sum + power * (a - b * kappa));
}

/* Entries of block 1 reach exp(-1083) here at 1024 tokens: made as A they would be 0 and their
 * logarithm -Inf. */
START_TEST(test_long_sequences_have_their_kernels_and_finite_logits)
{
    enum { LONG = 2048, STRIDE = 187 };
    static const int layers[] = {1, DEPTH};
    const double digits = REAL_BITS == 64 ? 1e-12 : 1e-5;
    target_family family = _i ? TARGET_UNIFORM : TARGET_EXPONENTIAL;
    double end = _i ? 0.8 : 0.005;
    for (int n = 0; n < 2; n++) {
        tables t = make(family, true, LONG, layers[n], end);
        check_finite(&t, LONG);
        double off = identity_error(&t, family, LONG, layers[n], end, STRIDE);
        ck_assert_msg(off <= digits, "block %d: kernel off by %.3g", layers[n], off);
        target_kernel k = target_kernel_at(family, true, LONG, layers[n], DEPTH, end);
        for (int i = 1; i <= LONG && family == TARGET_EXPONENTIAL; i += STRIDE) {
            double sum = exponential_row_sum(i, k.now, k.last);
            ck_assert_double_eq_tol((double)t.rows[i - 1], sum, digits * sum);
        }
        end_tables(&t);
    }
}
END_TEST

/* Whatever a job can say (roots of kernels that decay by less than 1e-9 are refused); kernels that
 * hardly decay, and ones that are the identity. */
START_TEST(test_extreme_kernels_have_finite_logits)
{
    static const double gammas[] = {1e-9, 1e-300, 1e-4, 3, 30, 400, 1e30};
    static const double rhos[] = {0, 1e-300, 1e-9, 0.5, 1 - 1e-9, 1 - 0x1p-53};
    static const int lengths[] = {1, 2, 3, 64};
    bool causal = _i % 2;
    for (int layer = 1; layer <= DEPTH; layer += 7)
        for (int k = 0; k < 4; k++) {
            for (size_t i = 0; i < sizeof gammas / sizeof *gammas; i++) {
                if (!causal && gammas[i] < 1e-9) continue;
                tables t = make(TARGET_EXPONENTIAL, causal, lengths[k], layer, gammas[i]);
                check_finite(&t, lengths[k]);
                end_tables(&t);
            }
            for (size_t i = 0; i < sizeof rhos / sizeof *rhos; i++) {
                tables t = make(TARGET_UNIFORM, causal, lengths[k], layer, rhos[i]);
                check_finite(&t, lengths[k]);
                end_tables(&t);
            }
        }
}
END_TEST

START_TEST(test_row_sums_do_not_need_the_logits)
{
    enum { T = 70 };
    for (int layer = 1; layer <= DEPTH; layer += 5) {
        tables t = make(TARGET_EXPONENTIAL, _i % 2, T, layer, 0.01);
        target_kernel k = target_kernel_at(TARGET_EXPONENTIAL, _i % 2, T, layer, DEPTH, 0.01);
        real alone[T];
        target_kernel_fill(&k, NULL, alone, t.work);
        for (int i = 0; i < T; i++) {
            double both = (double)t.rows[i], off = fabs((double)alone[i] - both);
            ck_assert_msg(off < 100 * rounding * both, "block %d row %d: off by %.3g", layer, i,
                          off);
        }
        end_tables(&t);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("target_kernel");
    TCase *t = tcase_create("kernels");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_mixing_carries_one_kernel_into_the_next, 0, 4);
    tcase_add_test(t, test_exponential_diagonals_are_the_same_in_every_block);
    tcase_add_loop_test(t, test_long_sequences_have_their_kernels_and_finite_logits, 0, 2);
    tcase_add_loop_test(t, test_extreme_kernels_have_finite_logits, 0, 2);
    tcase_add_loop_test(t, test_row_sums_do_not_need_the_logits, 0, 2);
    suite_add_tcase(s, t);
    return suite_run(s);
}
