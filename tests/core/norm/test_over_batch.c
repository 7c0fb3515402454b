/* Norms with batch statistics, the frozen ones and admin: what their definitions say beside the
 * derivatives (test_ops) and the goldens (test_golden). Batches of a few tokens, one after another,
 * with the state committed as training does it.
 */
#include "core/norm/norm.h"
#include "core/norm/over_batch.h"
#include "tests/core/rig.h"
#include "tests/suite.h"

#include <stdio.h>

#if REAL_BITS == 64
static const double exact = 1e-12;
#else
static const double exact = 2e-5;
#endif

enum { TOKENS = B * T };

/* --- the network: one norm of the input --- */

/* What build makes; set by each test before rig_start. */
static const norm *kind;
static double eps;
static bool affine;

static int parameter(graph *g, const char *name, size_t n)
{
    return graph_vector(g, PARAM_LEARNED, name, n, 1);
}

static int one_norm(graph *g, int x)
{
    batch_norm_args how = {
        .norm = {.norm = kind, .groups = 1, .eps = eps}, .eta = NONE, .layer = {NONE, NONE}};
    for (int i = 0; i < NORM_PARAMS; i++)
        how.norm.params[i] = affine && kind->has & 1u << i ? parameter(g, "affine", D) : NONE;
    if (!kind->batch) return op_norm_build(g, x, &how.norm);
    if (kind->batch->has_eta) how.eta = parameter(g, "eta", 1);
    for (int i = 0; i < 2 && kind->batch->lambda && affine; i++)
        how.layer[i] = parameter(g, "layer", D);
    return op_batch_norm_build(g, x, &how);
}

static const spec_strategy usual = {
    .stat_keep = 0.9, .stat_window = 4, .stat_compat = true, .progress_steps = 4};

static void
start(rig *r, const norm *which, const spec_strategy *s, bool with_affine, double with_eps)
{
    kind = which, affine = with_affine, eps = with_eps;
    rig_start(r, s, one_norm);
}

static int head_of(const rig *r)
{
    for (int i = 0; i < r->g.n_nodes; i++)
        if (r->g.nodes[i].op->prepare) return i;
    ck_abort_msg("no norm with batch statistics");
}

/* The part of the state with this name: what the next pass reads. */
static double *state_of(rig *r, const char *name)
{
    const node *n = &r->g.nodes[head_of(r)];
    double *at = exec_state_start(&r->x, n);
    state_row row;
    for (int i = 0; n->op->state_row(&r->g, n, i, &row); i++) {
        if (strcmp(row.name, name) == 0) return at;
        at += row.dims[0] * (row.rank == 2 ? row.dims[1] : 1);
    }
    ck_abort_msg("no state %s", name);
}

/* Output of the norm (blend for prepbn): what op project reads. */
static const real *output(const rig *r)
{
    const node *last = &r->g.nodes[r->g.n_nodes - 1];
    return exec_value(&r->x, last->inputs[0], 0);
}

static void forward(rig *r)
{
    (void)rig_loss(r);
}

static void backward(rig *r)
{
    ck_assert_int_eq(exec_backward(&r->x, NULL, NULL), ERR_OK);
}

static void keep_output(const rig *r, real *y)
{
    memcpy(y, output(r), TOKENS * D * sizeof *y);
}

static void step(rig *r)
{
    forward(r);
    backward(r);
    exec_commit(&r->x);
}

static void scale_inputs(rig *r, double by)
{
    for (size_t i = 0; i < TOKENS * D; i++) r->inputs[i] *= (real)by;
}

static double rms(const real *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)v[i] * (double)v[i];
    return sqrt(sum / (double)n);
}

