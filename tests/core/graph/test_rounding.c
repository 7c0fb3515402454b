/* Rounding to number formats: PyTorch's casts bit for bit, the ends of each format, and what any
 * rounding must be: idempotent, right on average where it is stochastic, as exact as it is fine. */
#include "core/graph/rounding.h"
#include "tests/suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static format format_of(const char *name)
{
    int row = registry_find(&format_registry, name);
    ck_assert_msg(row > 0, "no format %s", name);
    return (format)row;
}

static double rounded(format to, double x)
{
    real v = (real)x;
    rounding_apply(&v, 1, 1, 1, &(rounding){.to = to});
    return (double)v;
}

static float float_of(unsigned bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

START_TEST(test_casts_are_those_of_pytorch)
{
    FILE *f = fopen("tests/golden/rounding/casts.txt", "r");
    char name[16];
    unsigned in, out;
    int n = 0;
    ck_assert_ptr_nonnull(f);
    while (fscanf(f, "%15s %x %x", name, &in, &out) == 3) {
        float y = (float)rounded(format_of(name), (double)float_of(in)), golden = float_of(out);
        ck_assert_msg(memcmp(&y, &golden, sizeof y) == 0, "%s of %.9g is %.9g, not %.9g", name,
                      (double)float_of(in), (double)y, (double)golden);
        n++;
    }
    fclose(f);
    ck_assert_int_gt(n, 3000);
}
END_TEST

START_TEST(test_ends_of_the_formats_are_exact)
{
    static const struct {
        const char *name;
        double max, half_step, smallest;
    } ends[] = {{"fp16", 65504, 16, 0x1p-24},
                {"bf16", 0x1.FEp127, 0x1p119, 0x1p-133},
                {"fp8_e4m3", 448, 16, 0x1p-9},
                {"fp8_e5m2", 57344, 4096, 0x1p-16}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        format f = format_of(ends[i].name);
        double max = ends[i].max, low = ends[i].smallest;
        bool saturates = format_table[f].saturates;
        ck_assert_double_eq(rounded(f, max), max);
        ck_assert_double_eq(rounded(f, max + ends[i].half_step * 0.99), max);
        double beyond = rounded(f, -(max + ends[i].half_step));
        ck_assert_double_eq(beyond, saturates ? -max : (double)-INFINITY);
        ck_assert_double_eq(rounded(f, low), low);
        ck_assert_double_eq(rounded(f, low * 0.51), low);
        ck_assert_double_eq(rounded(f, low * 0.5), 0); /* halfway: the even one */
        ck_assert_double_eq(rounded(f, low * 1.5), 2 * low);
    }
}
END_TEST

START_TEST(test_what_is_not_finite_stays_and_zero_keeps_its_sign)
{
    for (int f = FORMAT_fp16; f < FORMAT_COUNT; f++) {
        real x[4] = {(real)NAN, (real)INFINITY, (real)-INFINITY, 1};
        rounding_apply(x, 1, 4, 4, &(rounding){.to = (format)f});
        ck_assert(isnan(x[0]) && isinf(x[1]) && x[1] > 0 && isinf(x[2]) && x[2] < 0);
        ck_assert_double_eq((double)x[3], 1);
        ck_assert(signbit(rounded((format)f, -0.0)));
        ck_assert(!signbit(rounded((format)f, 0.0)));
    }
}
END_TEST

enum { MANY = 1 << 14 };

static void fill_gaussian(real *x, size_t n, double std)
{
    rng r = rng_stream(11, "test", "rounding");
    for (size_t i = 0; i < n; i++) x[i] = (real)(std * rng_normal(&r, i));
}

/* int8 finds its scale again as max|x|/127, which may be a unit in the last place away. */
START_TEST(test_rounding_twice_is_rounding_once)
{
    static real x[MANY], y[MANY];
    for (int f = FORMAT_fp16; f < FORMAT_COUNT; f++) {
        rounding how = {.to = (format)f};
        fill_gaussian(x, MANY, 3);
        rounding_apply(x, 64, MANY / 64, MANY / 64, &how);
        memcpy(y, x, sizeof y);
        rounding_apply(y, 64, MANY / 64, MANY / 64, &how);
        double ulp = f == FORMAT_int8 ? 2 * (double)REAL_EPSILON : 0;
        for (size_t i = 0; i < MANY; i++)
            ck_assert_double_le(fabs((double)(y[i] - x[i])), ulp * fabs((double)x[i]));
    }
}
END_TEST

/* Each draw is one of the two neighbours; their mean is x to five standard errors. */
START_TEST(test_stochastic_rounding_is_right_on_average)
{
    static real y[MANY];
    static const double values[] = {1.03, -0.77, 3e-3, 100.3, -2e-4};
    for (int f = FORMAT_fp16; f < FORMAT_COUNT; f++)
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            rng r = rng_stream(5, "test", "stochastic");
            real x = (real)values[k];
            for (size_t i = 0; i < MANY; i++) y[i] = x;
            y[0] = 127; /* the scale of int8: 1 */
            rounding_apply(y, 1, MANY, MANY, &(rounding){(format)f, false, &r});
            double sum = 0, low = INFINITY, high = -INFINITY;
            for (size_t i = 1; i < MANY; i++) {
                sum += (double)y[i];
                low = fmin(low, (double)y[i]), high = fmax(high, (double)y[i]);
            }
            double n = MANY - 1, off = fabs(sum / n - (double)x);
            ck_assert_msg(low <= (double)x && (double)x <= high, "%s: %g not in [%g, %g]",
                          format_registry.rows[f]->name, (double)x, low, high);
            ck_assert_double_le(off, 5 * (high - low) / (2 * sqrt(n)) + 1e-12);
        }
}
END_TEST

