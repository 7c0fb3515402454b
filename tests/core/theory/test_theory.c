/* Pair kernels of activations against quadrature and their derivatives; mixing against closed forms
 * of the simplex and the eigenvalues of the mask. */
#include "core/base/rng.h"
#include "core/theory/mixing.h"
#include "core/theory/pair.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tables have 5 or 6 digits; activations of the float build are right to 1e-7. */
static const double TABLE = 1e-5;

/* --- activations ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    double mean, square, slope, apart, apart_slope; /* E f, E f^2, E f'^2, C(0), C'(0) */
    double spread;                                  /* E f^4/(E f^2)^2 - 1 */
} constants[] = {
    {"relu", .398942, .5, .5, .31831, .5, 5},
    {"gelu", .282095, .425221, .455851, .18714, .58793, 6.216},
    {"silu", .206621, .355776, .379482, .12000, .70269, 6.262},
    {"tanh", 0, .394294, .464403, 0, .93047, .627},
    {"erf", 0, .464559, .569410, 0, .91358, .560},
    {"identity", 0, 1, 1, 0, 1, 2},
    /* l^2 (1/2 + a^2 e^2 Phi(-2)) and l^2 (1/2 + a e^(1/2) Phi(-1))^2 */
    {"selu", 0, 1, 1.071575, 0, .970680, 1.503},
    {"elu", .160521, .644945, .668102, .03995, .89930, 2.776},
    {"relu2", .5, 1.5, 2, .16667, .42441, 22.33},
};

static double elu(double u)
{
    return u > 0 ? u : expm1(u);
}

static double elu_slope(double u)
{
    return u > 0 ? 1 : exp(u);
}

static double relu2(double u)
{
    return u > 0 ? u * u : 0;
}

static double relu2_slope(double u)
{
    return u > 0 ? 2 * u : 0;
}

/* Of an activation, of a curve of norms, or of what only the table has. */
static void pair_named(pair *p, const char *name)
{
    int row = registry_find(&activation_registry, name);
    pair_of_tanh(p);
    if (strcmp(name, "erf") == 0)
        pair_of_erf(p);
    else if (strcmp(name, "elu") == 0)
        p->f = elu, p->df = elu_slope;
    else if (strcmp(name, "relu2") == 0)
        p->f = relu2, p->df = relu2_slope;
    else if (strcmp(name, "tanh") != 0)
        pair_of_activation(p, activation_table[row]);
}

START_TEST(test_constants_of_unit_variance)
{
    static pair p;
    pair_named(&p, constants[_i].name);
    double square = pair_value(&p, 1, 1, 1);
    ck_assert_double_eq_tol(pair_mean(&p, 1), constants[_i].mean, TABLE);
    ck_assert_double_eq_tol(square, constants[_i].square, TABLE);
    ck_assert_double_eq_tol(pair_slope(&p, 1, 1, 1), constants[_i].slope, TABLE);
    ck_assert_double_eq_tol(pair_value(&p, 1, 1, 0) / square, constants[_i].apart, TABLE);
    ck_assert_double_eq_tol(pair_slope(&p, 1, 1, 0) / square, constants[_i].apart_slope, TABLE);
}
END_TEST

static double value_at(const pair *p, double u)
{
    real x = (real)u, y;
    if (p->f) return p->f(u);
    if (!p->act) return erf(u);
    p->act->forward(&y, &x, 1);
    return (double)y;
}

/* The relative variance of the square of one unit, by quadrature; and a layer of 4096 units with
 * that of its mean square, 4 sqrt(c/4096). */
START_TEST(test_spread_of_a_layer)
{
    enum { UNITS = 4096 };
    static pair p;
    static hermite_rule r;
    double fourth = 0, square = 0, sum = 0;
    pair_named(&p, constants[_i].name);
    hermite_rule_init(&r);
    for (int i = 0; i < HERMITE_NODES; i++) {
        double y = value_at(&p, r.x[i]);
        square += r.w[i] * y * y;
        fourth += r.w[i] * y * y * y * y;
    }
    ck_assert_double_eq_tol(fourth / square / square - 1, constants[_i].spread, 0.005);
    rng stream = rng_stream(1, "test", "layer");
    for (uint64_t i = 0; i < UNITS; i++) {
        double y = value_at(&p, rng_normal(&stream, i));
        sum += y * y / UNITS;
    }
    ck_assert_double_eq_tol(sum / constants[_i].square, 1, 4 * sqrt(constants[_i].spread / UNITS));
}
END_TEST

/* d E f f/d k12 = E f' f'. */
START_TEST(test_slope_is_the_derivative_of_the_value)
{
    static pair p;
    const double h = 1e-5;
    pair_named(&p, constants[_i].name);
    for (double k12 = -0.7; k12 < 0.8; k12 += 0.3) {
        double up = pair_value(&p, 1.3, 0.8, k12 + h), down = pair_value(&p, 1.3, 0.8, k12 - h);
        ck_assert_double_eq_tol((up - down) / (2 * h), pair_slope(&p, 1.3, 0.8, k12), 1e-6);
    }
}
END_TEST