static double furthest(const real *a, const real *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

#define ASSERT_NEAR(a, b, tolerance)                                                               \
    do {                                                                                           \
        double left = (a), right = (b);                                                            \
        ck_assert_msg(fabs(left - right) <= (tolerance), "%s = %.17g, %s = %.17g", #a, left, #b,   \
                      right);                                                                      \
    } while (0)

/* --- batchnorm --- */

START_TEST(test_batchnorm_centres_and_scales_each_channel_over_all_tokens)
{
    rig r;
    start(&r, &norm_batchnorm, &usual, false, 0);
    forward(&r);
    for (size_t c = 0; c < D; c++) {
        double sum = 0, square = 0;
        for (size_t t = 0; t < TOKENS; t++) {
            double y = (double)output(&r)[t * D + c];
            sum += y, square += y * y;
        }
        ASSERT_NEAR(sum / TOKENS, 0, exact);
        ASSERT_NEAR(square / TOKENS, 1, exact);
    }
    rig_stop(&r);
}
END_TEST

/* A channel whose mean is large beside its spread: a sum of squares would lose it. */
START_TEST(test_a_large_mean_costs_no_digits)
{
    rig r;
    real first[TOKENS * D];
    start(&r, &norm_batchnorm, &usual, false, 0);
    for (size_t i = 0; i < TOKENS * D; i++) r.inputs[i] = (real)round(64 * (double)r.inputs[i]);
    forward(&r);
    keep_output(&r, first);
    for (size_t i = 0; i < TOKENS * D; i++) r.inputs[i] += (real)0x1p17;
    forward(&r);
    ASSERT_NEAR(furthest(first, output(&r), TOKENS * D), 0, REAL_BITS == 64 ? 1e-9 : 0.02);
    rig_stop(&r);
}
END_TEST

/* N0, row BatchNorm: scale and shift of the data do not matter, scale of one token does. */
START_TEST(test_batchnorm_ignores_scale_and_shift_of_the_data_but_not_of_a_token)
{
    rig r;
    real first[TOKENS * D];
    start(&r, &norm_batchnorm, &usual, true, 0);
    forward(&r);
    keep_output(&r, first);
    scale_inputs(&r, 3);
    for (size_t i = 0; i < TOKENS * D; i++) r.inputs[i] += (real)(0.1 * (double)(i % D));
    forward(&r);
    ASSERT_NEAR(furthest(first, output(&r), TOKENS * D), 0, 10 * exact);
    for (size_t c = 0; c < D; c++) r.inputs[c] *= 2;
    forward(&r);
    ck_assert_double_gt(furthest(first, output(&r), TOKENS * D), 0.1);
    rig_stop(&r);
}
END_TEST

/* G5: no gradient along a common shift, nor along a common scale. */
START_TEST(test_gradient_of_batchnorm_has_no_mean_and_no_share_along_x)
{
    rig r;
    start(&r, &norm_batchnorm, &usual, true, 0);
    forward(&r);
    backward(&r);
    const real *dx = exec_grad(&r.x, r.input, 0);
    for (size_t c = 0; c < D; c++) {
        double sum = 0, along = 0;
        for (size_t t = 0; t < TOKENS; t++) {
            sum += (double)dx[t * D + c];
            along += (double)dx[t * D + c] * (double)r.inputs[t * D + c];
        }
        ASSERT_NEAR(sum, 0, 100 * exact);
        ASSERT_NEAR(along, 0, 100 * exact);
    }
    rig_stop(&r);
}
END_TEST

START_TEST(test_running_statistics_keep_their_share_and_count_the_variance_unbiased)
{
    rig r;
    start(&r, &norm_batchnorm, &usual, false, 0);
    double mean = 0, square = 0;
    for (size_t t = 0; t < TOKENS; t++) mean += (double)r.inputs[t * D + 3] / TOKENS;
    for (size_t t = 0; t < TOKENS; t++)
        square += pow((double)r.inputs[t * D + 3] - mean, 2) / (TOKENS - 1);
    step(&r);
    ASSERT_NEAR(state_of(&r, "running_mean")[3], 0.1 * mean, exact);
    ASSERT_NEAR(state_of(&r, "running_var")[3], 0.9 + 0.1 * square, exact);
    ck_assert_double_eq(*state_of(&r, "steps"), 1);
    rig_stop(&r);
}
END_TEST

/* --- state, for all --- */

static const norm *const all[] = {&norm_batchnorm,   &norm_powernorm_v, &norm_powernorm,
                                  &norm_unifiednorm, &norm_repbn,       &norm_prepbn};
enum { ALL = sizeof all / sizeof *all };

START_TEST(test_a_pass_changes_no_state_until_it_is_committed)
{
    rig r;
    real first[TOKENS * D], second[TOKENS * D], dx[TOKENS * D];
    start(&r, all[_i], &usual, true, 1e-3);
    step(&r);
    step(&r);
    size_t bytes = r.p.state_count * sizeof(double);
    double *before = malloc(bytes);
    ck_assert_ptr_nonnull(before);
    memcpy(before, r.x.state[0], bytes);
    scale_inputs(&r, 1.5);
    forward(&r);
    backward(&r);
    keep_output(&r, first);
    memcpy(dx, exec_grad(&r.x, r.input, 0), sizeof dx);
    forward(&r);
    backward(&r);
    keep_output(&r, second);
    ck_assert_mem_eq(first, second, sizeof first);
    ck_assert_mem_eq(dx, exec_grad(&r.x, r.input, 0), sizeof dx);
    r.x.eval = true;
    forward(&r);
    backward(&r);
    r.x.eval = false;
    ck_assert_mem_eq(before, r.x.state[0], bytes);
    exec_commit(&r.x);
    ck_assert_mem_ne(before, r.x.state[0], bytes);
    ck_assert_double_eq(*state_of(&r, "steps"), 3);
    free(before);
    rig_stop(&r);
}
END_TEST

/* Eval is one affine map per channel: two tokens fix it, the others lie on it. */
START_TEST(test_eval_is_an_affine_map_of_each_channel)
{
    rig r;
    start(&r, all[_i], &usual, true, 1e-3);
    for (int i = 0; i < 3; i++) step(&r);
    r.x.eval = true;
    forward(&r);
    const real *x = r.inputs, *y = output(&r);
    for (size_t c = 0; c < D; c++) {
        double slope = ((double)y[D + c] - (double)y[c]) / ((double)x[D + c] - (double)x[c]);
        double reach = fabs(slope) + 1;
        for (size_t t = 2; t < TOKENS; t++) {
            double line = (double)y[c] + slope * ((double)x[t * D + c] - (double)x[c]);
            double off =
                fabs((double)x[t * D + c] - (double)x[c]) / fabs((double)x[D + c] - (double)x[c]);
            ASSERT_NEAR((double)y[t * D + c], line, exact * reach * (1 + off) * 10);
        }
    }
    rig_stop(&r);
}
END_TEST

/* Independent batches of one distribution: the running statistic finds its second moment. */
START_TEST(test_running_phi_finds_the_second_moment)
{
    rig r;
    spec_strategy s = usual;
    s.stat_warmup = 150, s.stat_compat = _i == 1;
    start(&r, _i == 2 ? &norm_powernorm_v : &norm_powernorm, &s, false, 1e-5);
    double mean = 0;
    for (int k = 0; k < 200; k++) {
        char name[16];
        snprintf(name, sizeof name, "batch %d", k);
        rig_fill(r.inputs, TOKENS * D, name, 3);
        step(&r);
        if (k < 150) continue;
        for (size_t c = 0; c < D; c++) mean += state_of(&r, "running_phi")[c] / (50 * D);
    }
    ASSERT_NEAR(mean, 9, 0.7);
    rig_stop(&r);
}
END_TEST

/* --- powernorm --- */

START_TEST(test_powernorm_with_nu_at_the_mean_of_gz_is_exact)
{
    rig v, p;
    spec_strategy s = usual;
    s.stat_warmup = 5;
    start(&v, &norm_powernorm_v, &s, true, 1e-3);
    forward(&v);
    backward(&v);
    start(&p, &norm_powernorm, &s, true, 1e-3);
    memcpy(p.x.params, v.x.params, v.p.param_count * sizeof(real));
    const real *gain = p.x.params, *seed = p.x.grad_seed;
    forward(&p);
    for (size_t c = 0; c < D; c++) {
        double square = 0, gz = 0;
        for (size_t t = 0; t < TOKENS; t++) square += pow((double)p.inputs[t * D + c], 2) / TOKENS;
        for (size_t t = 0; t < TOKENS; t++)
            gz += (double)gain[c] * (double)seed[t * D + c] * (double)p.inputs[t * D + c] /
                  sqrt(square + 1e-3) / TOKENS;
        state_of(&p, "ema_gz")[c] = gz / (1 - 0.9);
    }
    forward(&p);
    backward(&p);
    const real *a = exec_grad(&v.x, v.input, 0), *b = exec_grad(&p.x, p.input, 0);
    ASSERT_NEAR(furthest(a, b, TOKENS * D), 0, 10 * exact);
    rig_stop(&p);
    rig_stop(&v);
}
END_TEST

/* Warm, it divides by what was: the scale of x stays in y. */
START_TEST(test_powernorm_is_not_scale_invariant_once_it_is_warm)
{
    rig r;
    real first[TOKENS * D];
    spec_strategy s = usual;
    s.stat_warmup = 2;
    start(&r, &norm_powernorm, &s, false, 0);
    forward(&r);
    keep_output(&r, first);
    scale_inputs(&r, 4);
    forward(&r);
    ASSERT_NEAR(furthest(first, output(&r), TOKENS * D), 0, exact * 10);
    for (int i = 0; i < 2; i++) step(&r);
    forward(&r);
    keep_output(&r, first);
    scale_inputs(&r, 4);
    for (size_t i = 0; i < TOKENS * D; i++) first[i] *= 4;
    forward(&r);
    ASSERT_NEAR(furthest(first, output(&r), TOKENS * D), 0, exact * 100);
    rig_stop(&r);
}
END_TEST

/* The integrator of the released code is the paper's nu (1 - (1 - a) Gamma) + (1 - a) Lambda. */
START_TEST(test_nu_of_powernorm_follows_the_recursion_of_the_paper)
{
    rig r;
    spec_strategy s = usual;
    s.stat_warmup = 1;
    start(&r, &norm_powernorm, &s, false, 1e-3);
    for (int i = 0; i < 3; i++) step(&r);
    double nu = 0.1 * state_of(&r, "ema_gz")[2], gamma = 0, lambda = 0;
    forward(&r);
    for (size_t t = 0; t < TOKENS; t++) {
        double z = (double)output(&r)[t * D + 2];
        gamma += z * z / TOKENS;
        lambda += (double)r.x.grad_seed[t * D + 2] * z / TOKENS;
    }
    backward(&r);
    exec_commit(&r.x);
    ASSERT_NEAR(0.1 * state_of(&r, "ema_gz")[2], nu * (1 - 0.1 * gamma) + 0.1 * lambda, exact);
    rig_stop(&r);
}
END_TEST

/* --- unifiednorm --- */

/* Inputs of rms near 1 in every channel: a ripple of 1 %, or what factor says. */
static void ripple(rig *r, int k, double factor)
{
    double level = factor * (1 + 0.01 * sin(7.0 * k));
    for (size_t i = 0; i < TOKENS * D; i++) r->inputs[i] = (real)(i / D % 2 ? level : -level);
}

static double ripple_step(rig *r, int k, double factor)
{
    ripple(r, k, factor);
    forward(r);
    double y = rms(output(r), TOKENS * D);
    backward(r);
    exec_commit(&r->x);
    return y;
}

enum { OUTLIER = 30 };

static void until_outlier(rig *r, const spec_strategy *s)
{
    start(r, &norm_unifiednorm, s, false, 1e-5);
    for (int k = 0; k < OUTLIER; k++) ASSERT_NEAR(ripple_step(r, k, 1), 1, 0.05);
}

START_TEST(test_unifiednorm_without_filter_spreads_an_outlier_over_its_window)
{
    rig r;
    until_outlier(&r, &usual);
    ASSERT_NEAR(ripple_step(&r, OUTLIER, 100), 31.8, 0.8);
    ASSERT_NEAR(ripple_step(&r, OUTLIER + 1, 1), 0.317, 0.01);
    ASSERT_NEAR(ripple_step(&r, OUTLIER + 2, 1), 0.315, 0.01);
    ASSERT_NEAR(ripple_step(&r, OUTLIER + 3, 1), 0.315, 0.01);
    ASSERT_NEAR(state_of(&r, "running_var")[0], 4.1, 0.1);
    ASSERT_NEAR(ripple_step(&r, OUTLIER + 4, 1), 1, 0.05);
    ck_assert_double_eq(*state_of(&r, "skip_counter"), 0);
    rig_stop(&r);
}
END_TEST

/* As released, the batch that is skipped still enters V, and the next one that is skipped, however
 * harmless, puts that into the window. */
START_TEST(test_unifiednorm_with_filter_as_released_lets_an_outlier_into_its_running_variance)
{
    rig r;
    spec_strategy s = usual;
    s.stat_filter = true;
    until_outlier(&r, &s);
    double skips = *state_of(&r, "skip_counter");
    ASSERT_NEAR(ripple_step(&r, OUTLIER, 100), 1, 1e-3);
    ck_assert_double_eq(*state_of(&r, "skip_counter"), skips + 1);
    ASSERT_NEAR(state_of(&r, "running_var")[0], 1010, 25);
    r.x.eval = true;
    forward(&r);
    r.x.eval = false;
    ASSERT_NEAR(rms(output(&r), TOKENS * D), 100 / 31.8, 0.05);
    ASSERT_NEAR(ripple_step(&r, OUTLIER + 1, 1.1), 1, 1e-3); /* harmless, but skipped */
    ck_assert_double_eq(*state_of(&r, "skip_counter"), skips + 2);
    for (int k = 2; k < 5; k++) ASSERT_NEAR(ripple_step(&r, OUTLIER + k, 1), 0.43, 0.015);
    ASSERT_NEAR(ripple_step(&r, OUTLIER + 5, 1), 1, 0.05);
    rig_stop(&r);
}
END_TEST

START_TEST(test_unifiednorm_repaired_keeps_an_outlier_out)
{
    rig r;
    spec_strategy s = usual;
    s.stat_filter = true, s.stat_compat = false;
    until_outlier(&r, &s);
    double skips = *state_of(&r, "skip_counter");
    ASSERT_NEAR(ripple_step(&r, OUTLIER, 100), 1, 1e-3);
    ck_assert_double_eq(*state_of(&r, "skip_counter"), skips + 1);
    ASSERT_NEAR(state_of(&r, "running_var")[0], 1, 0.05);
    for (int k = 1; k < 6; k++)
        ASSERT_NEAR(ripple_step(&r, OUTLIER + k, k == 1 ? 1.1 : 1), 1, 0.05);
    rig_stop(&r);
}
END_TEST

/* dgain = sum of dy r z: r = sqrt(var / V), kept within a factor of 5, and 1 in the first 1000
 * steps. */
static double compensation(rig *r, int k, double factor)
{
    double plain = 0;
    ripple(r, k, factor);
    forward(r);
    for (size_t t = 0; t < TOKENS; t++)
        plain += (double)r->x.grad_seed[t * D] * (double)output(r)[t * D];
    backward(r);
    return (double)exec_param_grad(&r->x, 0)[0] / plain;
}

START_TEST(test_unifiednorm_compensates_gradients_within_a_factor_of_five)
{
    rig r;
    start(&r, &norm_unifiednorm, &usual, true, 1e-5);
    for (size_t c = 0; c < D; c++) r.x.params[c] = 1, r.x.params[D + c] = 0;
    for (int k = 0; k < 999; k++) step(&r), ripple(&r, k, 1);
    ASSERT_NEAR(compensation(&r, 1, 100), 1, 1e-4);
    exec_commit(&r.x);
    for (int k = 0; k < 100; k++) ripple_step(&r, k, 1);
    ASSERT_NEAR(compensation(&r, 1, 100), sqrt(10), 0.05);
    ASSERT_NEAR(compensation(&r, 1, 1e4), 5, 1e-4);
    ASSERT_NEAR(compensation(&r, 1, 1e-4), 0.2, 1e-4);
    rig_stop(&r);
}
END_TEST

/* The skipped batch has the exact gradient; a window of one step skips always. */
START_TEST(test_unifiednorm_with_a_window_of_one_is_powernorm_v)
{
    rig u, v;
    spec_strategy s = usual;
    s.stat_window = 1;
    start(&u, &norm_unifiednorm, &s, true, 1e-3);
    start(&v, &norm_powernorm_v, &s, true, 1e-3);
    for (int i = 0; i < 4; i++) {
        step(&u);
        step(&v);
        ASSERT_NEAR(furthest(output(&u), output(&v), TOKENS * D), 0, exact);
        const real *a = exec_grad(&u.x, u.input, 0), *b = exec_grad(&v.x, v.input, 0);
        ASSERT_NEAR(furthest(a, b, TOKENS * D), 0, 10 * exact);
    }
    rig_stop(&v);
    rig_stop(&u);
}
END_TEST

/* --- repbn, prepbn --- */

/* gain' = gain + eta sqrt(var + eps), bias' = bias + eta mean, in place of both terms. */
START_TEST(test_repbn_in_eval_folds_into_one_affine_map)
{
    rig r;
    start(&r, &norm_repbn, &usual, true, 1e-3);
    for (int i = 0; i < 3; i++) step(&r);
    r.x.eval = true;
    forward(&r);
    const double *mean = state_of(&r, "running_mean"), *var = state_of(&r, "running_var");
    double eta = (double)r.x.params[r.g.params[0].count == 1 ? 0 : 2 * D];
    const real *gain = r.x.params + (r.g.params[0].count == 1 ? 1 : 0), *bias = gain + D;
    for (size_t i = 0; i < TOKENS * D; i++) {
        size_t c = i % D;
        double root = sqrt(var[c] + 1e-3), z = ((double)r.inputs[i] - mean[c]) / root;
        double folded = ((double)gain[c] + eta * root) * z + ((double)bias[c] + eta * mean[c]);
        double two = (double)gain[c] * z + (double)bias[c] + eta * (double)r.inputs[i];
        ASSERT_NEAR(folded, two, 1e-14 * (1 + fabs(two)));
        ASSERT_NEAR((double)output(&r)[i], folded, exact * 10);
    }
    rig_stop(&r);
}
END_TEST

static void lone(rig *r, const norm *which, const rig *like, size_t first)
{
    start(r, which, &like->spec.strategy, true, 1e-3);
    memcpy(r->x.params, like->x.params + first, r->p.param_count * sizeof(real));
}

/* Where the parameters of prepbn's LayerNorm begin: after gain, bias and eta. */
enum { LAYER_PARAMS = 2 * D + 1 };

START_TEST(test_prepbn_begins_as_layernorm_and_ends_as_repbn_bit_for_bit)
{
    rig p, layer, rep;
    spec_strategy s = usual;
    s.stat_warmup = 2, s.progress_steps = 2;
    start(&p, &norm_prepbn, &s, true, 1e-3);
    lone(&layer, &norm_layernorm, &p, LAYER_PARAMS);
    lone(&rep, &norm_repbn, &p, 0);
    forward(&layer);
    forward(&rep);
    size_t bytes = TOKENS * D * sizeof(real);
    for (int k = 0; k < 6; k++) {
        forward(&p);
        backward(&p);
        double lambda = op_batch_norm_lambda(&p.x, &p.g.nodes[head_of(&p)]);
        ck_assert_double_eq(lambda, k < 3 ? 1 : k == 3 ? 0.5 : 0);
        if (k < 3) ck_assert_mem_eq(output(&p), output(&layer), bytes);
        if (k > 3) ck_assert_mem_eq(output(&p), output(&rep), bytes);
        if (k == 3) ck_assert_double_gt(furthest(output(&p), output(&rep), TOKENS * D), 1e-3);
        exec_commit(&p.x);
        bool moved = state_of(&p, "running_var")[0] != 1;
        ck_assert_int_eq(moved, k >= 2); /* not while it is warming up */
    }
    rig_stop(&rep);
    rig_stop(&layer);
    rig_stop(&p);
}
END_TEST

/* Of the two sides only one gets a gradient at the ends. */
START_TEST(test_prepbn_gives_each_side_its_share_of_the_gradient)
{
    rig p;
    spec_strategy s = usual;
    s.progress_steps = 2;
    start(&p, &norm_prepbn, &s, true, 1e-3);
    for (int k = 0; k < 3; k++) {
        step(&p);
        double sides[2] = {0};
        for (int i = 0; i < p.g.n_params; i++) {
            const param *w = &p.g.params[i];
            sides[strcmp(w->role, "layer") != 0] += rms(exec_param_grad(&p.x, i), w->count);
        }
        ck_assert_int_eq(sides[0] > 0, k < 2);
        ck_assert_int_eq(sides[1] > 0, k > 0);
    }
    rig_stop(&p);
}
END_TEST

/* Evaluated, prepbn is RepBN alone, whatever lambda is. */
START_TEST(test_prepbn_in_eval_is_repbn)
{
    rig p, rep;
    spec_strategy s = usual;
    s.progress_steps = 100;
    start(&p, &norm_prepbn, &s, true, 1e-3);
    lone(&rep, &norm_repbn, &p, 0);
    for (int k = 0; k < 3; k++) step(&p), step(&rep);
    p.x.eval = rep.x.eval = true;
    forward(&p);
    forward(&rep);
    ck_assert_mem_eq(output(&p), output(&rep), TOKENS * D * sizeof(real));
    rig_stop(&rep);
    rig_stop(&p);
}
END_TEST

/* --- frozen norms --- */

static int frozen_norm(graph *g, int x)
{
    norm_args how = {.norm = kind, .groups = 1, .eps = eps, .frozen = true, .first_apart = affine};
    for (int i = 0; i < NORM_PARAMS; i++) how.params[i] = NONE;
    return op_norm_build(g, x, &how);
}

static void equal_deviation(real *row, double deviation)
{
    double mean = 0, square = 0;
    for (size_t c = 0; c < D; c++) mean += (double)row[c] / D;
    for (size_t c = 0; c < D; c++) square += pow((double)row[c] - mean, 2) / D;
    for (size_t c = 0; c < D; c++) row[c] = (real)((double)row[c] * deviation / sqrt(square));
}

/* Where all tokens have one deviation, and the first of each sequence another, the constants are
 * these, and the norm is the live one. */
START_TEST(test_frozen_norm_of_equal_tokens_is_the_live_norm)
{
    rig live, cold;
    start(&live, &norm_layernorm, &usual, false, 1e-3);
    kind = &norm_layernorm, eps = 1e-3, affine = true; /* first_apart */
    rig_start(&cold, &usual, frozen_norm);
    for (size_t t = 0; t < TOKENS; t++) {
        equal_deviation(live.inputs + t * D, t % T == 0 ? 50 : 2);
        memcpy(cold.inputs + t * D, live.inputs + t * D, D * sizeof(real));
    }
    ck_assert_int_eq(exec_profile(&cold.x, NULL, NULL), ERR_OK);
    const double *sigma = cold.x.state[0];
    ASSERT_NEAR(sigma[0], sqrt(4 + 1e-3), exact * 10);
    ASSERT_NEAR(sigma[1], sqrt(2500 + 1e-3), exact * 500);
    forward(&live);
    forward(&cold);
    ASSERT_NEAR(furthest(output(&live), output(&cold), TOKENS * D), 0, exact * 10);
    scale_inputs(&cold, 3);
    real first[TOKENS * D];
    keep_output(&cold, first);
    forward(&cold);
    for (size_t i = 0; i < TOKENS * D; i++) first[i] *= 3;
    ASSERT_NEAR(furthest(first, output(&cold), TOKENS * D), 0, exact * 100);
    rig_stop(&cold);
    rig_stop(&live);
}
END_TEST

START_TEST(test_profile_is_repeatable_and_is_not_moved_by_training)
{
    rig r;
    kind = &norm_rmsnorm, eps = 0, affine = true;
    rig_start(&r, &usual, frozen_norm);
    double first[2];
    memcpy(first, r.x.state[0], sizeof first);
    ck_assert_int_eq(exec_profile(&r.x, NULL, NULL), ERR_OK);
    ck_assert_mem_eq(first, r.x.state[0], sizeof first);
    for (int i = 0; i < 3; i++) step(&r);
    ck_assert_mem_eq(first, r.x.state[0], sizeof first);
    rig_stop(&r);
}
END_TEST

/* --- admin --- */

static int two_sublayers(graph *g, int x)
{
    int w = graph_param(g, PARAM_INNER, "w", D, D);
    int y = op_admin_build(g, x, op_linear_build(g, x, &w, NULL, 1), parameter(g, "omega0", D));
    y = one_norm(g, y);
    int v = graph_param(g, PARAM_INNER, "v", D, D);
    return op_admin_build(g, y, op_linear_build(g, y, &v, NULL, 1), parameter(g, "omega1", D));
}

static double variance(const real *v, double factor)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < TOKENS * D; i++) mean += factor * (double)v[i] / (TOKENS * D);
    for (size_t i = 0; i < TOKENS * D; i++)
        square += pow(factor * (double)v[i] - mean, 2) / (TOKENS * D);
    return square;
}

