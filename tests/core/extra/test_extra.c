/* The parts of the extras: ends of tridiagonal spectra, H v, the noise scale. */
#include "core/activation/activation.h"
#include "core/extra/hvp.h"
#include "core/extra/lanczos.h"
#include "core/extra/noise.h"
#include "tests/core/rig.h"
#include "tests/suite.h"

/* --- lanczos -------------------------------------------------------------------------------- */

/* 2 on the diagonal and -1 beside it: 2 - 2 cos(pi k/(n+1)), with a sine as the vector on top. */
START_TEST(test_tridiagonal_ends_are_those_of_the_second_difference)
{
    enum { MOST = 60 };
    const double pi = acos(-1);
    double diag[MOST], off[MOST], top[MOST], work[MOST];
    for (int i = 0; i < MOST; i++) diag[i] = 2, off[i] = -1;
    for (int n = 1; n <= MOST; n++) {
        double largest = 2 - 2 * cos(pi * n / (n + 1)), smallest = 2 - 2 * cos(pi / (n + 1));
        ck_assert_double_eq_tol(lanczos_eigenvalue(diag, off, n, true), largest, 1e-14);
        ck_assert_double_eq_tol(lanczos_eigenvalue(diag, off, n, false), smallest, 1e-14);
        lanczos_vector(diag, off, n, top, work);
        double norm_of = sqrt((n + 1) / 2.0);
        for (int i = 0; i < n; i++)
            ck_assert_double_eq_tol(fabs(top[i]), fabs(sin(pi * n * (i + 1) / (n + 1))) / norm_of,
                                    1e-9);
    }
}
END_TEST

START_TEST(test_tridiagonal_ends_of_what_is_negative_zero_or_not_a_number)
{
    double down[] = {-3, -1, -2}, none[] = {0, 0}, bad[] = {1, (double)NAN}, off[] = {0, 0};
    double top[3], work[3];
    ck_assert_double_eq_tol(lanczos_eigenvalue(down, off, 3, true), -1, 1e-15);
    ck_assert_double_eq_tol(lanczos_eigenvalue(down, off, 3, false), -3, 1e-15);
    ck_assert_double_eq_tol(lanczos_eigenvalue(none, off, 2, true), 0, 1e-300);
    ck_assert(isnan(lanczos_eigenvalue(bad, off, 2, true)));
    lanczos_vector(none, off, 1, top, work);
    ck_assert_double_eq(top[0], 1);
}
END_TEST

/* --- H v ------------------------------------------------------------------------------------ */

enum { HIDDEN = 9 };

static int bilinear(graph *g, int x)
{
    int first = graph_param(g, PARAM_INNER, "first", HIDDEN, (size_t)g->values[x].cols);
    int h = op_linear_build(g, x, &first, NULL, 1);
    int second = graph_param(g, PARAM_OUTER, "second", D, HIDDEN);
    return op_linear_build(g, h, &second, NULL, 1);
}

typedef struct products {
    rig r;
    hvp h;
    real *v, *hv, *more;
    void *memory;
} products;

static void start(products *p, int (*build)(graph *g, int x), size_t first, size_t end)
{
    enum { BYTES = 1 << 20 };
    arena a;
    rig_start(&p->r, NULL, build);
    size_t count = p->r.p.param_count;
    p->memory = aligned_alloc(ARENA_ALIGN, BYTES);
    arena_init(&a, p->memory, BYTES);
    hvp_layout(&p->h, &p->r.p, &a);
    p->v = rig_take(&a, count, sizeof *p->v);
    p->hv = rig_take(&a, count, sizeof *p->hv);
    p->more = rig_take(&a, count, sizeof *p->more);
    memset(p->hv, 0, count * sizeof *p->hv);
    rig_fill(p->v, count, "direction", 1);
    rig_loss(&p->r);
    hvp_begin(&p->h, &p->r.x, first, end ? end : count);
}

static void stop(products *p)
{
    arena_release(p->memory, 1 << 20);
    free(p->memory);
    rig_stop(&p->r);
}

