/* Branches that stand in a known relation to their stream. */
#include "core/metric/branch.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

enum { ROWS = 6, COLS = 37, N = ROWS * COLS };

static void measure(const real *f, const real *x, real c, const real *gain, metric_value out[])
{
    branch_sums s = {0};
    if (gain)
        branch_add_scaled(&s, f, x, gain, ROWS, COLS, true);
    else
        branch_add(&s, f, x, c, N, true);
    branch_finish(&s, NULL, out);
}

START_TEST(test_a_multiple_of_the_stream_has_that_ratio_and_cosine_one)
{
    real *x = numbers_matrix(N, 1), f[N];
    const double factors[] = {0.25, -3};
    metric_value out[METRIC_COUNT];
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < N; i++) f[i] = (real)factors[k] * x[i];
        measure(f, x, 1, NULL, out);
        ck_value(out[METRIC_branch_ratio], fabs(factors[k]), REAL_EPSILON, 0);
        ck_value(out[METRIC_branch_cos], factors[k] > 0 ? 1 : -1, 1e-14, 0);
        measure(f, x, 2, NULL, out);
        ck_value(out[METRIC_branch_ratio], fabs(factors[k]) / 2, REAL_EPSILON, 0);
    }
    free(x);
}
END_TEST

START_TEST(test_a_gain_is_a_factor_for_each_column)
{
    real *x = numbers_matrix(N, 2), *f = numbers_matrix(N, 3), scaled[N];
    real *gain = numbers_matrix(COLS, 4);
    for (size_t i = 0; i < N; i++) scaled[i] = gain[i % COLS] * x[i];
    metric_value with[METRIC_COUNT], by_hand[METRIC_COUNT];
    measure(f, x, 1, gain, with);
    measure(f, scaled, 1, NULL, by_hand);
    ck_value(with[METRIC_branch_ratio], by_hand[METRIC_branch_ratio].value, 1e-14, 0);
    ck_value(with[METRIC_branch_cos], by_hand[METRIC_branch_cos].value, 1e-14, 1e-15);
    ck_value(with[METRIC_bf16_stall], by_hand[METRIC_bf16_stall].value, 0, 0);
    free(gain);
    free(f);
    free(x);
}
END_TEST

/* The bound itself is not below it; zero beside zero loses nothing. */
START_TEST(test_stall_counts_what_is_below_half_a_bf16_step)
{
    real x[N], f[N];
    for (size_t i = 0; i < N; i++) {
        x[i] = i % 4 == 3 ? 0 : (real)(1 + (double)i);
        f[i] = (real)ldexp((double)x[i], i % 4 == 0 ? -9 : i % 4 == 1 ? -10 : 0);
    }
    metric_value out[METRIC_COUNT];
    measure(f, x, 1, NULL, out);
    double expected = 0;
    for (size_t i = 0; i < N; i++) expected += i % 4 == 1;
    ck_value(out[METRIC_bf16_stall], expected / N, 0, 0);
}
END_TEST

START_TEST(test_alignment_is_the_cosine_with_the_branch_before)
{
    real *f = numbers_matrix(N, 5), *g = numbers_matrix(N, 6);
    branch_sums s = {0}, last = {0};
    metric_value out[METRIC_COUNT];
    branch_add(&last, g, f, 1, N, false);
    branch_add(&s, f, g, 1, N, false);
    branch_add_last(&s, f, g, N);
    branch_finish(&s, &last, out);
    ck_value(out[METRIC_branch_alignment], out[METRIC_branch_cos].value, 1e-14, 1e-15);
    s.with_last = 0;
    branch_add_last(&s, f, f, N);
    branch_finish(&s, &s, out);
    ck_value(out[METRIC_branch_alignment], 1, 1e-14, 0);
    free(g);
    free(f);
}
END_TEST

START_TEST(test_zero_and_nan)
{
    real *f = numbers_matrix(N, 8), zero[N] = {0};
    metric_value out[METRIC_COUNT];
    measure(f, zero, 1, NULL, out);
    ck_reason(out[METRIC_branch_ratio], REASON_ZERO);
    ck_reason(out[METRIC_branch_cos], REASON_ZERO);
    measure(zero, f, 1, NULL, out);
    ck_value(out[METRIC_branch_ratio], 0, 0, 0);
    ck_reason(out[METRIC_branch_cos], REASON_ZERO);
    ck_value(out[METRIC_bf16_stall], 1, 0, 0);
    f[11] = (real)NAN;
    measure(f, f, 1, NULL, out);
    ck_reason(out[METRIC_branch_ratio], REASON_NAN);
    ck_reason(out[METRIC_branch_cos], REASON_NAN);
    free(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("branch");
    TCase *c = tcase_create("branch");
    tcase_add_test(c, test_a_multiple_of_the_stream_has_that_ratio_and_cosine_one);
    tcase_add_test(c, test_a_gain_is_a_factor_for_each_column);
    tcase_add_test(c, test_stall_counts_what_is_below_half_a_bf16_step);
    tcase_add_test(c, test_alignment_is_the_cosine_with_the_branch_before);
    tcase_add_test(c, test_zero_and_nan);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
