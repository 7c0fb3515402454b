/* Every op alone, and the ways in which gradients meet: backward against central differences of a
 * synthetic loss sum g.y. The tolerance is relative to the largest entry of the gradient; in
 * float64 the step 1e-5 leaves an error near 1e-10, ReLU included because no entry is within it of
 * 0. */
#include "core/activation/activation.h"
#include "core/norm/norm.h"
#include "core/norm/over_batch.h"
#include "core/op/gain_map.h"
#include "core/position/position.h"
#include "tests/core/rig.h"
#include "tests/suite.h"

#include <stdio.h>

#if REAL_BITS == 64
static const double step = 1e-5, tolerance = 1e-8;
#else
static const double step = 1e-2, tolerance = 2e-2;
#endif

static int weight(graph *g, const char *name, size_t rows, size_t cols)
{
    return graph_param(g, cols ? PARAM_INNER : PARAM_GAIN, name, rows, cols);
}

static int alpha_dropout(graph *g, int x)
{
    return op_alpha_dropout_build(g, x, 0.3);
}

static int linear(graph *g, int x)
{
    return op_linear_build(g, x, (int[]){weight(g, "w", 9, D)}, NULL, 1);
}

static int linear_fused_with_bias(graph *g, int x)
{
    int w[] = {weight(g, "w1", 4, D), weight(g, "w2", 5, D)},
        b[] = {weight(g, "b1", 4, 0), weight(g, "b2", 5, 0)};
    return op_linear_build(g, x, w, b, 2);
}

static int linear_square(graph *g, int x)
{
    return op_linear_build(g, x, (int[]){weight(g, "ws", D, D)}, NULL, 1);
}

static int norm_of(graph *g, int x, const norm *kind, int groups, double eps)
{
    static const char *const names[NORM_PARAMS] = {"gain", "bias", "alpha", "shift"};
    norm_args how = {.norm = kind, .groups = groups, .eps = eps};
    for (int i = 0; i < NORM_PARAMS; i++) {
        size_t width = i == NORM_BIAS || (i == NORM_GAIN && !kind->scalar_gain) ? D / groups : 1;
        how.params[i] = kind->has & 1u << i ? weight(g, names[i], width, 0) : NONE;
    }
    return op_norm_build(g, x, &how);
}

/* The stored gain is w, the used one 1 + w; each group of features has its own. */
static int layernorm_offset_groups(graph *g, int x)
{
    norm_args how = {.norm = &norm_layernorm,
                     .params = {weight(g, "gain", D, 0), weight(g, "bias", D, 0), NONE, NONE},
                     .groups = 3,
                     .own_gains = true,
                     .unit_offset = true,
                     .eps = 1e-5};
    return op_norm_build(g, x, &how);
}

static int layernorm(graph *g, int x)
{
    return norm_of(g, x, &norm_layernorm, 1, 1e-5);
}

static int layernorm_per_head(graph *g, int x)
{
    return norm_of(g, x, &norm_layernorm, 3, 0);
}

static int layernorm_plain(graph *g, int x)
{
    norm_args how = {
        .norm = &norm_layernorm, .params = {NONE, NONE, NONE, NONE}, .groups = 1, .eps = 1e-5};
    return op_norm_build(g, x, &how);
}

static int frozen(graph *g, int x, const norm *kind, bool affine, bool first_apart)
{
    norm_args how = {.norm = kind, .groups = 1, .eps = 1e-3, .frozen = true};
    how.first_apart = first_apart;
    for (int i = 0; i < NORM_PARAMS; i++)
        how.params[i] = affine && kind->has & 1u << i ? weight(g, "affine", D, 0) : NONE;
    return op_norm_build(g, x, &how);
}

static int layernorm_frozen(graph *g, int x)
{
    return frozen(g, linear_square(g, x), &norm_layernorm, true, true);
}

static int rmsnorm_frozen(graph *g, int x)
{
    return op_add_build(g, x, frozen(g, x, &norm_rmsnorm, true, false));
}

static int layernorm_frozen_plain(graph *g, int x)
{
    return frozen(g, x, &norm_layernorm, false, true);
}

static int rmsnorm(graph *g, int x)
{
    return norm_of(g, x, &norm_rmsnorm, 1, 0.5);
}

