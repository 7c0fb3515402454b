/* The arithmetic of the proxies where the answer is known. */
#include "core/metric/spectrum.h"
#include "core/proxy/kernel.h"
#include "tests/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 6, COLUMNS = 8 };

static proxy_spectrum score_of(double *rows, int n, int *zeros)
{
    double R[ROWS * ROWS], eigen[ROWS], *out = eigen;
    void *scratch = aligned_alloc(64, (spectrum_scratch_bytes(n) + 63) / 64 * 64);
    *zeros = proxy_correlate(rows, (size_t)n, COLUMNS, R);
    spectrum_lanes((const double *const[]){R}, 1, n, &out, scratch);
    free(scratch);
    return proxy_score(eigen, n);
}

/* Rows of a Hadamard matrix: without mean, at right angles. */
static void hadamard(double *rows)
{
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            rows[i * COLUMNS + j] = __builtin_popcount((unsigned)((i + 1) & j)) % 2 ? -1 : 1;
}

START_TEST(test_uncorrelated_rows_have_the_largest_score)
{
    double rows[ROWS * COLUMNS];
    int zeros;
    hadamard(rows);
    for (int j = 0; j < COLUMNS; j++) rows[j] = 3 * rows[j] + 7; /* scale and mean do not count */
    proxy_spectrum s = score_of(rows, ROWS, &zeros);
    ck_assert_int_eq(zeros, 0);
    ck_assert_int_eq(s.nulls, 0);
    ck_assert_double_eq_tol(s.score, -ROWS, 1e-9 * ROWS);
}
END_TEST

START_TEST(test_a_row_that_repeats_costs_1e5)
{
    double rows[ROWS * COLUMNS];
    int zeros;
    hadamard(rows);
    memcpy(rows + COLUMNS, rows, COLUMNS * sizeof *rows);
    proxy_spectrum s = score_of(rows, ROWS, &zeros);
    /* eigenvalues: 0, 2 and ROWS - 2 ones */
    double k = 1e-5, expected = -(log(k) + 1 / k) - (log(2 + k) + 1 / (2 + k)) -
                                (ROWS - 2) * (log(1 + k) + 1 / (1 + k));
    ck_assert_int_eq(s.nulls, 1);
    ck_assert_double_eq_tol(s.score, expected, 1e-4); /* 1e-16 in the eigenvalue */
}
END_TEST

START_TEST(test_a_constant_row_is_counted_and_null)
{
    double rows[ROWS * COLUMNS];
    int zeros;
    hadamard(rows);
    for (int j = 0; j < COLUMNS; j++) rows[j] = 0.1;
    proxy_spectrum s = score_of(rows, ROWS, &zeros);
    ck_assert_int_eq(zeros, 1);
    ck_assert_int_eq(s.nulls, 1);
}
END_TEST

START_TEST(test_cosine_of_rows_at_right_angles_is_one)
{
    double rows[ROWS * COLUMNS] = {0}, R[ROWS * ROWS];
    for (int i = 0; i < ROWS; i++)
        rows[i * COLUMNS + i] = i + 1; /* a 20th root: exactly 0 or not */
    metric_value v = proxy_cosine(rows, ROWS, COLUMNS, R);
    ck_assert_int_eq(v.reason, REASON_NONE);
    ck_assert_double_eq_tol(v.value, 1, 1e-12);
    for (int i = 1; i < ROWS; i++) memcpy(rows + i * COLUMNS, rows, COLUMNS * sizeof *rows);
    v = proxy_cosine(rows, ROWS, COLUMNS, R); /* all alike: 1 - 1/2 */
    ck_assert_double_eq_tol(v.value, 0.5, 1e-12);
    memset(rows, 0, COLUMNS * sizeof *rows);
    ck_assert_int_eq(proxy_cosine(rows, ROWS, COLUMNS, R).reason, REASON_ZERO);
    ck_assert_int_eq(proxy_cosine(rows, 1, COLUMNS, R).reason, REASON_ONE_SEQUENCE);
}
END_TEST

START_TEST(test_determinant)
{
    double K[] = {4, 0, 0, 2, 5, 0, 1, 3, 6}; /* lower triangle; det 4*21 - 2*9 + 1*1 = 67 */
    double twice[] = {7, 0, 7, 7};
    metric_value v = proxy_logdet(K, 3);
    ck_assert_int_eq(v.reason, REASON_NONE);
    ck_assert_double_eq_tol(v.value, log(67), 1e-14);
    ck_assert_int_eq(proxy_logdet(twice, 2).reason, REASON_SINGULAR);
}
END_TEST

START_TEST(test_nuclear_norm_leaves_noise_out)
{
    double eigen[] = {-1e-17, 1e-17, 4, 9};
    ck_assert_double_eq(proxy_nuclear(eigen, 4, 64), 5);
    eigen[3] = NAN;
    ck_assert(isnan(proxy_nuclear(eigen, 4, 64)));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proxy kernel");
    TCase *tc = tcase_create("kernel");
    tcase_add_test(tc, test_uncorrelated_rows_have_the_largest_score);
    tcase_add_test(tc, test_a_row_that_repeats_costs_1e5);
    tcase_add_test(tc, test_a_constant_row_is_counted_and_null);
    tcase_add_test(tc, test_cosine_of_rows_at_right_angles_is_one);
    tcase_add_test(tc, test_determinant);
    tcase_add_test(tc, test_nuclear_norm_leaves_noise_out);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
