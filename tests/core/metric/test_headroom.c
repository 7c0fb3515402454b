/* The extremes of each number format, exactly, and the reasons. */
#include "core/metric/headroom.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <string.h>

/* Numbers with s significand bits after the point and exponents from lo to hi: the definition from
 * which each row of format.def must follow. top: the largest significand there is (E4M3 has no
 * infinity but keeps its last significand for NaN). */
static const struct {
    int bits, lo, hi;
    double top;
    metric first;
} rules[HEADROOM_FORMATS] = {
    {10, -14, 15, 2 - 0x1p-10, METRIC_fp16_headroom_bits},
    {7, -126, 127, 2 - 0x1p-7, METRIC_bf16_headroom_bits},
    {3, -6, 8, 1.75, METRIC_fp8_e4m3_headroom_bits},
    {2, -14, 15, 1.75, METRIC_fp8_e5m2_headroom_bits},
};

static void measure(const real *x, size_t n, bool gradients, metric_value out[])
{
    headroom_counts c;
    headroom_reset(&c);
    headroom_add(&c, x, n);
    headroom_finish(&c, gradients, out);
}

/* The largest number holds with no bit to spare; the next one of the engine's own numbers does not;
 * the smallest normal number is normal, half the smallest number flushes, the next one above it
 * does not. */
START_TEST(test_extremes_are_exact)
{
    const double most = ldexp(rules[_i].top, rules[_i].hi), normal = ldexp(1, rules[_i].lo);
    const double least = ldexp(normal, -rules[_i].bits), half = least / 2;
    const real next =
        REAL_BITS == 64 ? (real)nextafter(most, INFINITY) : (real)nextafterf((float)most, INFINITY);
    const real above =
        REAL_BITS == 64 ? (real)nextafter(half, 1) : (real)nextafterf((float)half, 1);
    const real below =
        REAL_BITS == 64 ? (real)nextafter(normal, 0) : (real)nextafterf((float)normal, 0);
    const real x[] = {(real)most, -(real)most, (real)normal, -below, (real)half, above, 0, 1};
    const size_t n = sizeof x / sizeof *x;
    metric_value out[METRIC_COUNT], *v = out + rules[_i].first;
    ck_assert_double_eq(headroom_max(_i), most);
    measure(x, n, false, out);
    ck_value(v[0], 0, 0, 0);
    ck_value(v[1], 0, 0, 0);
    ck_value(v[2], 3.0 / 8, 0, 0);
    ck_value(v[3], 1.0 / 8, 0, 0);
    if (isfinite(next)) {
        measure(&next, 1, false, out);
        ck_assert_double_le(v[0].value, 0);
        ck_value(v[1], 1, 0, 0);
    }
}
END_TEST

/* After scaling by it the largest gradient is between a quarter and half of the largest number. */
START_TEST(test_loss_scale_brings_the_gradient_to_the_top)
{
    const real g[] = {(real)3e-7, -(real)1e-9, 0};
    metric_value out[METRIC_COUNT], *v = out + rules[_i].first + 4;
    measure(g, 3, true, out);
    const double scaled = v[4].value * (double)g[0] / headroom_max(_i);
    ck_assert_double_gt(scaled, 0.25);
    ck_assert_double_le(scaled, 0.5);
    ck_close(v[0].value, log2(headroom_max(_i) / (double)g[0]), 1e-15, 0);
}
END_TEST

START_TEST(test_what_is_not_finite_does_not_count)
{
    const real x[] = {(real)NAN, (real)INFINITY, 2, -(real)INFINITY}, none = (real)NAN;
    metric_value out[METRIC_COUNT];
    measure(x, 4, false, out);
    ck_value(out[METRIC_fp8_e5m2_headroom_bits], log2(57344.0 / 2), 1e-15, 0);
    ck_value(out[METRIC_fp8_e4m3_frac_overflow], 0, 0, 0);
    measure(&none, 1, false, out);
    ck_reason(out[METRIC_fp16_headroom_bits], REASON_NO_ENTRIES);
    ck_reason(out[METRIC_fp16_frac_flush], REASON_NO_ENTRIES);
}
END_TEST

START_TEST(test_zero_has_no_headroom)
{
    const real x[] = {0, -(real)0.0};
    metric_value out[METRIC_COUNT];
    measure(x, 2, true, out);
    ck_reason(out[METRIC_grad_fp16_headroom_bits], REASON_ZERO);
    ck_reason(out[METRIC_grad_fp16_loss_scale], REASON_ZERO);
    ck_value(out[METRIC_grad_fp16_frac_flush], 0, 0, 0);
}
END_TEST

/* More entries than one piece of the kernel, and a merge. */
START_TEST(test_counts_are_those_of_a_loop)
{
    const size_t n = 10007;
    real *x = numbers_matrix(n, 7);
    for (size_t i = 0; i < n; i++) x[i] *= (real)pow(2, (double)(i % 60) - 40);
    headroom_counts a, b;
    headroom_reset(&a);
    headroom_reset(&b);
    headroom_add(&a, x, 5001);
    headroom_add(&b, x + 5001, n - 5001);
    headroom_merge(&a, &b);
    metric_value out[METRIC_COUNT], *v = out + rules[_i].first;
    headroom_finish(&a, false, out);
    const double normal = ldexp(1, rules[_i].lo), half = ldexp(normal, -rules[_i].bits - 1);
    double over = 0, small = 0, gone = 0;
    for (size_t i = 0; i < n; i++) {
        const double size = fabs((double)x[i]);
        over += size > headroom_max(_i);
        small += size > 0 && size < normal;
        gone += size > 0 && size <= half;
    }
    ck_value(v[1], over / (double)n, 0, 0);
    ck_value(v[2], small / (double)n, 0, 0);
    ck_value(v[3], gone / (double)n, 0, 0);
    free(x);
}
END_TEST

START_TEST(test_metrics_know_what_they_are_of)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const entry *e = metric_registry.rows[i];
        bool own = strcmp(e->group, "format") == 0 && strstr(e->name, "_layer") == NULL;
        ck_assert_msg(headroom_is_metric(i) == own, "%s", e->name);
        if (own)
            ck_assert_msg(headroom_is_of_gradients(i) == !strncmp(e->name, "grad_", 5), "%s",
                          e->name);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("headroom");
    TCase *c = tcase_create("headroom");
    tcase_add_loop_test(c, test_extremes_are_exact, 0, HEADROOM_FORMATS);
    tcase_add_loop_test(c, test_loss_scale_brings_the_gradient_to_the_top, 0, HEADROOM_FORMATS);
    tcase_add_test(c, test_what_is_not_finite_does_not_count);
    tcase_add_test(c, test_zero_has_no_headroom);
    tcase_add_loop_test(c, test_counts_are_those_of_a_loop, 0, HEADROOM_FORMATS);
    tcase_add_test(c, test_metrics_know_what_they_are_of);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
