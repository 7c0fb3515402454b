/* The random streams: known answers, moments, and independence of how they are drawn. */
#include "core/base/rng.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

/* Known answers of Random123 for philox4x32-10 (kat_vectors): counter and key 0. */
START_TEST(test_bits_are_philox_4x32_10)
{
    rng zero = {{0, 0}, {0, 0}};
    ck_assert_uint_eq(rng_bits(&zero, 0), 0xe169c58d6627e8d5u);
    ck_assert_uint_eq(rng_bits(&zero, 1), 0x9b00dbd8bc57ac4cu);
}
END_TEST

START_TEST(test_streams_differ_by_seed_purpose_and_name)
{
    rng a = rng_stream(1, "init", "w"),
        others[] = {
            rng_stream(2, "init", "w"), rng_stream(1, "data", "w"), rng_stream(1, "init", "v"),
            rng_stream(1, "initw", ""), rng_stream(1, "", "initw"),
        };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_uint_ne(rng_bits(&a, 0), rng_bits(&others[i], 0));
}
END_TEST

START_TEST(test_normals_have_the_moments_of_a_gaussian)
{
    rng r = rng_stream(3, "test", "normal");
    double block[RNG_BLOCK], m[5] = {0};
    const size_t blocks = 4096;
    for (size_t b = 0; b < blocks; b++) {
        rng_normal_block(&r, b, block);
        for (int i = 0; i < RNG_BLOCK; i++)
            for (int k = 1; k < 5; k++) m[k] += pow(block[i], k);
    }
    double n = (double)blocks * RNG_BLOCK;
    /* five standard errors of a mean over a million draws */
    ck_assert_double_eq_tol(m[1] / n, 0, 5 * sqrt(1 / n));
    ck_assert_double_eq_tol(m[2] / n, 1, 5 * sqrt(2 / n));
    ck_assert_double_eq_tol(m[3] / n, 0, 5 * sqrt(15 / n));
    ck_assert_double_eq_tol(m[4] / n, 3, 5 * sqrt(96 / n));
}
END_TEST

/* Vector and scalar math may differ in the last place, and by cancellation near 0. */
START_TEST(test_a_block_is_the_stream_drawn_one_by_one)
{
    rng r = rng_stream(4, "test", "block");
    double block[RNG_BLOCK];
    rng_normal_block(&r, 9, block);
    for (uint64_t i = 0; i < RNG_BLOCK; i++)
        ck_assert_double_eq_tol(block[i], rng_normal(&r, 9 * RNG_BLOCK + i), 4e-15);
}
END_TEST

START_TEST(test_a_block_of_uniforms_is_the_stream_drawn_one_by_one)
{
    rng r = rng_stream(4, "test", "block");
    double block[RNG_BLOCK];
    rng_uniform_block(&r, 9, block);
    for (uint64_t i = 0; i < RNG_BLOCK; i++)
        ck_assert(block[i] == rng_uniform(&r, 9 * RNG_BLOCK + i));
}
END_TEST

START_TEST(test_below_stays_below_and_reaches_all)
{
    rng r = rng_stream(5, "test", "below");
    int seen[7] = {0};
    for (uint64_t i = 0; i < 7000; i++) {
        uint32_t v = rng_below(&r, i, 7);
        ck_assert_uint_lt(v, 7);
        seen[v]++;
    }
    for (int i = 0; i < 7; i++) ck_assert_int_gt(seen[i], 850);
    ck_assert_uint_eq(rng_below(&r, 0, 1), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rng");
    TCase *t = tcase_create("streams");
    tcase_add_test(t, test_bits_are_philox_4x32_10);
    tcase_add_test(t, test_streams_differ_by_seed_purpose_and_name);
    tcase_add_test(t, test_normals_have_the_moments_of_a_gaussian);
    tcase_add_test(t, test_a_block_is_the_stream_drawn_one_by_one);
    tcase_add_test(t, test_a_block_of_uniforms_is_the_stream_drawn_one_by_one);
    tcase_add_test(t, test_below_stays_below_and_reaches_all);
    suite_add_tcase(s, t);
    return suite_run(s);
}