static double gelu(double u)
{
    return u * (1 + erf(u / sqrt(2.0))) / 2;
}

START_TEST(test_series_agree_with_closed_forms)
{
    static pair series, closed;
    pair_of_tanh(&series);
    series.f = gelu;
    pair_named(&closed, "gelu");
    for (double k12 = -0.6; k12 < 0.7; k12 += 0.2)
        ck_assert_double_eq_tol(pair_value(&series, 0.7, 1.2, k12),
                                pair_value(&closed, 0.7, 1.2, k12), 1e-9);
    series.f = erf;
    pair_named(&closed, "erf");
    ck_assert_double_eq_tol(pair_value(&series, 0.7, 0.9, 0.4), pair_value(&closed, 0.7, 0.9, 0.4),
                            1e-8);
}
END_TEST

/* Leaky ReLU of slope a, relu(u) - a relu(-u), scaled to keep the variance: what n in series make
 * of independent tokens, by the kernel of ReLU. */
static double leaky_correlation(const pair *relu, double a, int n)
{
    double c = 0;
    for (int i = 0; i < n; i++)
        c = 2 / (1 + a * a) *
            ((1 + a * a) * pair_value(relu, 1, 1, c) - 2 * a * pair_value(relu, 1, 1, -c));
    return c;
}

/* The slope for which it is 0.9, as the tailored transformation of arXiv:2203.08120 has it; with 12
 * or fewer ReLU itself stays below. */
START_TEST(test_slopes_of_tailored_leaky_relus)
{
    static const struct {
        int n;
        double slope;
    } rows[] = {{24, .238503}, {36, .351121}, {64, .484327}, {72, .508389}, {128, .612513}};
    pair relu;
    pair_named(&relu, "relu");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double low = 0, high = 1;
        while (high - low > 1e-9) {
            double a = (low + high) / 2;
            if (leaky_correlation(&relu, a, rows[i].n) > 0.9)
                low = a;
            else
                high = a;
        }
        ck_assert_double_eq_tol(low, rows[i].slope, 1e-6);
    }
    ck_assert_double_lt(leaky_correlation(&relu, 0, 12), 0.9);
    ck_assert_double_gt(leaky_correlation(&relu, 0, 24), 0.9);
}
END_TEST

/* --- mixing ----------------------------------------------------------------------------------- */

static double *doubles(size_t n)
{
    double *x = calloc(n, sizeof *x);
    ck_assert_ptr_nonnull(x);
    return x;
}

typedef struct lab {
    tokens t;
    mixing m;
    sight sight;
    double *k, *out, *work;
} lab;

static void lab_init(lab *l, int length, int most, bool causal, int window, double logit_var)
{
    tokens_init(&l->t, length, false, most);
    l->m = (mixing){.tokens = &l->t, .gain = 1, .logit_var = logit_var};
    l->m.sight = &l->sight;
    sight_init(&l->sight, &l->t, causal, window);
    size_t each = kernel_doubles(l->t.n);
    l->k = doubles(each);
    l->out = doubles(each);
    l->work = doubles(MIXING_WORK * each);
}

static void lab_deinit(lab *l)
{
    free(l->k);
    free(l->out);
    free(l->work);
}

/* Unit tokens of correlation rho. */
static void fill(lab *l, double rho)
{
    int n = l->t.n;
    for (int g = 0; g < n; g++) {
        for (int h = 0; h < n; h++) l->k[g * n + h] = rho;
        l->k[n * n + g] = 1;
        if (l->t.size[g] == 1) l->k[g * n + g] = 1;
    }
}

static void mix(lab *l)
{
    mixing_own own;
    mixing_forward(l->out, l->k, &own, false, &l->m, NULL, NULL, l->work);
    memcpy(l->k, l->out, kernel_doubles(l->t.n) * sizeof *l->k);
}

/* q = rho + (1 - rho)/T of uniform attention, and e^(s2 (1 - rho)) times the second term otherwise,
 * to the 3 % that the excess of few keys has. */
START_TEST(test_simplex_is_the_closed_form)
{
    const double rho = 0.3, T = 64;
    for (int one = 0; one < 2; one++)
        for (double s2 = 0; s2 < 0.6; s2 += 0.25) {
            lab l;
            lab_init(&l, (int)T, one ? 1 : 64, false, 0, s2);
            fill(&l, rho);
            mix(&l);
            double q = kernel_means(l.k, &l.t).q, rest = (1 - rho) * exp(s2 * (1 - rho)) / T;
            ck_assert_double_eq_tol(q, rho + rest, s2 == 0 ? 1e-12 : 0.03 * rest);
            lab_deinit(&l);
        }
}
END_TEST

/* Uniform attention to all: pairs of two sequences, which share nothing but rho, keep it; so do
 * they under softmax where rho is 0. */