static int rmsnorm_per_head(graph *g, int x)
{
    return norm_of(g, x, &norm_rmsnorm, 2, 0);
}

#define ROW_NORM(name)                                                                             \
    static int norm_##name##_row(graph *g, int x)                                                  \
    {                                                                                              \
        return norm_of(g, x, &norm_##name, 2, 1e-3);                                               \
    }
ROW_NORM(l2norm)
ROW_NORM(scalenorm)
ROW_NORM(crmsnorm)
ROW_NORM(l1norm)
ROW_NORM(l1norm_gaussian)
ROW_NORM(dyt)
ROW_NORM(derf)
#undef ROW_NORM

static int centre(graph *g, int x)
{
    return op_add_build(g, op_centre_build(g, x), x);
}

static int place(graph *g, int x)
{
    int y = op_place_build(g, x, weight(g, "places", T, D), &position_sinusoidal);
    return op_add_build(g, layernorm(g, y), x);
}

static int gain_number(graph *g, int x)
{
    return op_gain_build(g, x, (int[]){weight(g, "p", 1, 0)}, 1, &gain_identity, 1.5);
}

static int gain_per_head(graph *g, int x)
{
    return op_gain_build(g, x, (int[]){weight(g, "p", 3, 0)}, 1, &gain_absolute, 1);
}

static int gain_per_feature(graph *g, int x)
{
    return op_gain_build(g, x, (int[]){weight(g, "p", D, 0)}, 1, &gain_absolute, -0.7);
}

/* One number for two values of a block: its gradient is the sum of both. */
static int gain_shared(graph *g, int x)
{
    int p = weight(g, "p", 1, 0);
    int y = op_add_build(g, x, op_gain_build(g, x, &p, 1, &gain_identity, 1));
    return op_add_build(g, y, op_gain_build(g, layernorm(g, y), &p, 1, &gain_identity, 1));
}

/* Two vectors one after another, as those of gate and up. */
static int gain_of_two_vectors(graph *g, int x)
{
    int p[] = {weight(g, "p1", D / 2, 0), weight(g, "p2", D / 2, 0)};
    return op_gain_build(g, x, p, 2, &gain_identity, 0.8);
}

static int shift_number(graph *g, int x)
{
    return op_shift_build(g, x, weight(g, "p", 1, 0));
}

static int shift_per_feature(graph *g, int x)
{
    return op_add_build(g, op_shift_build(g, x, weight(g, "p", D, 0)), x);
}

static int mix(graph *g, int x)
{
    return op_mix_build(g, 1.3, x, -0.6, op_scale_build(g, x, 0.4));
}

static int over_batch(graph *g, int x, const norm *kind, bool affine, double eps)
{
    const struct batch_norm *batch = kind->batch;
    batch_norm_args how = {.norm = {.norm = kind, .groups = 1, .eps = eps},
                           .eta = batch->has_eta ? weight(g, "eta", 1, 0) : NONE,
                           .layer = {NONE, NONE}};
    for (int i = 0; i < NORM_PARAMS; i++)
        how.norm.params[i] = affine && kind->has & 1u << i ? weight(g, "affine", D, 0) : NONE;
    for (int i = 0; i < 2 && batch->lambda && affine; i++) how.layer[i] = weight(g, "layer", D, 0);
    return op_batch_norm_build(g, x, &how);
}

static int batchnorm(graph *g, int x)
{
    return over_batch(g, x, &norm_batchnorm, true, 1e-3);
}

static int batchnorm_plain(graph *g, int x)
{
    return over_batch(g, x, &norm_batchnorm, false, 0);
}

static int powernorm_v(graph *g, int x)
{
    return over_batch(g, x, &norm_powernorm_v, true, 1e-3);
}

static int powernorm(graph *g, int x)
{
    return over_batch(g, x, &norm_powernorm, true, 1e-3);
}

static int unifiednorm(graph *g, int x)
{
    return over_batch(g, x, &norm_unifiednorm, true, 1e-3);
}

/* The linear map's gradient needs y, which is not kept. */
static int batchnorm_before_linear(graph *g, int x)
{
    return linear_square(g, over_batch(g, linear_square(g, x), &norm_batchnorm, true, 1e-3));
}

static int repbn(graph *g, int x)
{
    return over_batch(g, x, &norm_repbn, true, 1e-3);
}

static int repbn_plain(graph *g, int x)
{
    return over_batch(g, x, &norm_repbn, false, 1e-3);
}

static int prepbn(graph *g, int x)
{
    return over_batch(g, x, &norm_prepbn, true, 1e-3);
}

/* Batch norms in every position: one feeds another, two read one value, a stream around them. A
 * large eps keeps the loss smooth enough for the differences. */
static int batch_norms_meet(graph *g, int x)
{
    int inner = over_batch(g, linear_square(g, x), &norm_batchnorm, true, 0.3);
    int two = op_add_build(g, over_batch(g, inner, &norm_powernorm_v, true, 0.3),
                           over_batch(g, inner, &norm_repbn, true, 0.3));
    int y = op_add_build(g, x, linear_square(g, two));
    return op_add_build(g, layernorm(g, y), over_batch(g, y, &norm_batchnorm, false, 0.3));
}

static int add(graph *g, int x)
{
    return op_add_build(g, x, op_scale_build(g, x, -0.3));
}

static int add_twice(graph *g, int x)
{
    return op_add_build(g, x, op_add_build(g, x, x));
}

static int admin(graph *g, int x)
{
    return op_admin_build(g, x, linear_square(g, x), weight(g, "omega", D, 0));
}

static int scale(graph *g, int x)
{
    return op_scale_build(g, x, 1.7);
}

/* The stream feeds a norm, a linear map and the sum: three terms in one gradient. */
static int three_readers(graph *g, int x)
{
    int a = op_linear_build(g, x, (int[]){weight(g, "wa", D, D)}, NULL, 1);
    int b = op_linear_build(g, layernorm(g, x), (int[]){weight(g, "wb", D, D)}, NULL, 1);
    return op_add_build(g, op_add_build(g, x, a), b);
}

static int rope(graph *g, int x)
{
    return op_rope_build(g, x, 3, 4, 100);
}

static int rope_part(graph *g, int x)
{
    return op_rope_build(g, x, 2, 4, 100);
}

static int attention_of(graph *g, int x, const attention_args *how)
{
    int width = 2, q = how->heads * width, k = how->kv_heads * width;
    attention_args without = *how;
    without.by_distance = NONE;
    int all = op_linear_build(g, x, (int[]){weight(g, "wqkv", (size_t)(q + 2 * k), D)}, NULL, 1);
    return op_attention_build(g, graph_view(g, all, 0, q), graph_view(g, all, q, k),
                              graph_view(g, all, q + k, k), &without);
}

static int attention(graph *g, int x, int heads, int kv_heads, bool causal)
{
    attention_args how = {.heads = heads,
                          .kv_heads = kv_heads,
                          .causal = causal,
                          .scale = 0.7,
                          .tau = NONE,
                          .softcap = (double)NAN};
    return attention_of(g, x, &how);
}

static int attention_causal(graph *g, int x)
{
    return attention(g, x, 2, 2, true);
}

static int attention_full(graph *g, int x)
{
    return attention(g, x, 3, 3, false);
}

static int attention_grouped(graph *g, int x)
{
    return attention(g, x, 4, 2, true);
}

static int attention_window(graph *g, int x)
{
    attention_args how = {.heads = 4,
                          .kv_heads = 2,
                          .causal = true,
                          .window = 2,
                          .scale = 1,
                          .tau = NONE,
                          .softcap = (double)NAN};
    return attention_of(g, x, &how);
}

static int attention_window_both_ways(graph *g, int x)
{
    attention_args how = {
        .heads = 2, .kv_heads = 2, .window = 2, .scale = 1, .tau = NONE, .softcap = (double)NAN};
    return attention_of(g, x, &how);
}

static void some_bias(const graph *g, const node *n, real *out, double *work)
{
    (void)g, (void)work;
    for (size_t i = 0; i < n->constant_count; i++) out[i] = (real)(0.3 * (double)(i % 7) - 1);
}

/* Everything at once: capped, with a learned scale, a constant bias, a window, shared keys. */
static int attention_shaped(graph *g, int x)
{
    attention_args how = {.heads = 4,
                          .kv_heads = 2,
                          .causal = true,
                          .window = 3,
                          .scale = 0.8,
                          .tau = weight(g, "tau", 4, 0),
                          .softcap = 1.5,
                          .bias = some_bias};
    return attention_of(g, x, &how);
}

static int attention_learned_scale(graph *g, int x)
{
    attention_args how = {.heads = 3,
                          .kv_heads = 3,
                          .scale = 1,
                          .tau = weight(g, "tau", 3, 0),
                          .softcap = (double)NAN};
    return attention_of(g, x, &how);
}

static int row_scale(graph *g, int x)
{
    return op_add_build(g, op_row_scale_build(g, x, some_bias, 0), x);
}

static int token_mean_causal(graph *g, int x)
{
    return op_add_build(g, op_token_mean_build(g, x, true), x);
}

static int token_mean(graph *g, int x)
{
    return op_token_mean_build(g, x, false);
}

static int softcap(graph *g, int x)
{
    return op_softcap_build(g, x, 0.8);
}

static int cross_entropy(graph *g, int x)
{
    op_cross_entropy_build(g, op_linear_build(g, x, (int[]){weight(g, "head", V, D)}, NULL, 1));
    return NONE;
}

static int embed(graph *g, int x)
{
    int y = op_embed_build(g, weight(g, "table", V, D), weight(g, "places", T, D),
                           &position_sinusoidal, 1.5);
    return op_add_build(g, x, y);
}

static int tied(graph *g, int x)
{
    int table = weight(g, "table", V, D);
    int y = op_add_build(g, x, op_embed_build(g, table, NONE, NULL, 1));
    op_cross_entropy_build(g, op_linear_build(g, y, &table, NULL, 1));
    return NONE;
}

static int unit_rows(graph *g, int x)
{
    int table = weight(g, "table", V, D);
    return op_unit_rows_build(g, op_linear_build(g, x, &table, NULL, 1), table);
}

/* As under fixnorm with a tied output matrix: three nodes have a share in one gradient. */
static int tied_unit_rows(graph *g, int x)
{
    int table = weight(g, "table", V, D);
    int y =
        op_add_build(g, x, norm_of(g, op_embed_build(g, table, NONE, NULL, 1), &norm_l2norm, 1, 0));
    int logits = op_linear_build(g, y, &table, NULL, 1);
    op_cross_entropy_build(g, op_unit_rows_build(g, logits, table));
    return NONE;
}

#define ACTIVATION(name)                                                                           \
    static int activate_##name(graph *g, int x)                                                    \
    {                                                                                              \
        return op_activate_build(g, x, &activation_##name);                                        \
    }
#include "core/activation/activation.def"
#undef ACTIVATION

static const struct {
    const char *name;
    int (*build)(graph *g, int x);
} cases[] = {
    {"alpha dropout", alpha_dropout},
    {"linear", linear},
    {"linear, fused, bias", linear_fused_with_bias},
    {"layernorm", layernorm},
    {"layernorm per head", layernorm_per_head},
    {"layernorm without affine", layernorm_plain},
    {"rmsnorm", rmsnorm},
    {"rmsnorm per head", rmsnorm_per_head},
    {"layernorm, offset, groups", layernorm_offset_groups},
    {"layernorm, frozen", layernorm_frozen},
    {"layernorm, frozen, plain", layernorm_frozen_plain},
    {"rmsnorm, frozen", rmsnorm_frozen},
    {"l2norm", norm_l2norm_row},
    {"scalenorm", norm_scalenorm_row},
    {"crmsnorm", norm_crmsnorm_row},
    {"l1norm", norm_l1norm_row},
    {"l1norm, gaussian", norm_l1norm_gaussian_row},
    {"dyt", norm_dyt_row},
    {"derf", norm_derf_row},
    {"centre", centre},
    {"place", place},
    {"gain, a number", gain_number},
    {"gain per head", gain_per_head},
    {"gain per feature", gain_per_feature},
    {"gain, shared", gain_shared},
    {"gain, two vectors", gain_of_two_vectors},
    {"shift, a number", shift_number},
    {"shift per feature", shift_per_feature},
    {"mix", mix},
    {"batchnorm", batchnorm},
    {"batchnorm without affine", batchnorm_plain},
    {"batchnorm before linear", batchnorm_before_linear},
    {"powernorm_v", powernorm_v},
    {"repbn", repbn},
    {"repbn without affine", repbn_plain},
    {"prepbn", prepbn},
    {"batch norms meet", batch_norms_meet},
    {"add", add},
    {"add twice", add_twice},
    {"admin", admin},
    {"scale", scale},
    {"three readers", three_readers},
    {"rope", rope},
    {"attention, causal", attention_causal},
    {"attention, full", attention_full},
    {"attention, grouped", attention_grouped},
    {"attention, window", attention_window},
    {"attention, window both ways", attention_window_both_ways},
    {"attention, shaped", attention_shaped},
    {"attention, learned scale", attention_learned_scale},
    {"rope on a part", rope_part},
    {"row_scale", row_scale},
    {"token_mean, causal", token_mean_causal},
    {"token_mean", token_mean},
    {"softcap", softcap},
    {"cross entropy", cross_entropy},
    {"embed", embed},
    {"tied", tied},
    {"unit rows", unit_rows},
    {"tied, unit rows", tied_unit_rows},
#define ACTIVATION(name) {#name, activate_##name},
#include "core/activation/activation.def"
#undef ACTIVATION
};

static double difference(rig *r, real *at)
{
    real kept = *at, high = (real)((double)kept + step), low = (real)((double)kept - step);
    *at = high;
    double up = rig_loss(r);
    *at = low;
    double down = rig_loss(r);
    *at = kept;
    return (up - down) / ((double)high - (double)low);
}

static void
compare(rig *r, const char *name, const char *what, real *at, const real *gradient, size_t n)
{
    double largest = 1e-3, worst = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)gradient[i]));
    for (size_t i = 0; i < n; i++) {
        double numeric = difference(r, &at[i]), off = fabs(numeric - (double)gradient[i]) / largest;
        worst = fmax(worst, off);
        ck_assert_msg(off < tolerance, "%s: d/d%s[%zu]: backward %.12g, difference %.12g", name,
                      what, i, (double)gradient[i], numeric);
    }
    printf("%-26s %-8s worst %.1e\n", name, what, worst);
}

