/* SELU (arXiv:1706.02515): mean 0 and variance 1 are a fixed point of layers with weights of
 * variance 1/fan_in that draws its surroundings in, by the program's own kernel of the activation
 * and by sampled layers. */
#include "core/base/rng.h"
#include "core/theory/pair.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>

static const double lambda = 1.0507009873554804934, alpha = 1.6732632423543772848;

/* Second moment of SELU for z ~ N(0, v), in closed form. */
static double square(double v)
{
    double s = sqrt(2 * v);
    return lambda * lambda / 2 *
           (v + alpha * alpha * (-2 * exp(v / 2) * erfc(v / s) + exp(2 * v) * erfc(2 * v / s) + 1));
}

static double mean(double v)
{
    double s = sqrt(2 * v);
    return lambda / 2 * (alpha * exp(v / 2) * erfc(v / s) - alpha + sqrt(2 * v / acos(-1)));
}

static pair selu(void)
{
    pair p;
    pair_of_activation(&p, &activation_selu);
    return p;
}

/* The float build evaluates the activation in float. */
START_TEST(test_moments_are_the_closed_forms)
{
    const double digits = REAL_BITS == 64 ? 1e-11 : 1e-6;
    pair p = selu();
    ck_assert_double_eq_tol(mean(1), 0, 1e-15);
    ck_assert_double_eq_tol(square(1), 1, 1e-15);
    for (double v = 0.25; v < 5; v *= 2) {
        ck_assert_double_eq_tol(pair_mean(&p, v), mean(v), digits);
        ck_assert_double_eq_tol(pair_square(&p, v), square(v), digits * square(v));
    }
}
END_TEST

/* d variance'/d variance = 0.782648 and d mean'/d variance = 0.088834 at the fixed point; from 1.5
 * and from 0.5 the variance comes back. */
START_TEST(test_the_fixed_point_draws_in)
{
    const double h = 1e-3, digits = REAL_BITS == 64 ? 1e-5 : 1e-3;
    pair p = selu();
    ck_assert_double_eq_tol((pair_square(&p, 1 + h) - pair_square(&p, 1 - h)) / (2 * h), 0.782648,
                            digits);
    ck_assert_double_eq_tol((pair_mean(&p, 1 + h) - pair_mean(&p, 1 - h)) / (2 * h), 0.088834,
                            digits);
    for (double from = 0.5; from < 2; from++) {
        double v = from;
        for (int layer = 0; layer < 60; layer++) v = pair_square(&p, v);
        ck_assert_double_eq_tol(v, 1, 1e-5);
    }
}
END_TEST

/* One token through five layers of so many units: what W x is for given x is Gaussian with variance
 * |x|^2/fan_in. */
START_TEST(test_sampled_layers_come_back_by_0_78_each)
{
    enum { UNITS = 1 << 16, SEEDS = 4, LAYERS = 5 };
    static real z[UNITS], y[UNITS];
    double v[LAYERS + 1] = {0};
    for (int seed = 0; seed < SEEDS; seed++) {
        rng r = rng_stream((uint64_t)seed, "test", "selu");
        double now = 1.5;
        uint64_t at = 0;
        v[0] += now / SEEDS;
        for (int layer = 1; layer <= LAYERS; layer++) {
            for (int i = 0; i < UNITS; i++) z[i] = (real)(sqrt(now) * rng_normal(&r, at++));
            activation_selu.forward(y, z, UNITS);
            now = 0;
            for (int i = 0; i < UNITS; i++) now += (double)y[i] * (double)y[i] / UNITS;
            v[layer] += now / SEEDS;
        }
    }
    for (int layer = 1; layer <= LAYERS; layer++)
        ck_assert_double_eq_tol((v[layer] - 1) / (v[layer - 1] - 1), 0.78, 0.04);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("selu");
    TCase *c = tcase_create("selu");
    tcase_add_test(c, test_moments_are_the_closed_forms);
    tcase_add_test(c, test_the_fixed_point_draws_in);
    tcase_add_test(c, test_sampled_layers_come_back_by_0_78_each);
    suite_add_tcase(s, c);
    return suite_run(s);
}