START_TEST(test_pairs_of_sequences_keep_what_they_share)
{
    lab l;
    mixing_own own;
    for (int rho = 0; rho < 2; rho++) {
        lab_init(&l, 32, 32, false, 0, rho ? 0 : 0.5);
        fill(&l, 0.3);
        mixing_forward(l.out, l.k, &own, false, &l.m, NULL, NULL, l.work);
        for (size_t i = 0; i < kernel_doubles(l.t.n); i++) l.k[i] = 0.3 * rho;
        mixing_forward(l.out, l.k, &own, true, &l.m, NULL, NULL, l.work);
        for (size_t i = 0; i < kernel_doubles(l.t.n); i++)
            ck_assert_double_eq_tol(l.out[i], 0.3 * rho, 1e-12);
        lab_deinit(&l);
    }
}
END_TEST

/* Coarse groups of a causal sequence keep the means. */
START_TEST(test_groups_stand_for_their_tokens)
{
    kernel_mean m[2];
    for (int coarse = 0; coarse < 2; coarse++) {
        lab l;
        lab_init(&l, 60, coarse ? 12 : 60, true, 0, 0.5);
        fill(&l, 0.2);
        mix(&l);
        m[coarse] = kernel_means(l.k, &l.t);
        lab_deinit(&l);
    }
    ck_assert_double_eq_tol(m[1].q / m[0].q, 1, 0.03);
    ck_assert_double_eq_tol(m[1].pairs / m[0].pairs, 1, 0.03);
}
END_TEST

/* Uniform causal attention is triangular with eigenvalues 1/i: what is orthogonal to the first
 * token's direction decays by 1/2. */
START_TEST(test_causal_attention_collapses_by_half_per_layer)
{
    lab l;
    double last = 0, ratio = 0;
    lab_init(&l, 64, 64, true, 0, 0);
    fill(&l, 0);
    int n = l.t.n;
    l.k[0] = l.k[n * n] = 0; /* no part along the eigenvalue 1 */
    for (int layer = 0; layer < 60; layer++) {
        mix(&l);
        double q = kernel_means(l.k, &l.t).q;
        ratio = sqrt(q / last);
        last = q;
    }
    ck_assert_double_eq_tol(ratio, 0.5, 1e-4);
    lab_deinit(&l);
}
END_TEST

/* Sliding windows |i - j| < w collapse at the second eigenvalue of their mean; those of T = 64 by
 * an independent eigensolver. */
START_TEST(test_windows_collapse_at_their_second_eigenvalue)
{
    static const struct {
        int window;
        double rate;
    } rows[] = {{5, .9914}, {9, .9672}};
    lab l;
    double last = 0, ratio = 0;
    lab_init(&l, 64, 64, false, rows[_i].window, 0);
    fill(&l, 0);
    int layers = (int)(5 / (1 - rows[_i].rate));
    for (int layer = 0; layer < layers; layer++) {
        mix(&l);
        kernel_mean m = kernel_means(l.k, &l.t);
        ratio = sqrt((m.q - m.p) / last);
        last = m.q - m.p;
    }
    ck_assert_double_eq_tol(ratio, rows[_i].rate, 1e-3);
    lab_deinit(&l);
}
END_TEST

/* <G, F(K)> = <F'(G), K> for uniform attention, which is linear. */
START_TEST(test_backward_is_the_adjoint_of_forward)
{
    lab l;
    double there = 0, back = 0;
    lab_init(&l, 24, 24, true, 0, 0);
    fill(&l, 0.1);
    int n = l.t.n;
    double *grad = doubles(kernel_doubles(n)), *in = doubles(kernel_doubles(n));
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            grad[i * n + j] = grad[j * n + i] = sin(1.0 + i) * sin(1.0 + j) + (i == j);
    for (int i = 0; i < n; i++) grad[n * n + i] = grad[i * n + i];
    mixing_own own;
    mixing_forward(l.out, l.k, &own, false, &l.m, NULL, NULL, l.work);
    mixing_backward(in, grad, l.k, &own, false, &l.m, NULL, l.work);
    for (int i = 0; i < n * n; i++) there += grad[i] * l.out[i], back += in[i] * l.k[i];
    ck_assert_double_eq_tol(there / back, 1, 1e-12);
    free(grad);
    free(in);
    lab_deinit(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("theory");
    TCase *c = tcase_create("activations");
    const int functions = sizeof constants / sizeof *constants;
    tcase_add_loop_test(c, test_constants_of_unit_variance, 0, functions);
    tcase_add_loop_test(c, test_slope_is_the_derivative_of_the_value, 0, functions);
    tcase_add_loop_test(c, test_spread_of_a_layer, 0, functions);
    tcase_add_test(c, test_series_agree_with_closed_forms);
    tcase_add_test(c, test_slopes_of_tailored_leaky_relus);
    suite_add_tcase(s, c);
    c = tcase_create("mixing");
    tcase_add_test(c, test_simplex_is_the_closed_form);
    tcase_add_test(c, test_groups_stand_for_their_tokens);
    tcase_add_test(c, test_pairs_of_sequences_keep_what_they_share);
    tcase_add_test(c, test_causal_attention_collapses_by_half_per_layer);
    tcase_add_loop_test(c, test_windows_collapse_at_their_second_eigenvalue, 0, 2);
    tcase_add_test(c, test_backward_is_the_adjoint_of_forward);
    suite_add_tcase(s, c);
    return suite_run(s);
}