static void compare_all(rig *r, const char *name)
{
    rig_loss(r);
    ck_assert_int_eq(exec_backward(&r->x, NULL, NULL), ERR_OK);
    real *dx = malloc(B * T * D * sizeof *dx), *dw = malloc(r->p.param_count * sizeof *dw + 1);
    memcpy(dx, exec_grad(&r->x, r->input, 0), B * T * D * sizeof *dx);
    for (int p = 0; p < r->g.n_params; p++)
        memcpy(dw + r->g.params[p].data, exec_param_grad(&r->x, p),
               r->g.params[p].count * sizeof *dw);
    compare(r, name, "x", r->inputs, dx, B * T * D);
    for (int p = 0; p < r->g.n_params; p++) {
        const param *w = &r->g.params[p];
        if (w->grad_buffer != NONE)
            compare(r, name, w->role, exec_param(&r->x, p), dw + w->data, w->count);
    }
    free(dw);
    free(dx);
}

START_TEST(test_backward_is_the_derivative_of_forward)
{
    rig r;
    rig_start(&r, NULL, cases[_i].build);
    compare_all(&r, cases[_i].name);
    rig_stop(&r);
}
END_TEST

/* With running statistics every norm is exact, those too whose backward pass in training is not. */
static const struct {
    const char *name;
    int (*build)(graph *g, int x);
} eval_cases[] = {
    {"batchnorm, eval", batchnorm}, {"powernorm_v, eval", powernorm_v},
    {"powernorm, eval", powernorm}, {"unifiednorm, eval", unifiednorm},
    {"repbn, eval", repbn},         {"alpha dropout, eval", alpha_dropout},
    {"prepbn, eval", prepbn},       {"batch norms meet, eval", batch_norms_meet},
};

