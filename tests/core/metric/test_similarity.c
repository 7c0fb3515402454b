/* Angles and CKA between what is known to be alike, turned, shifted or independent. */
#include "core/metric/similarity.h"
#include "core/probe/similarity.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

extern void openblas_set_num_threads(int n);

static const double pi = 3.14159265358979323846;

/* x and cos a x + sin a y with y orthogonal to x. */
START_TEST(test_angle_is_the_angle_turned_even_where_it_is_tiny)
{
    const double angles[] = {1e-6, 1e-3, 0.04, 0.3, 1.5, 3};
    for (size_t k = 0; k < sizeof angles / sizeof *angles; k++) {
        const real x[4] = {3, 0, 0, 4};
        real y[4];
        if (REAL_BITS == 32 && angles[k] < 1e-4) continue;
        for (int i = 0; i < 4; i++)
            y[i] = (real)(7 * (cos(angles[k]) * (double)x[i] + (i == 1 ? 5 * sin(angles[k]) : 0)));
        ck_close(similarity_angle(x, y, 4), angles[k] / pi, REAL_BITS == 64 ? 1e-9 : 1e-4, 0);
    }
}
END_TEST

START_TEST(test_angle_of_equal_opposite_and_zero_vectors)
{
    const real x[3] = {1, 2, 3}, y[3] = {-2, -4, -6}, zero[3] = {0};
    ck_assert_double_eq(similarity_angle(x, x, 3), 0);
    ck_close(similarity_angle(x, y, 3), 1, 1e-7, 0);
    ck_assert_double_lt(similarity_angle(x, zero, 3), 0);
}
END_TEST

static double cka(const real *x, const real *y, size_t n, size_t cols)
{
    const size_t pairs = similarity_pairs(n);
    double *K = malloc(pairs * sizeof *K), *M = malloc(pairs * sizeof *M);
    double *work = malloc(similarity_work(n, cols) * sizeof *work);
    similarity_gram(K, x, n, cols, cols, n, work);
    similarity_gram(M, y, n, cols, cols, n, work);
    const double found = similarity_product(K, M, n) /
                         sqrt(similarity_product(K, K, n) * similarity_product(M, M, n));
    free(work);
    free(M);
    free(K);
    return found;
}

/* The biased form says 0.89 of the same numbers: d/(d + n). */
START_TEST(test_independent_numbers_are_not_alike)
{
    const size_t n = 64, cols = 512, seeds = 16;
    double sum = 0;
    for (size_t k = 0; k < seeds; k++) {
        real *x = numbers_matrix(n * cols, 2 * k + 1), *y = numbers_matrix(n * cols, 1000 + k);
        const double found = cka(x, y, n, cols);
        ck_assert_double_lt(fabs(found), 0.15);
        sum += found;
        free(y);
        free(x);
    }
    ck_assert_double_lt(fabs(sum / (double)seeds), 0.03);
}
END_TEST

/* Scaled, shifted by one vector for all tokens, columns reversed: the same to CKA. */
START_TEST(test_cka_does_not_see_scale_shift_and_rotation)
{
    enum { N = 20, COLS = 9 };
    real *x = numbers_matrix(N * COLS, 11), y[N * COLS];
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < COLS; j++)
            y[i * COLS + j] = (real)(3 * (double)x[i * COLS + COLS - 1 - j] + 5 + (double)j);
    ck_close(cka(x, x, N, COLS), 1, 1e-14, 0);
    ck_close(cka(x, y, N, COLS), 1, REAL_BITS == 64 ? 1e-12 : 1e-5, 0);
    free(x);
}
END_TEST

START_TEST(test_names_of_layers)
{
    const int layers[] = {0, 7, 10, 42, 99, 100, 365, 999, 1000, 4999};
    for (size_t k = 0; k < sizeof layers / sizeof *layers; k++) {
        char want[24];
        snprintf(want, sizeof want, "layer.%d", layers[k]);
        ck_assert_str_eq(probe_similarity_name(layers[k]), want);
    }
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *suite = suite_create("similarity");
    TCase *c = tcase_create("similarity");
    tcase_set_timeout(c, 30);
    tcase_add_test(c, test_angle_is_the_angle_turned_even_where_it_is_tiny);
    tcase_add_test(c, test_angle_of_equal_opposite_and_zero_vectors);
    tcase_add_test(c, test_independent_numbers_are_not_alike);
    tcase_add_test(c, test_cka_does_not_see_scale_shift_and_rotation);
    tcase_add_test(c, test_names_of_layers);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
