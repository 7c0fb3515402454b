/* Outliers against closed forms: Gaussian baselines, planted entries, neurons that carry it all. */
#include "core/metric/outlier.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <string.h>

static void measure(const real *x, size_t batch, size_t rows, size_t cols, metric_value out[])
{
    double *sq = malloc(batch * cols * sizeof *sq), *work = malloc(rows * cols * sizeof *work);
    outlier sum = {0};
    for (size_t b = 0; b < batch; b++) {
        outlier one = {0};
        outlier_add(&one, x + b * rows * cols, rows, cols, cols, true, sq + b * cols, work);
        outlier_merge(&sum, &one);
    }
    outlier_finish(&sum, true, sq, batch, cols, out);
    free(work);
    free(sq);
}

START_TEST(test_gaussian_numbers_have_their_baselines)
{
    const size_t batch = 4, rows = 500, cols = 512;
    real *x = numbers_matrix(batch * rows * cols, 3);
    metric_value out[METRIC_COUNT];
    measure(x, batch, rows, cols, out);
    ck_value(out[METRIC_mmr], 4.81, 0, 0.05);
    ck_value(out[METRIC_neuron_kurtosis], 1 + 2.0 / (double)(batch * rows), 0, 3e-4);
    ck_value(out[METRIC_abs_median], 0.67449, 0, 0.005);
    ck_value(out[METRIC_massive_count], 0, 0, 0);
    free(x);
}
END_TEST

/* One neuron: kurtosis D. Two of them with equal energy: D/2. */
START_TEST(test_few_neurons_that_carry_everything)
{
    enum { ROWS = 5, COLS = 12 };
    real x[2 * ROWS * COLS] = {0};
    metric_value out[METRIC_COUNT];
    for (size_t i = 0; i < 2 * ROWS; i++) x[i * COLS + 7] = i % 2 ? 1 : -1;
    measure(x, 2, ROWS, COLS, out);
    ck_value(out[METRIC_neuron_kurtosis], COLS, 1e-15, 0);
    ck_reason(out[METRIC_mmr], REASON_ZERO);
    ck_reason(out[METRIC_max_median_ratio], REASON_ZERO);
    for (size_t i = 0; i < 2 * ROWS; i++) x[i * COLS + 2] = 1;
    measure(x, 2, ROWS, COLS, out);
    ck_value(out[METRIC_neuron_kurtosis], COLS / 2.0, 1e-15, 0);
}
END_TEST

/* Ones with planted entries: only those that are above 100 and 1000 medians are massive. */
START_TEST(test_planted_entries_are_found)
{
    enum { ROWS = 8, COLS = 9 };
    real x[2 * ROWS * COLS];
    metric_value out[METRIC_COUNT];
    for (size_t i = 0; i < 2 * ROWS * COLS; i++) x[i] = (real)(i % 2 ? 0.25 : -0.25);
    x[5] = 1000, x[40] = -300, x[41] = (real)249.5; /* the last is below 1000 medians */
    x[ROWS * COLS] = 99;
    measure(x, 2, ROWS, COLS, out);
    ck_value(out[METRIC_massive_count], 2, 0, 0);
    ck_value(out[METRIC_abs_top1], (1000 + 99) / 2.0, 1e-15, 0);
    ck_value(out[METRIC_abs_top2], (300 + 0.25) / 2, 1e-15, 0);
    ck_value(out[METRIC_abs_top3], (249.5 + 0.25) / 2, 1e-15, 0);
    ck_value(out[METRIC_abs_median], 0.25, 0, 0);
    ck_value(out[METRIC_abs_top1_token], 0, 0, 0);
    ck_value(out[METRIC_abs_top1_feature], 5, 0, 0);
    ck_value(out[METRIC_max_median_ratio], (4000 + 396) / 2.0, 1e-15, 0);
    x[ROWS * COLS + 3 * COLS + 2] = -1001; /* in the second sequence */
    measure(x, 2, ROWS, COLS, out);
    ck_value(out[METRIC_abs_top1_token], 3, 0, 0);
    ck_value(out[METRIC_abs_top1_feature], 2, 0, 0);
}
END_TEST

START_TEST(test_zero_few_and_not_finite)
{
    real x[6] = {0};
    metric_value out[METRIC_COUNT];
    measure(x, 1, 2, 3, out);
    ck_reason(out[METRIC_neuron_kurtosis], REASON_ZERO);
    ck_reason(out[METRIC_mmr], REASON_ZERO);
    ck_value(out[METRIC_abs_top1], 0, 0, 0);
    ck_reason(out[METRIC_abs_top1_token], REASON_ZERO);
    ck_reason(out[METRIC_abs_top1_feature], REASON_ZERO);
    measure(x, 1, 1, 2, out);
    ck_reason(out[METRIC_abs_top3], REASON_NO_ENTRIES);
    x[4] = (real)INFINITY;
    measure(x, 1, 2, 3, out);
    ck_reason(out[METRIC_neuron_kurtosis], REASON_NAN);
    ck_reason(out[METRIC_mmr], REASON_NAN);
    ck_reason(out[METRIC_massive_count], REASON_NAN);
    ck_reason(out[METRIC_abs_top1_feature], REASON_NAN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outlier");
    TCase *c = tcase_create("outlier");
    tcase_set_timeout(c, 30);
    tcase_add_test(c, test_gaussian_numbers_have_their_baselines);
    tcase_add_test(c, test_few_neurons_that_carry_everything);
    tcase_add_test(c, test_planted_entries_are_found);
    tcase_add_test(c, test_zero_few_and_not_finite);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
