/* The mixing matrices of attention without skips: what they must carry, their closed forms against
 * the recursion A Sigma_{l-1} A' = Sigma_l, and what softmax makes of the logits they give. */
#include "core/target_kernel.h"
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

/* Largest |A Sigma_{l-1} A' - Sigma_l|. */
static double identity_error(const tables *t, target_family family, int T, int layer, double end)
{
    double worst = 0, *half = malloc((size_t)T * (size_t)T * sizeof *half);
    ck_assert_ptr_nonnull(half);
    for (int i = 0; i < T; i++)
        for (int j = 0; j < T; j++) {
            double sum = 0;
            for (int k = 0; k < T; k++)
                sum += t->a[i * T + k] * sigma(family, layer - 1, end, k, j);
            half[i * T + j] = sum;
        }
    for (int i = 0; i < T; i++)
        for (int j = 0; j < T; j++) {
            double sum = 0;
            for (int k = 0; k < T; k++) sum += half[i * T + k] * t->a[j * T + k];
            worst = fmax(worst, fabs(sum - sigma(family, layer, end, i, j)));
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
        double off = identity_error(&t, family, T, layers[k], end);
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
    for (int i = 0; i < T * T; i++)
        ck_assert_msg(isfinite(t->bias[i]) && t->bias[i] >= -80 && t->bias[i] < 1e-6,
                      "logit %d of %d: %g", i, T, (double)t->bias[i]);
    for (int i = 0; i < T; i++) ck_assert(isfinite(t->rows[i]) && t->rows[i] > 0);
}

/* Entries of block 1 reach exp(-1083) here: made as A they would be 0 and their logarithm -Inf. */
START_TEST(test_long_sequences_have_finite_logits)
{
    for (int layer = 1; layer <= DEPTH; layer += 35) {
        tables t = make(TARGET_EXPONENTIAL, true, 1024, layer, 0.005);
        check_finite(&t, 1024);
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
    tcase_add_test(t, test_long_sequences_have_finite_logits);
    tcase_add_loop_test(t, test_extreme_kernels_have_finite_logits, 0, 2);
    tcase_add_loop_test(t, test_row_sums_do_not_need_the_logits, 0, 2);
    suite_add_tcase(s, t);
    return suite_run(s);
}
