/* Variance and maximum of entries, piece by piece. */
#include "core/metric/grad_spread.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

enum { N = 3000 };

static void fill(real *x, double offset)
{
    uint64_t seed = 11;
    for (int i = 0; i < N; i++) x[i] = (real)(offset + numbers_normal(&seed));
}

/* By the definition, with long double sums. */
static double variance(const real *x)
{
    long double mean = 0, sum = 0;
    for (int i = 0; i < N; i++) mean += (long double)x[i] / N;
    for (int i = 0; i < N; i++) sum += ((long double)x[i] - mean) * ((long double)x[i] - mean);
    return (double)(sum / N);
}

/* A mean 1e4 times the deviation takes 8 of 16 digits from mean(x^2) - mean(x)^2. */
START_TEST(test_pieces_have_the_variance_of_the_whole)
{
    static const size_t cuts[] = {1, 2, 700, 2999};
    static const double offsets[] = {0, 1e4};
    static real x[N];
    for (int k = 0; k < 2; k++) {
        fill(x, offsets[k]);
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            grad_spread whole = {0}, a = grad_spread_of(x, cuts[c]),
                        b = grad_spread_of(x + cuts[c], N - cuts[c]);
            grad_spread_merge(&whole, &a);
            grad_spread_merge(&whole, &b);
            ck_assert_double_eq_tol(grad_spread_var(&whole) / variance(x), 1, 1e-12);
            double most = 0;
            for (int i = 0; i < N; i++) most = fmax(most, fabs((double)x[i]));
            ck_assert_double_eq(whole.max_abs, most);
        }
    }
}
END_TEST

START_TEST(test_a_power_of_two_changes_no_digit)
{
    static real x[N], y[N];
    fill(x, 0.3);
    for (int i = 0; i < N; i++) y[i] = x[i] * (real)0x1p-12;
    grad_spread a = grad_spread_of(x, N), b = grad_spread_of(y, N);
    grad_spread_scale(&b, 0x1p12);
    ck_assert_double_eq(grad_spread_var(&a), grad_spread_var(&b));
    ck_assert_double_eq(a.max_abs, b.max_abs);
}
END_TEST

START_TEST(test_what_is_not_finite_is_a_result)
{
    static real x[N];
    grad_spread whole = {0}, piece;
    fill(x, 0);
    x[5] = -(real)INFINITY;
    x[6] = (real)INFINITY; /* their sum is NaN, and neither is */
    piece = grad_spread_of(x, N);
    ck_assert_double_infinite(piece.max_abs);
    ck_assert_double_nan(grad_spread_var(&piece));
    x[7] = (real)NAN;
    piece = grad_spread_of(x, 10);
    grad_spread_merge(&whole, &piece);
    piece = grad_spread_of(x + 10, N - 10);
    grad_spread_merge(&whole, &piece);
    ck_assert_double_nan(whole.max_abs);
    ck_assert_double_nan(grad_spread_var(&whole));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grad_spread");
    TCase *c = tcase_create("grad_spread");
    tcase_add_test(c, test_pieces_have_the_variance_of_the_whole);
    tcase_add_test(c, test_a_power_of_two_changes_no_digit);
    tcase_add_test(c, test_what_is_not_finite_is_a_result);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
