/* Attention entropies and the order statistics behind percentiles and medians. */
#include "core/metric/attention.h"
#include "core/metric/order.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <string.h>

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double by_kind(int kind, size_t i, size_t n, uint64_t *seed)
{
    const double choice[] = {numbers_normal(seed),
                             (double)i,
                             -(double)i,
                             3,
                             (double)(i % 3),
                             i < n / 2 ? (double)i : (double)(n - i),
                             i % 7 == 0 ? INFINITY : -(double)(i % 5)};
    return choice[kind];
}

START_TEST(test_order_is_that_of_a_sorted_array)
{
    static const size_t sizes[] = {1, 2, 3, 4, 10, 31, 1000};
    uint64_t seed = 12;
    for (size_t q = 0; q < sizeof sizes / sizeof *sizes; q++) {
        const size_t n = sizes[q], bytes = n * sizeof(double);
        double *a = malloc(bytes), *sorted = malloc(bytes), *work = malloc(bytes);
        for (size_t i = 0; i < n; i++) sorted[i] = a[i] = by_kind(_i, i, n, &seed);
        qsort(sorted, n, sizeof *sorted, ascending);
        memcpy(work, a, bytes);
        order_sort(work, n);
        ck_assert(memcmp(work, sorted, bytes) == 0);
        for (size_t k = 0; k < n; k += 1 + n / 17) {
            memcpy(work, a, bytes);
            ck_assert(order_select(work, n, k) == sorted[k]);
        }
        free(a);
        free(sorted);
        free(work);
    }
}
END_TEST

/* numpy.percentile([1, 2, 4, 8], [0, 5, 25, 50, 100]) */
START_TEST(test_quantile_interpolates_like_numpy)
{
    const double q[] = {0, 0.05, 0.25, 0.5, 1}, want[] = {1, 1.15, 1.75, 3, 8};
    for (int i = 0; i < 5; i++) {
        double a[] = {8, 1, 4, 2};
        ck_close(order_quantile(a, 4, q[i]), want[i], 1e-15, 0);
    }
    double one[] = {7};
    ck_close(order_quantile(one, 1, 0.05), 7, 0, 0);
}
END_TEST

START_TEST(test_entropy_of_known_rows)
{
    const real uniform[] = {R(0.25), R(0.25), R(0.25), R(0.25)}, certain[] = {0, 1, 0, 0};
    const real half[] = {R(0.5), R(0.25), R(0.25)};
    ck_close(attention_row_entropy(uniform, 4), log(4), 1e-15, 0);
    ck_close(attention_row_entropy(certain, 4), 0, 0, 0);
    ck_close(attention_row_entropy(half, 3), 1.5 * log(2), 1e-15, 0);
    const real bad[] = {R(0.5), (real)NAN};
    ck_assert(isnan(attention_row_entropy(bad, 2)));
}
END_TEST

/* Two heads of three causal rows: the first row, which sees one key, does not count. */
START_TEST(test_rows_with_one_key_are_left_out)
{
    const real entropy[] = {9, R(0.5), R(1.0), 9, R(0.25), R(0.75)};
    const uint32_t visible[] = {1, 2, 3};
    double scratch[6];
    metric_value out[METRIC_COUNT];
    attention_finish(entropy, 2, 3, visible, scratch, out);
    const double a = 0.25 / log(2), b = 0.5 / log(2), c = 0.75 / log(3), d = 1 / log(3);
    ck_value(out[METRIC_attn_entropy], 0.625, 1e-15, 0);
    ck_value(out[METRIC_attn_entropy_norm], (a + b + c + d) / 4, 1e-14, 0);
    ck_value(out[METRIC_attn_entropy_norm_p5], a + 0.15 * (c - a), 1e-14, 0);
    ck_assert(a < c && c < b && b < d);
}
END_TEST

START_TEST(test_nothing_to_measure_and_nan)
{
    real entropy[64] = {0};
    uint32_t one[] = {1}, both[64];
    double scratch[64];
    for (int i = 0; i < 64; i++) {
        entropy[i] = (real)(i == 40 ? NAN : (i * 37 % 64) / 100.0);
        both[i] = 2;
    }
    metric_value out[METRIC_COUNT];
    attention_finish(entropy, 64, 1, one, scratch, out);
    ck_reason(out[METRIC_attn_entropy], REASON_NO_ENTRIES);
    ck_reason(out[METRIC_attn_entropy_norm_p5], REASON_NO_ENTRIES);
    attention_finish(entropy, 1, 64, both, scratch, out);
    ck_reason(out[METRIC_attn_entropy_norm], REASON_NAN);
    ck_reason(out[METRIC_attn_entropy_norm_p5], REASON_NAN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attention metrics");
    TCase *c = tcase_create("attention");
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_order_is_that_of_a_sorted_array, 0, 7);
    tcase_add_test(c, test_quantile_interpolates_like_numpy);
    tcase_add_test(c, test_entropy_of_known_rows);
    tcase_add_test(c, test_rows_with_one_key_are_left_out);
    tcase_add_test(c, test_nothing_to_measure_and_nan);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