START_TEST(test_backward_in_eval_is_the_derivative_of_forward)
{
    rig r;
    double loss;
    rig_start(&r, NULL, eval_cases[_i].build);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(exec_forward(&r.x, NULL, NULL, &loss), ERR_OK);
        ck_assert_int_eq(exec_backward(&r.x, NULL, NULL), ERR_OK);
        exec_commit(&r.x);
    }
    r.x.eval = true;
    compare_all(&r, eval_cases[_i].name);
    rig_stop(&r);
}
END_TEST

/* On the way from LayerNorm to RepBN both have a share. */
START_TEST(test_backward_of_a_blend_is_the_derivative_of_forward)
{
    rig r;
    double loss;
    rig_start(&r, NULL, prepbn);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(exec_forward(&r.x, NULL, NULL, &loss), ERR_OK);
        exec_commit(&r.x);
    }
    compare_all(&r, "prepbn, 0.7 layernorm");
    rig_stop(&r);
}
END_TEST

/* a, b of arXiv:1706.02515, 5.2, in closed form; the same entries in each pass of a step and others
 * in the next; none in eval. */
START_TEST(test_alpha_dropout_keeps_mean_and_variance)
{
    rig r;
    enum { WIDE = 20000 };
    rig_shape shape = {
        .length = T, .width = WIDE, .threads = 1, .memory = 1 << 26, .keep_all = true};
    rig_start_as(&r, &shape, NULL, alpha_dropout);
    const size_t n = (size_t)B * T * WIDE;
    const double rate = 0.3, s = op_alpha_dropout_limit(), a = op_alpha_dropout_factor(rate);
    double mean = 0, square = 0, fallen = 0;
    ck_assert_double_eq_tol(op_alpha_dropout_factor(0.1), 0.92128, 5e-6);
    ck_assert_double_eq_tol(-0.1 * s * op_alpha_dropout_factor(0.1), 0.16197, 5e-6);
    rig_loss(&r);
    const real *y = exec_value(&r.x, r.g.nodes[1].outputs[0], 0);
    real before = y[7];
    for (size_t i = 0; i < n; i++) {
        mean += (double)y[i] / (double)n, square += (double)y[i] * (double)y[i] / (double)n;
        fallen += fabs((double)y[i] - a * s * (1 - rate)) < 1e-6;
    }
    /* four standard deviations of 300,000 entries */
    ck_assert_double_eq_tol(mean, 0, 4 / sqrt((double)n));
    ck_assert_double_eq_tol(square, 1, 4 * sqrt(2.0 / (double)n));
    ck_assert_double_eq_tol(fallen / (double)n, rate, 4 * sqrt(rate * (1 - rate) / (double)n));
    rig_loss(&r);
    ck_assert(y[7] == before);
    double low = a * s * (1 - rate), both = 0, first = fallen;
    uint8_t *was = calloc(n, 1);
    ck_assert_ptr_nonnull(was);
    for (size_t i = 0; i < n; i++) was[i] = fabs((double)y[i] - low) < 1e-6;
    r.x.step = 1;
    rig_loss(&r);
    for (size_t i = 0; i < n; i++) both += was[i] && fabs((double)y[i] - low) < 1e-6;
    ck_assert_double_eq_tol(both / first, rate, 4 * sqrt(rate * (1 - rate) / first));
    free(was);
    r.x.eval = true;
    rig_loss(&r);
    for (size_t i = 0; i < n; i++) ck_assert(y[i] == r.inputs[i]);
    rig_stop(&r);
}
END_TEST

START_TEST(test_nan_in_gives_nan_out)
{
    rig r;
    rig_start(&r, NULL, cases[_i].build);
    r.inputs[D + 1] = (real)NAN;
    ck_assert_msg(isnan(rig_loss(&r)), "%s swallowed a NaN", cases[_i].name);
    rig_stop(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops");
    TCase *t = tcase_create("gradient");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_backward_is_the_derivative_of_forward, 0,
                        sizeof cases / sizeof *cases);
    tcase_add_loop_test(t, test_backward_in_eval_is_the_derivative_of_forward, 0,
                        sizeof eval_cases / sizeof *eval_cases);
    tcase_add_test(t, test_backward_of_a_blend_is_the_derivative_of_forward);
    tcase_add_test(t, test_alpha_dropout_keeps_mean_and_variance);
    tcase_add_loop_test(t, test_nan_in_gives_nan_out, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(s, t);
    return suite_run(s);
}