START_TEST(test_admin_profile_carries_the_ratio_from_sublayer_to_sublayer)
{
    rig r;
    kind = _i ? &norm_batchnorm : &norm_layernorm, eps = 1e-5, affine = false;
    rig_start(&r, &usual, two_sublayers);
    const real *omega[2];
    const node *nodes[2];
    int n = 0;
    for (int i = 0; i < r.g.n_nodes; i++)
        if (r.g.nodes[i].op == &op_admin) {
            omega[n] = exec_param(&r.x, r.g.nodes[i].params[0]);
            nodes[n++] = &r.g.nodes[i];
        }
    ck_assert_int_eq(n, 2);
    for (size_t c = 0; c < D; c++) {
        ck_assert(omega[0][c] == 1);
        ck_assert(omega[1][c] == omega[1][0]);
    }
    forward(&r); /* with the omegas as they are now: the pass that was profiled */
    double ratio = sqrt(variance(exec_value(&r.x, nodes[0]->inputs[0], 0), 1) +
                        variance(exec_value(&r.x, nodes[0]->inputs[1], 0), 1));
    ck_assert_double_gt(ratio, 1.1);
    ASSERT_NEAR((double)omega[1][0], ratio, exact * 10);
    ASSERT_NEAR(*exec_stats(&r.x, nodes[1]),
                sqrt(variance(exec_value(&r.x, nodes[1]->inputs[0], 0), (double)omega[1][0]) +
                     variance(exec_value(&r.x, nodes[1]->inputs[1], 0), 1)),
                exact * 10);
    rig_stop(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("batch_norm");
    TCase *t = tcase_create("batch norms");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_batchnorm_centres_and_scales_each_channel_over_all_tokens);
    tcase_add_test(t, test_a_large_mean_costs_no_digits);
    tcase_add_test(t, test_batchnorm_ignores_scale_and_shift_of_the_data_but_not_of_a_token);
    tcase_add_test(t, test_gradient_of_batchnorm_has_no_mean_and_no_share_along_x);
    tcase_add_test(t, test_running_statistics_keep_their_share_and_count_the_variance_unbiased);
    tcase_add_loop_test(t, test_a_pass_changes_no_state_until_it_is_committed, 0, ALL);
    tcase_add_loop_test(t, test_eval_is_an_affine_map_of_each_channel, 0, ALL);
    tcase_add_loop_test(t, test_running_phi_finds_the_second_moment, 0, 3);
    tcase_add_test(t, test_powernorm_with_nu_at_the_mean_of_gz_is_exact);
    tcase_add_test(t, test_powernorm_is_not_scale_invariant_once_it_is_warm);
    tcase_add_test(t, test_nu_of_powernorm_follows_the_recursion_of_the_paper);
    tcase_add_test(t, test_unifiednorm_without_filter_spreads_an_outlier_over_its_window);
    tcase_add_test(
        t, test_unifiednorm_with_filter_as_released_lets_an_outlier_into_its_running_variance);
    tcase_add_test(t, test_unifiednorm_repaired_keeps_an_outlier_out);
    tcase_add_test(t, test_unifiednorm_compensates_gradients_within_a_factor_of_five);
    tcase_add_test(t, test_unifiednorm_with_a_window_of_one_is_powernorm_v);
    tcase_add_test(t, test_repbn_in_eval_folds_into_one_affine_map);
    tcase_add_test(t, test_prepbn_begins_as_layernorm_and_ends_as_repbn_bit_for_bit);
    tcase_add_test(t, test_prepbn_gives_each_side_its_share_of_the_gradient);
    tcase_add_test(t, test_prepbn_in_eval_is_repbn);
    tcase_add_test(t, test_frozen_norm_of_equal_tokens_is_the_live_norm);
    tcase_add_test(t, test_profile_is_repeatable_and_is_not_moved_by_training);
    tcase_add_loop_test(t, test_admin_profile_carries_the_ratio_from_sublayer_to_sublayer, 0, 2);
    suite_add_tcase(s, t);
    return suite_run(s);
}