#if REAL_BITS == 64
enum { EXACT_DIGITS = 9 };
#else
enum { EXACT_DIGITS = 3 };
#endif

static void assert_close(const real *a, const real *b, size_t n, double relative)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)b[i]));
    for (size_t i = 0; i < n; i++)
        ck_assert_double_eq_tol((double)a[i], (double)b[i], relative * most);
}

/* sum g.(x A'B') is bilinear in A and B: H (a, b) is the gradient in A at b, and in B at a. */
START_TEST(test_product_with_the_hessian_of_a_quadratic_is_exact)
{
    products p;
    start(&p, bilinear, 0, 0);
    size_t count = p.r.p.param_count;
    real *kept = malloc(count * sizeof *kept);
    ck_assert_ptr_nonnull(kept);
    memcpy(kept, p.r.x.params, count * sizeof *kept);
    ck_assert_int_eq(hvp_apply(&p.h, p.v, p.hv, NULL, NULL), ERR_OK);
    ck_assert_mem_eq(kept, p.r.x.params, count * sizeof *kept); /* no trace */
    memcpy(p.r.x.params, p.v, count * sizeof *kept);
    ck_assert_int_eq(hvp_gradient(&p.h, p.more, NULL, NULL), ERR_OK);
    assert_close(p.hv, p.more, count, pow(10, -EXACT_DIGITS));
    free(kept);
    stop(&p);
}
END_TEST

static int curved(graph *g, int x)
{
    int h = bilinear(g, x);
    h = op_activate_build(g, h, activation_table[registry_find(&activation_registry, "gelu_tanh")]);
    return bilinear(g, h);
}

/* v'Hu = u'Hv; with entries held constant the rest is a part of the whole product. */
START_TEST(test_product_is_symmetric_and_has_parts)
{
    products p;
    start(&p, curved, 0, 0);
    size_t count = p.r.p.param_count, part = p.r.g.params[1].data;
    real *u = malloc(count * sizeof *u), *hu = malloc(count * sizeof *hu);
    rig_fill(u, count, "other", 1);
    ck_assert_int_eq(hvp_apply(&p.h, p.v, p.hv, NULL, NULL), ERR_OK);
    ck_assert_int_eq(hvp_apply(&p.h, u, hu, NULL, NULL), ERR_OK);
    double a = flat_dot(&p.h.f, u, p.hv), b = flat_dot(&p.h.f, p.v, hu);
    double size = sqrt(flat_dot(&p.h.f, u, u) * flat_dot(&p.h.f, p.hv, p.hv));
    ck_assert_double_eq_tol(a, b, pow(10, -EXACT_DIGITS + 1) * size);
    memset(u, 0, part * sizeof *u); /* u from the second matrix on */
    ck_assert_int_eq(hvp_apply(&p.h, u, hu, NULL, NULL), ERR_OK);
    hvp_begin(&p.h, &p.r.x, part, count);
    ck_assert_int_eq(hvp_apply(&p.h, u, p.hv, NULL, NULL), ERR_OK);
    assert_close(p.hv + part, hu + part, count - part, pow(10, -EXACT_DIGITS + 1));
    free(u);
    free(hu);
    stop(&p);
}
END_TEST

static int tanh_layers(graph *g, int x)
{
    int first = graph_param(g, PARAM_INNER, "first", HIDDEN, D);
    int h = op_linear_build(g, x, &first, NULL, 1);
    h = op_activate_build(g, h, activation_table[registry_find(&activation_registry, "tanh")]);
    int second = graph_param(g, PARAM_OUTER, "second", D, HIDDEN);
    return op_linear_build(g, h, &second, NULL, 1);
}

/* out_i = sum_j w_ij x_j, or with w transposed. */
static void times(double *out, const real *w, const double *x, int rows, int cols, bool turned)
{
    for (int i = 0; i < (turned ? cols : rows); i++) {
        out[i] = 0;
        for (int j = 0; j < (turned ? rows : cols); j++)
            out[i] += (double)(turned ? w[j * cols + i] : w[i * cols + j]) * x[j];
    }
}

