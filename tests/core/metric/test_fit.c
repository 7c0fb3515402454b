/* Growth laws on series that follow them, and the cases in which there is nothing to fit. */
#include "core/metric/fit.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

enum { LAYERS = 24 };

static void series(double y[LAYERS], double a, double b, enum fit_law growth)
{
    for (int l = 1; l <= LAYERS; l++) {
        const double by_law[] = {a, a + b * l, a * exp(b * l), a * pow(l, b)};
        y[l - 1] = by_law[growth];
    }
}

START_TEST(test_exact_laws_are_recognized)
{
    const enum fit_law growth = (enum fit_law)_i;
    double y[LAYERS];
    fit f;
    series(y, 1.5, 0.4, growth);
    fit_growth(y, LAYERS, &f);
    ck_value(f.law, growth, 0, 0);
    const metric_value r2[] = {f.slope, f.r2_linear, f.r2_exponential, f.r2_power};
    ck_value(r2[growth], growth == FIT_FLAT ? 0 : 1, 1e-12, 1e-15);
    for (int k = 1; k < 4 && growth != FIT_FLAT; k++) {
        if (k != (int)growth) ck_assert_double_lt(r2[k].value, 0.999);
    }
    if (growth == FIT_EXPONENTIAL) ck_value(f.slope, 0.4, 1e-13, 0);
}
END_TEST

START_TEST(test_vanishing_has_a_negative_slope)
{
    double y[LAYERS];
    fit f;
    series(y, 1e-300, -0.7, FIT_EXPONENTIAL);
    fit_growth(y, LAYERS, &f);
    ck_value(f.slope, -0.7, 1e-12, 0);
    ck_value(f.law, FIT_EXPONENTIAL, 0, 0);
    ck_assert_double_lt(f.r2_linear.value, 0.9);
}
END_TEST

/* Tokens that differ by half as much after each block, then only by rounding. */
START_TEST(test_angles_end_where_rounding_begins)
{
    double y[48];
    fit f;
    for (int l = 1; l <= 48; l++) y[l - 1] = fit_apart(1 - (exp2(-l) + 1e-13));
    ck_assert(y[32] > 0 && isnan(y[33]));
    fit_growth(y, 48, &f);
    ck_value(f.slope, -log(2), 1e-4, 0);
}
END_TEST

/* Numbers worked out by hand: ln y = 0, 1, 1, 2, 2 over l = 1..5: slope 0.5, total 2.8, rest 0.3.
 */
START_TEST(test_slope_and_r2_of_a_small_example)
{
    double y[5] = {1, exp(1), exp(1), exp(2), exp(2)};
    fit f;
    fit_growth(y, 5, &f);
    ck_value(f.slope, 0.5, 1e-14, 0);
    ck_value(f.r2_exponential, 1 - 0.3 / 2.8, 1e-14, 0);
}
END_TEST

START_TEST(test_range_below_five_percent_is_flat)
{
    double y[LAYERS];
    fit f;
    series(y, 2, 0.049 / (LAYERS - 1), FIT_EXPONENTIAL);
    fit_growth(y, LAYERS, &f);
    ck_value(f.law, FIT_FLAT, 0, 0);
    ck_value(f.r2_exponential, 1, 1e-9, 0);
    series(y, 2, 0.051 / (LAYERS - 1), FIT_EXPONENTIAL);
    fit_growth(y, LAYERS, &f);
    ck_value(f.law, FIT_LINEAR, 0, 0); /* nobody can tell over so small a range */
    series(y, 2, 0, FIT_FLAT);
    fit_growth(y, LAYERS, &f);
    ck_value(f.law, FIT_FLAT, 0, 0);
    ck_value(f.slope, 0, 0, 1e-16);
    ck_value(f.r2_linear, 1, 0, 0);
}
END_TEST

START_TEST(test_unusable_layers_are_left_out)
{
    double y[LAYERS];
    fit f;
    series(y, 1, 0.3, FIT_EXPONENTIAL);
    y[0] = NAN;
    y[5] = INFINITY;
    y[9] = 0;
    y[12] = -1;
    fit_growth(y, LAYERS, &f);
    ck_value(f.slope, 0.3, 1e-13, 0);
    ck_value(f.r2_exponential, 1, 1e-13, 0);
}
END_TEST

START_TEST(test_fewer_than_four_layers_are_too_few)
{
    const double given[] = {1, 2, NAN, 4, 8};
    double y[5];
    fit f;
    for (int layers = 0; layers < 5; layers++) {
        memcpy(y, given, sizeof y);
        fit_growth(y, layers, &f);
        ck_reason(f.slope, REASON_TOO_FEW);
        ck_reason(f.law, REASON_TOO_FEW);
        ck_reason(f.r2_power, REASON_TOO_FEW);
    }
    memcpy(y, given, sizeof y);
    fit_growth(y, 5, &f);
    ck_assert_int_eq(f.slope.reason, REASON_NONE);
}
END_TEST

/* Noise of a fifth on a line of 48 layers makes a power fit ln y better than the least squares line
 * of y, which goes negative; the line that is fitted for ln y does not. */
START_TEST(test_a_noisy_line_is_a_line)
{
    double y[48];
    fit f;
    for (int l = 1; l <= 48; l++) y[l - 1] = (2 + 1.05 * l) * (l % 3 == 0 ? 1.2 : 1);
    fit_growth(y, 48, &f);
    ck_value(f.law, FIT_LINEAR, 0, 0);
    ck_assert_double_gt(f.r2_linear.value, f.r2_power.value);
    for (int l = 1; l <= 48; l++) y[l - 1] = 2 + 4 * log(l); /* LayerNorm Scaling */
    fit_growth(y, 48, &f);
    ck_assert(f.law.value != FIT_EXPONENTIAL);
}
END_TEST

/* A law is sure while noise leaves its margin: of the exact series of every law under small noise,
 * of none of them under noise as large as they. */
START_TEST(test_a_law_is_sure_while_noise_is_small)
{
    double y[LAYERS];
    fit f;
    series(y, 1.5, 0.4, (enum fit_law)_i);
    fit_growth(y, LAYERS, &f);
    ck_assert(fit_sure(&f, 0.002));
    if (_i != FIT_FLAT) ck_assert(!fit_sure(&f, 2));
    if (_i == FIT_FLAT) ck_assert(!fit_sure(&f, 0.02));
}
END_TEST

/* A falling line that ends just above zero. */
START_TEST(test_a_line_may_fall)
{
    double y[LAYERS];
    fit f;
    series(y, 24.001, -1, FIT_LINEAR);
    fit_growth(y, LAYERS, &f);
    ck_value(f.law, FIT_LINEAR, 0, 0);
    ck_value(f.r2_linear, 1, 1e-9, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fit");
    TCase *c = tcase_create("fit");
    tcase_set_timeout(c, 10);
    tcase_add_loop_test(c, test_exact_laws_are_recognized, FIT_FLAT, FIT_POWER + 1);
    tcase_add_test(c, test_vanishing_has_a_negative_slope);
    tcase_add_test(c, test_angles_end_where_rounding_begins);
    tcase_add_test(c, test_slope_and_r2_of_a_small_example);
    tcase_add_test(c, test_range_below_five_percent_is_flat);
    tcase_add_test(c, test_unusable_layers_are_left_out);
    tcase_add_test(c, test_a_noisy_line_is_a_line);
    tcase_add_test(c, test_a_line_may_fall);
    tcase_add_loop_test(c, test_a_law_is_sure_while_noise_is_small, 0, 4);
    tcase_add_test(c, test_fewer_than_four_layers_are_too_few);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
