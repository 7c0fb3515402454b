/* Ops along the tokens of a sequence, against their formulas entry by entry. Their gradients are in
 * test_ops.c. */
#include "tests/core/rig.h"
#include "tests/suite.h"

#include <math.h>

enum { LENGTH = 37, WIDTH = 12 };

static const double tolerance = REAL_BITS == 64 ? 1e-14 : 2e-6;

static double factor(size_t t)
{
    return (double)(real)(1.5 - 0.1 * (double)t);
}

static void factors(const graph *g, const node *n, real *out, double *work)
{
    (void)g, (void)work;
    for (size_t t = 0; t < n->constant_count; t++) out[t] = (real)factor(t);
}

static int row_scale(graph *g, int x)
{
    return op_row_scale_build(g, x, factors, 0);
}

static int mean_so_far(graph *g, int x)
{
    return op_token_mean_build(g, x, true);
}

static int mean_of_all(graph *g, int x)
{
    return op_token_mean_build(g, x, false);
}

static int softcap(graph *g, int x)
{
    return op_softcap_build(g, x, 0.75);
}

/* Two heads of six features, of which the first four turn. */
static int rope(graph *g, int x)
{
    return op_rope_build(g, x, 2, 4, 50);
}

static double by_row_scale(const real *x, size_t t, size_t i)
{
    return factor(t) * (double)x[t * WIDTH + i];
}

static double mean(const real *x, size_t i, size_t n)
{
    double sum = 0;
    for (size_t t = 0; t < n; t++) sum += (double)x[t * WIDTH + i];
    return sum / (double)n;
}

static double by_mean_so_far(const real *x, size_t t, size_t i)
{
    return mean(x, i, t + 1);
}

static double by_mean_of_all(const real *x, size_t t, size_t i)
{
    (void)t;
    return mean(x, i, LENGTH);
}

static double by_softcap(const real *x, size_t t, size_t i)
{
    return 0.75 * tanh((double)x[t * WIDTH + i] / 0.75);
}

static double by_rope(const real *x, size_t t, size_t i)
{
    size_t head = i / 6 * 6, at = i % 6, pair = at % 2;
    const real *row = x + t * WIDTH + head;
    if (at >= 4) return (double)row[at];
    double angle = (double)t * pow(50, -(double)pair / 2);
    double a = (double)row[pair], b = (double)row[pair + 2];
    return at < 2 ? a * cos(angle) - b * sin(angle) : b * cos(angle) + a * sin(angle);
}

static const struct {
    const char *name;
    int (*build)(graph *g, int x);
    double (*definition)(const real *x, size_t t, size_t i);
} ops[] = {
    {"row_scale", row_scale, by_row_scale},
    {"token_mean, causal", mean_so_far, by_mean_so_far},
    {"token_mean", mean_of_all, by_mean_of_all},
    {"softcap", softcap, by_softcap},
    {"rope", rope, by_rope},
};
enum { OPS = sizeof ops / sizeof *ops };

static void start(rig *r, int (*build)(graph *g, int x))
{
    rig_shape shape = {
        .length = LENGTH, .width = WIDTH, .threads = 1, .memory = MEMORY, .keep_all = true};
    rig_start_as(r, &shape, NULL, build);
}

static const real *output(rig *r, int b)
{
    r->x.side = 0;
    return exec_value(&r->x, r->g.nodes[1].outputs[0], b);
}

START_TEST(test_ops_are_their_formulas)
{
    rig r;
    start(&r, ops[_i].build);
    (void)rig_loss(&r);
    for (int b = 0; b < B; b++)
        for (size_t t = 0; t < LENGTH; t++)
            for (size_t i = 0; i < WIDTH; i++) {
                double got = (double)output(&r, b)[t * WIDTH + i],
                       want = ops[_i].definition(r.inputs + (size_t)b * LENGTH * WIDTH, t, i);
                ck_assert_msg(fabs(got - want) <= tolerance * (1 + fabs(want)),
                              "%s: sequence %d token %zu feature %zu: %.17g, wanted %.17g",
                              ops[_i].name, b, t, i, got, want);
            }
    rig_stop(&r);
}
END_TEST

START_TEST(test_what_is_infinite_is_capped)
{
    rig r;
    start(&r, softcap);
    r.inputs[0] = (real)INFINITY, r.inputs[1] = -(real)INFINITY, r.inputs[2] = (real)NAN;
    (void)rig_loss(&r);
    ck_assert_double_eq((double)output(&r, 0)[0], 0.75);
    ck_assert_double_eq((double)output(&r, 0)[1], -0.75);
    ck_assert(isnan(output(&r, 0)[2]));
    rig_stop(&r);
}
END_TEST

/* Products of turned queries and keys depend on how far apart they are, not on where. */
START_TEST(test_turned_products_see_distances_only)
{
    rig r;
    start(&r, rope);
    for (size_t t = 0; t < LENGTH; t++)
        for (size_t i = 0; i < WIDTH; i++) r.inputs[t * WIDTH + i] = (real)(0.3 + 0.1 * (double)i);
    (void)rig_loss(&r);
    const real *y = output(&r, 0);
    for (size_t apart = 0; apart < 5; apart++) {
        double first = 0;
        for (size_t t = 0; t + apart < LENGTH; t++) {
            double sum = 0;
            for (size_t i = 0; i < WIDTH; i++)
                sum += (double)y[t * WIDTH + i] * (double)y[(t + apart) * WIDTH + i];
            if (t == 0) first = sum;
            ck_assert_double_eq_tol(sum, first, 100 * tolerance);
        }
    }
    rig_stop(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token ops");
    TCase *t = tcase_create("formulas");
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, test_ops_are_their_formulas, 0, OPS);
    tcase_add_test(t, test_what_is_infinite_is_capped);
    tcase_add_test(t, test_turned_products_see_distances_only);
    suite_add_tcase(s, t);
    return suite_run(s);
}