/* H v of sum g.(W tanh(U x)), v = (V_U, V_W), with h = tanh(U x), s = 1 - h^2, z' = V_U x:
 *   in W  g (s z')',   in U  (s V_W'g - 2 h s z' W'g) x' */
static void tanh_product(real *out, const rig *r, const real *v)
{
    const real *W = r->x.params + HIDDEN * D, *vW = v + HIDDEN * D;
    memset(out, 0, 2 * HIDDEN * D * sizeof *out);
    for (int t = 0; t < B * T; t++) {
        double x[D], g[D], z[HIDDEN], dz[HIDDEN], back[HIDDEN], dback[HIDDEN];
        for (int i = 0; i < D; i++) {
            x[i] = (double)r->inputs[t * D + i];
            g[i] = (double)r->seed[t * D + i];
        }
        times(z, r->x.params, x, HIDDEN, D, false);
        times(dz, v, x, HIDDEN, D, false);
        times(back, W, g, D, HIDDEN, true);
        times(dback, vW, g, D, HIDDEN, true);
        for (int k = 0; k < HIDDEN; k++) {
            double h = tanh(z[k]), s = 1 - h * h;
            for (int i = 0; i < D; i++) {
                out[k * D + i] += (real)((s * dback[k] - 2 * h * s * dz[k] * back[k]) * x[i]);
                out[HIDDEN * D + i * HIDDEN + k] += (real)(g[i] * s * dz[k]);
            }
        }
    }
}

START_TEST(test_product_with_the_hessian_of_tanh_layers_is_the_closed_form)
{
    products p;
    real want[2 * HIDDEN * D];
    start(&p, tanh_layers, 0, 0);
    ck_assert_uint_eq(p.r.p.param_count, 2 * HIDDEN * D);
    ck_assert_int_eq(hvp_apply(&p.h, p.v, p.hv, NULL, NULL), ERR_OK);
    tanh_product(want, &p.r, p.v);
    assert_close(p.hv, want, 2 * HIDDEN * D, REAL_BITS == 64 ? 1e-8 : 1e-3);
    stop(&p);
}
END_TEST

/* --- noise scale ---------------------------------------------------------------------------- */

/* |G|^2 = 10.23 and unit noise in 1000 numbers: both estimates are unbiased. */
START_TEST(test_noise_scale_is_unbiased)
{
    enum { NUMBERS = 1000, DRAWS = 2000, BATCH = 8 };
    const double each = sqrt(10.23 / NUMBERS);
    double grad_sq = 0, trace = 0, block[RNG_BLOCK];
    rng random = rng_stream(1, "test", "noise");
    uint64_t at = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        double mean[NUMBERS] = {0}, mean_sq = 0, batch_sq = 0;
        for (int b = 0; b < BATCH; b++)
            for (int i = 0; i < NUMBERS; i++, at++) {
                if (at % RNG_BLOCK == 0) rng_normal_block(&random, at / RNG_BLOCK, block);
                double g = each + block[at % RNG_BLOCK];
                mean[i] += g / BATCH;
                mean_sq += g * g / BATCH;
            }
        for (int i = 0; i < NUMBERS; i++) batch_sq += mean[i] * mean[i];
        noise_scale e = noise_scale_of(batch_sq, mean_sq, BATCH);
        grad_sq += e.grad_sq / DRAWS;
        trace += e.trace / DRAWS;
    }
    ck_assert_double_eq_tol(grad_sq, 10.23, 0.02 * 10.23);
    ck_assert_double_eq_tol(trace, 1000, 0.02 * 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("extra");
    TCase *tc = tcase_create("extra");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_tridiagonal_ends_are_those_of_the_second_difference);
    tcase_add_test(tc, test_tridiagonal_ends_of_what_is_negative_zero_or_not_a_number);
    tcase_add_test(tc, test_product_with_the_hessian_of_a_quadratic_is_exact);
    tcase_add_test(tc, test_product_is_symmetric_and_has_parts);
    tcase_add_test(tc, test_product_with_the_hessian_of_tanh_layers_is_the_closed_form);
    tcase_add_test(tc, test_noise_scale_is_unbiased);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