/* A step s leaves an error of variance s^2/12 where no step is special, and s = max/127. */
START_TEST(test_noise_of_int8_is_that_of_its_step)
{
    static real x[MANY], y[MANY];
    double signal = 0, noise = 0, max = 0;
    fill_gaussian(x, MANY, 0.7);
    memcpy(y, x, sizeof y);
    rounding_apply(y, 1, MANY, MANY, &(rounding){.to = FORMAT_int8});
    for (size_t i = 0; i < MANY; i++) {
        double e = (double)y[i] - (double)x[i];
        signal += (double)x[i] * (double)x[i], noise += e * e;
        max = fmax(max, fabs((double)x[i]));
    }
    double step = max / 127, measured = 10 * log10(signal / noise),
           predicted = 10 * log10(signal / MANY * 12 / (step * step));
    /* 4 standard errors of a mean of e^2 over 2^14 draws are 0.12 dB */
    ck_assert_double_eq_tol(measured, predicted, 0.12);
    ck_assert_double_gt(measured, 6.02 * 8 - 10);
}
END_TEST

START_TEST(test_a_row_has_its_own_scale_and_padding_is_left_alone)
{
    real x[2][4] = {{127, 1.4f, 0, 99}, {1.27f, 0.014f, 0, 99}}, y[2][4];
    memcpy(y, x, sizeof y);
    rounding_apply(x[0], 2, 3, 4, &(rounding){.to = FORMAT_int8, .by_row = true});
    ck_assert_double_eq_tol((double)x[0][1], 1, 1e-6);
    ck_assert_double_eq_tol((double)x[1][1], 0.01, 1e-8);
    rounding_apply(y[0], 2, 3, 4, &(rounding){.to = FORMAT_int8});
    ck_assert_double_eq((double)y[1][1], 0);
    ck_assert(x[0][3] == 99 && x[1][3] == 99 && y[1][3] == 99);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rounding");
    TCase *t = tcase_create("formats");
    tcase_add_test(t, test_casts_are_those_of_pytorch);
    tcase_add_test(t, test_ends_of_the_formats_are_exact);
    tcase_add_test(t, test_what_is_not_finite_stays_and_zero_keeps_its_sign);
    tcase_add_test(t, test_rounding_twice_is_rounding_once);
    tcase_add_test(t, test_stochastic_rounding_is_right_on_average);
    tcase_add_test(t, test_noise_of_int8_is_that_of_its_step);
    tcase_add_test(t, test_a_row_has_its_own_scale_and_padding_is_left_alone);
    suite_add_tcase(s, t);
    return suite_run(s);
}
