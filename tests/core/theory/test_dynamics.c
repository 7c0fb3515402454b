/* How tokens draw together: exact statements of theory, by our own metrics in float64 arithmetic.
 */
#include "core/base/rng.h"
#include "core/metric/contraction.h"
#include "core/metric/geometry.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

enum { T = 12, D = 8 };

static double normal(const rng *r, uint64_t *i)
{
    return rng_normal(r, (*i)++);
}

/* ||X - 1 xbar'||_F, from the metrics: residual_fro times ||X||_F. */
static double deviation(const real *x)
{
    void *memory = numbers_block(slab_bytes(T, D));
    metric_value out[METRIC_COUNT];
    geometry g;
    slab s;
    slab_sums(&s, x, T, D, D, false, memory);
    double length = sqrt(s.sum_sq);
    slab_centre(&s);
    geometry_reset(&g);
    geometry_add(&g, &s);
    geometry_finish(&g, out);
    free(memory);
    ck_assert_int_eq(out[METRIC_residual_fro].reason, REASON_NONE);
    return out[METRIC_residual_fro].value * length;
}

static double contraction_of(const real *a)
{
    void *work = numbers_block(contraction_work_bytes(T));
    metric_value out[METRIC_COUNT];
    contraction c = {0};
    contraction_add(&c, a, 1, T, NULL, false, work);
    contraction_finish(&c, out);
    free(work);
    return out[METRIC_attn_contraction].value;
}

/* Rows of softmax of Gaussian logits. */
static void draw_attention(real *a, double spread, const rng *r, uint64_t *i)
{
    for (size_t row = 0; row < T; row++) {
        double sum = 0, e[T];
        for (size_t j = 0; j < T; j++) sum += e[j] = exp(spread * normal(r, i));
        for (size_t j = 0; j < T; j++) a[row * T + j] = (real)(e[j] / sum);
    }
}

/* Largest singular value of a [D, D] matrix by many steps of the power method, times 1 + 1e-6: an
 * upper bound as the inequality needs one. */
static double spectral_norm(const double *w)
{
    double v[D], u[D], length = 0;
    for (size_t j = 0; j < D; j++) v[j] = 1 + 0.1 * (double)j;
    for (int step = 0; step < 2000; step++) {
        double norm = 0;
        for (size_t i = 0; i < D; i++) {
            u[i] = 0;
            for (size_t j = 0; j < D; j++) u[i] += w[i * D + j] * v[j];
        }
        for (size_t j = 0; j < D; j++) {
            v[j] = 0;
            for (size_t i = 0; i < D; i++) v[j] += w[i * D + j] * u[i];
            norm += v[j] * v[j];
        }
        length = sqrt(sqrt(norm));
        for (size_t j = 0; j < D; j++) v[j] /= sqrt(norm);
    }
    return length * (1 + 1e-6);
}

/* y = lambda x + A x W. */
static void mix(real *y, double lambda, const real *a, const real *x, const double *w)
{
    double xw[T * D];
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < D; j++) {
            xw[i * D + j] = 0;
            for (size_t k = 0; k < D; k++) xw[i * D + j] += (double)x[i * D + k] * w[k * D + j];
        }
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < D; j++) {
            double sum = lambda * (double)x[i * D + j];
            for (size_t k = 0; k < T; k++) sum += (double)a[i * T + k] * xw[k * D + j];
            y[i * D + j] = (real)sum;
        }
}

/* (|lambda| - kappa) mu(X) <= mu(lambda X + A X W) <= (|lambda| + kappa) mu(X), kappa = ||C A C||_2
 * ||W||_2: a skip of more than kappa excludes collapse (arXiv:2410.10609). */
START_TEST(test_a_skip_bounds_what_attention_takes_away)
{
    const double rounding = REAL_BITS == 64 ? 1e-12 : 1e-5;
    rng r = rng_stream((uint64_t)_i, "test", "skip");
    uint64_t at = 0;
    real x[T * D], y[T * D], a[T * T];
    double w[D * D], lambda = 3 * fabs(normal(&r, &at));
    for (size_t i = 0; i < T * D; i++) x[i] = (real)(normal(&r, &at) + (_i % 2 ? 5 : 0));
    for (size_t i = 0; i < D * D; i++) w[i] = normal(&r, &at) / sqrt(D);
    draw_attention(a, _i % 4, &r, &at);
    mix(y, lambda, a, x, w);
    double before = deviation(x), after = deviation(y),
           kappa = contraction_of(a) * spectral_norm(w);
    ck_assert_double_le(after, (lambda + kappa) * before * (1 + rounding));
    ck_assert_double_ge(after, (lambda - kappa) * before * (1 - rounding) - rounding * before);
}
END_TEST

/* Two tokens (cos t, +-sin t), logits beta x_i.x_j, W_V = diag(1, kappa), rows scaled to length 1:
 * tan t' = kappa tanh(beta sin^2 t) tan t. Below sin^2 t = atanh(1/kappa)/beta they become one,
 * above it opposite: LayerNorm can prevent collapse (arXiv:2405.18781, derived). */
static double after_many(double angle, double kappa, double beta)
{
    for (int step = 0; step < 4000; step++) {
        double c = cos(angle), s = sin(angle), same = exp(beta),
               other = exp(beta * (c * c - s * s)), p = same / (same + other), along = c,
               across = kappa * (2 * p - 1) * s;
        angle = atan2(across, along);
    }
    return angle;
}

START_TEST(test_a_norm_lets_two_tokens_stay_apart_beyond_a_threshold)
{
    const double cases[][3] = {{3, 2, 0.429347}, {1.5, 4, 0.465121}}, right = acos(0);
    for (size_t i = 0; i < 2; i++) {
        double threshold = asin(sqrt(atanh(1 / cases[i][0]) / cases[i][1]));
        ck_assert_double_eq_tol(threshold, cases[i][2], 1e-6);
        ck_assert_double_lt(after_many(0.99 * threshold, cases[i][0], cases[i][1]), 1e-6);
        ck_assert_double_gt(after_many(1.01 * threshold, cases[i][0], cases[i][1]), right * 0.5);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dynamics");
    TCase *tc = tcase_create("dynamics");
    tcase_add_loop_test(tc, test_a_skip_bounds_what_attention_takes_away, 0, 60);
    tcase_add_test(tc, test_a_norm_lets_two_tokens_stay_apart_beyond_a_threshold);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
