/* Predictions against the engine: every row of the catalogue either lies within its tolerance of
 * what a small run measures at step 0, or says why there is no prediction. */
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1 << 16 };

static measurement measured[ROWS_MAX];
static prediction predicted[ROWS_MAX];
static size_t n_measured, n_predicted;

static void on_measure(void *user, const measurement *m, size_t n)
{
    (void)user;
    for (size_t i = 0; i < n && n_measured < ROWS_MAX; i++)
        if (m[i].step == 0) measured[n_measured++] = m[i];
}

static void on_predict(void *user, const prediction *p, size_t n)
{
    (void)user;
    for (size_t i = 0; i < n && n_predicted < ROWS_MAX; i++) predicted[n_predicted++] = p[i];
}

static bool only_theory; /* no run is planned */

static void read_one(const char *text, job *j)
{
    error err = {0};
    limits lim = limits_default();
    lim.depth = 1000000;
    lim.theory_only = only_theory;
    ck_assert_msg(reader_job(text, strlen(text), &lim, j, &err) == ERR_OK, "%s: %s %s", text,
                  err.pointer, err.message);
}

static void run_with(const char *text, const run_input *input)
{
    job j;
    error err = {0};
    estimate cost;
    run_summary summary;
    team one;
    read_one(text, &j);
    const run_spec *spec = &j.runs[0].spec;
    const engine *e = engine_for(spec->precision);
    const sink to = {.measure = on_measure, .predict = on_predict};
    n_measured = n_predicted = 0;
    ck_assert_int_eq(team_start(&one, 1, &err), ERR_OK);
    ck_assert_int_eq(e->estimate(spec, 1, false, &cost, &err), ERR_OK);
    void *memory = aligned_alloc(64, (cost.peak_bytes + 63) / 64 * 64);
    ck_assert_ptr_nonnull(memory);
    ck_assert_msg(e->run(spec, input, memory, cost.peak_bytes, &one, &to, &summary, &err) == ERR_OK,
                  "%s: %s", text, err.message);
    free(memory);
    team_stop(&one);
    job_deinit(&j);
}

static void run_both(const char *text)
{
    run_with(text, NULL);
}

static bool same_name(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const measurement *find(const prediction *p)
{
    for (size_t i = 0; i < n_measured; i++)
        if (measured[i].layer == p->layer && measured[i].site == p->site &&
            measured[i].metric == p->metric && same_name(measured[i].param, p->param))
            return &measured[i];
    return NULL;
}

/* In units of the tolerance. */
static double residual(const prediction *p, const measurement *m)
{
    bool logs = strcmp(metric_registry.rows[p->metric]->scale, "log") == 0;
    if (m->value == p->value) return 0;
    double off = logs ? fabs(log(m->value / p->value)) : fabs(m->value - p->value);
    return off / p->tolerance;
}

/* One number is predicted once: it is a key of the store. */
static void no_duplicates(const char *what)
{
    for (size_t i = 0; i < n_predicted; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_msg(predicted[i].layer != predicted[k].layer ||
                              predicted[i].site != predicted[k].site ||
                              predicted[i].metric != predicted[k].metric ||
                              !same_name(predicted[i].param, predicted[k].param),
                          "%s: layer %d %s %s twice", what, predicted[i].layer,
                          site_registry.rows[predicted[i].site]->name,
                          metric_registry.rows[predicted[i].metric]->name);
}

/* Number of predictions that were compared. */
static int compare(const char *what)
{
    int n = 0;
    double worst = 0;
    no_duplicates(what);
    for (size_t i = 0; i < n_predicted; i++) {
        const prediction *p = &predicted[i];
        const measurement *m = find(p);
        if (p->reason || !m || m->reason) continue;
        double r = residual(p, m);
        n++;
        if (r > worst) worst = r;
        ck_assert_msg(r <= 1, "%s: layer %d %s %s %s is %g, predicted %g with tolerance %g (%s)",
                      what, p->layer, site_registry.rows[p->site]->name, p->param ? p->param : "",
                      metric_registry.rows[p->metric]->name, m->value, p->value, p->tolerance,
                      law_registry.rows[p->law]->name);
    }
    printf("%-28s %4d predictions, worst %.2f of its tolerance\n", what, n, worst);
    return n;
}

static int reasons(void)
{
    int n = 0;
    for (size_t i = 0; i < n_predicted; i++) n += predicted[i].reason != REASON_NONE;
    return n;
}

START_TEST(test_every_strategy_is_as_predicted_or_says_why_not)
{
    const strategy *s = strategy_table[_i];
    char text[400];
    if (s->refused) return;
    snprintf(text, sizeof text,
             "{\"strategy\":\"%s\",\"depth\":6,\"seeds\":[1],\"data\":{\"seq_len\":32},\"model\":"
             "{\"d_model\":96,\"n_heads\":4,\"d_ff\":384}}",
             s->entry.name);
    run_both(text);
    int n = compare(s->entry.name);
    ck_assert_msg(n > 100 || reasons() > 10, "%s: %d predictions and %d reasons", s->entry.name, n,
                  reasons());
}
END_TEST

/* Other masks, positions, activations, losses and inits; T beyond the groups. */
static const char *const variants[] = {
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"d_ff\":256,\"activation\":\"swiglu\",\"position\":"
    "\"rope\"},\"strategy\":{\"placement\":\"pre_ln\",\"norm\":\"rmsnorm\"}",
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"activation\":\"geglu\"},\"strategy\":\"peri_ln\"",
    "\"model\":{\"d_model\":96,\"n_heads\":4},\"data\":{\"seq_len\":1},\"train\":{\"loss\":\"grad_"
    "iid\"}",
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"activation\":\"silu\"},\"strategy\":\"none\"",
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"mask\":\"bidirectional\"},\"strategy\":\"pre_ln\"",
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"position\":\"sinusoidal\"},\"strategy\":\"pre_ln\"",
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"tied\":false},\"strategy\":\"post_ln\",\"init\":"
    "\"lecun\",\"train\":{\"loss\":\"grad_iid\"}",
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"activation\":\"relu\"},\"strategy\":\"pre_ln\","
    "\"init\":"
    "\"xavier\",\"train\":{\"loss\":\"grad_common\"},\"data\":{\"source\":\"gaussian\","
    "\"token_corr\":0.3}",
    "\"model\":{\"d_model\":96,\"n_heads\":4,\"window\":8,\"global_every\":2},\"strategy\":\"peri_"
    "ln\"",
/* tied output matrices that find nearly every token */
#define FINDS                                                                                      \
    "\"model\":{\"d_model\":256,\"n_heads\":4,\"vocab\":64,\"position\":\"none\"},"                \
    "\"init\":{\"scheme\":\"gpt2\",\"embed_std\":0.05},\"strategy\":"
    FINDS "\"post_ln\"",
    FINDS "\"deepnorm\"",
    FINDS "\"keel\"",
    FINDS "\"res_post_norm\"",
    FINDS "\"pre_ln\"",
#undef FINDS
};

START_TEST(test_variants_are_as_predicted)
{
    char text[600];
    snprintf(text, sizeof text, "{\"depth\":6,\"seeds\":[1],%s}", variants[_i]);
    run_both(text);
    ck_assert_int_gt(compare(variants[_i]), 100);
}
END_TEST

/* Stacks of dense layers: chains and residual sums, norms before and behind the activation. */
static const char *const layers[] = {
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"strategy\":{\"placement\":\"none\","
    "\"residual_scale\":0.3}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"selu\"},\"init\":\"lecun\"",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"selu\",\"alpha_dropout\":0.3},\"init\":"
    "\"lecun\"",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"data\":{\"token_corr\":0.5,"
    "\"variance\":4}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"tanh\"},\"init\":\"lecun\"",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"gelu\"},\"strategy\":{\"norm\":\"layernorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"strategy\":{\"placement\":\"chain_"
    "post_act\",\"norm\":\"layernorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"strategy\":{\"placement\":\"chain_"
    "post_act\",\"norm\":\"rmsnorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"swiglu\"},\"strategy\":{\"placement\":\"chain_"
    "post_act\",\"norm\":\"rmsnorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"strategy\":{\"placement\":\"pre_ln\","
    "\"norm\":\"layernorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"strategy\":{\"placement\":\"post_"
    "ln\",\"norm\":\"rmsnorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"gelu\"},\"strategy\":{\"placement\":\"peri_"
    "ln\",\"norm\":\"rmsnorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\",\"mlp\":\"dense\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"gelu\",\"mlp\":\"dense\"},\"strategy\":{"
    "\"placement\":\"chain_post_act\",\"norm\":\"layernorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"data\":{\"source\":\"random_tokens\"}"
    ",\"train\":{\"loss\":\"cross_entropy\"},\"strategy\":{\"placement\":\"pre_ln\",\"norm\":"
    "\"layernorm\"}",
    "\"model\":{\"preset\":\"mlp\",\"activation\":\"relu\"},\"data\":{\"seq_len\":1}",
};

START_TEST(test_layers_are_as_predicted)
{
    char text[600];
    snprintf(text, sizeof text, "{\"depth\":30,\"seeds\":[1],%s}", layers[_i]);
    run_both(text);
    ck_assert_int_gt(compare(layers[_i]), 100);
}
END_TEST

/* One slot of a block left out. */
static const char *const halves[] = {"\"mixer\":\"none\"", "\"mlp\":\"none\""};

START_TEST(test_blocks_of_one_sublayer_are_as_predicted)
{
    static const char *const placements[] = {"pre_ln", "post_ln", "peri_ln", "none"};
    char text[600];
    snprintf(text, sizeof text,
             "{\"depth\":6,\"seeds\":[1],\"model\":{\"d_model\":128,%s},\"strategy\":\"%s\","
             "\"init\":\"xavier\"}",
             halves[_i % 2], placements[_i / 2]);
    run_both(text);
    ck_assert_int_gt(compare(text), 100);
}
END_TEST

/* --- pairs of sequences ----------------------------------------------------------------------- */

enum { CORPUS = 1 << 14 };

/* Sequences that have much in common: three bytes of four are one letter, as targets too, so that
 * their gradients point the same way. */
static void fill_corpus(unsigned char *bytes)
{
    uint32_t x = 1;
    for (size_t i = 0; i < CORPUS; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = x >> 30 ? 'e' : (unsigned char)('a' + (x >> 24) % 26);
    }
}

/* Every letter twice: half of the targets are the token itself. */
static void double_corpus(unsigned char *bytes)
{
    uint32_t x = 1;
    for (size_t i = 0; i < CORPUS; i++) {
        if (i % 2 == 0) x = x * 1664525 + 1013904223;
        bytes[i] = (unsigned char)('a' + (x >> 24) % 26);
    }
}

static const char *const alike[] = {
    "\"strategy\":\"pre_ln\"",
    "\"strategy\":\"peri_ln\"",
    "\"strategy\":\"post_ln\"",
};

START_TEST(test_gradients_add_over_the_sequences_of_a_batch)
{
    static unsigned char corpus[CORPUS];
    char text[600];
    fill_corpus(corpus);
    snprintf(text, sizeof text,
             "{\"depth\":4,\"seeds\":[1],%s,\"data\":{\"source\":\"text\",\"corpus\":\"e\","
             "\"batch\":32,\"seq_len\":16},\"model\":{\"d_model\":128,\"n_heads\":4,\"d_ff\":128,"
             "\"vocab\":64,\"tied\":false}}",
             alike[_i]);
    run_with(text, &(run_input){.corpus = corpus, .corpus_bytes = sizeof corpus});
    ck_assert_int_gt(compare(alike[_i]), 100);
}
END_TEST

/* A tied output matrix gives the token itself a logit of its own. */
START_TEST(test_a_tied_matrix_finds_targets_that_repeat)
{
    static unsigned char corpus[CORPUS];
    double loss = 0;
    double_corpus(corpus);
    run_with("{\"depth\":1,\"seeds\":[1],\"data\":{\"source\":\"text\",\"corpus\":\"e\","
             "\"batch\":32,\"seq_len\":16},\"model\":{\"d_model\":128,\"n_heads\":4,\"d_ff\":128,"
             "\"vocab\":64,\"tied\":true},\"measure\":{\"metrics\":[\"loss\"]}}",
             &(run_input){.corpus = corpus, .corpus_bytes = sizeof corpus});
    compare("repeated targets");
    for (size_t i = 0; i < n_predicted; i++)
        if (predicted[i].metric == METRIC_loss && !predicted[i].reason) loss = predicted[i].value;
    ck_assert_double_lt(loss, log(64) - 0.5);
}
END_TEST

/* --- predictions of one setting against numbers from elsewhere -------------------------------- */

/* Width 512, T = 64, bidirectional, LeCun weights (logits of variance 1), ReLU, tokens of
 * correlation 0.1, 24 blocks. Measured: means over 3 or 4 seeds of an independent implementation
 * (NumPy, Pre/Peri/Post-LN); tolerance as there: 12 % for gradients, 8 % for variances. */
static const struct {
    const char *strategy, *loss;
    site site;
    metric metric;
    int layer;
    double measured, relative;
} overlays[] = {
    {"\"pre_ln\"", "grad_iid", SITE_resid_out, METRIC_var, 24, 28.8, 0.08},
    {"\"peri_ln\"", "grad_iid", SITE_resid_out, METRIC_var, 24, 49, 1e-4}, /* 1 + 2 L */
    {"\"post_ln\"", "grad_iid", SITE_resid_out, METRIC_token_corr, 8, 0.9869, 0.002},
    {"\"post_ln\"", "grad_iid", SITE_resid_out, METRIC_token_corr, 12, 0.9992, 0.0003},
    {"{\"placement\":\"none\",\"residual_rule\":\"inv_sqrt_sublayers\"}", "grad_iid",
     SITE_resid_out, METRIC_var, 24, 1.39, 0.05},
    {"{\"placement\":\"none\",\"residual_rule\":\"inv_sqrt_sublayers\"}", "grad_iid", SITE_embed,
     METRIC_grad_rms, 0, 1.171, 0.03},
    {"\"pre_ln\"", "grad_iid", SITE_embed, METRIC_grad_rms, 0, 0.507, 0.12},
    {"\"pre_ln\"", "grad_iid", SITE_resid_out, METRIC_grad_rms, 4, 0.270, 0.12},
    {"\"pre_ln\"", "grad_iid", SITE_resid_out, METRIC_grad_rms, 16, 0.196, 0.12},
    {"\"pre_ln\"", "grad_common", SITE_resid_out, METRIC_grad_rms, 4, 0.594, 0.12},
    {"\"pre_ln\"", "grad_common", SITE_resid_out, METRIC_grad_rms, 16, 0.233, 0.12},
    {"\"peri_ln\"", "grad_iid", SITE_embed, METRIC_grad_rms, 0, 0.529, 0.12},
    {"\"peri_ln\"", "grad_iid", SITE_resid_out, METRIC_grad_rms, 4, 0.222, 0.12},
    {"\"peri_ln\"", "grad_iid", SITE_resid_out, METRIC_grad_rms, 16, 0.160, 0.12},
    {"\"post_ln\"", "grad_iid", SITE_embed, METRIC_grad_rms, 0, 0.32, 0.4},
    {"\"post_ln\"", "grad_iid", SITE_resid_out, METRIC_grad_rms, 4, 0.17, 0.4},
    {"\"post_ln\"", "grad_iid", SITE_resid_out, METRIC_grad_rms, 23, 0.712, 0.02},
};

static void predict_with(const char *text, const sink *to)
{
    job j;
    error err = {0};
    only_theory = true;
    read_one(text, &j);
    n_predicted = 0;
    ck_assert_int_eq(engine_for(j.runs[0].spec.precision)->predict(&j.runs[0].spec, to, &err),
                     ERR_OK);
    job_deinit(&j);
}

static double predict_of(const char *text, site where, metric m, const char *param, int layer)
{
    const sink to = {.predict = on_predict};
    predict_with(text, &to);
    for (size_t i = 0; i < n_predicted; i++)
        if (predicted[i].site == where && predicted[i].metric == m && predicted[i].layer == layer &&
            same_name(predicted[i].param, param)) {
            ck_assert_msg(!predicted[i].reason, "%s: %s", text, reason_name(predicted[i].reason));
            return predicted[i].value;
        }
    ck_abort_msg("no prediction");
    return 0;
}

static double predict_one(const char *text, site where, metric m, int layer)
{
    return predict_of(text, where, m, NULL, layer);
}

START_TEST(test_overlay_is_what_another_program_measured)
{
    char text[700];
    snprintf(
        text, sizeof text,
        "{\"strategy\":%s,\"depth\":24,\"seeds\":[0],\"init\":\"lecun\",\"data\":{\"source\":"
        "\"gaussian\",\"token_corr\":0.1,\"seq_len\":64},\"train\":{\"loss\":\"%s\"},\"model\":"
        "{\"d_model\":512,\"n_heads\":8,\"d_ff\":512,\"activation\":\"relu\",\"mask\":"
        "\"bidirectional\",\"position\":\"none\"}}",
        overlays[_i].strategy, overlays[_i].loss);
    double value = predict_one(text, overlays[_i].site, overlays[_i].metric, overlays[_i].layer);
    ck_assert_msg(fabs(value / overlays[_i].measured - 1) <= overlays[_i].relative,
                  "%s: predicted %g, measured %g", overlays[_i].strategy, value,
                  overlays[_i].measured);
}
END_TEST

/* 1 - rho of Pre-LN falls like a power of the depth: .0083 at 1000 and .0017 at 10000 blocks of the
 * same recursion in another program; and a depth that no run could have is answered. */
/* SELU's map at its fixed point (0, 1), arXiv:1706.02515: E f = 0, E f^2 = 1, and backward E f'^2 =
 * l^2 (1/2 + a^2 e^2 Phi(-2)) = 1.07157; ReLU halves the mean square, alpha dropout keeps both. */
START_TEST(test_the_maps_of_layers_in_closed_form)
{
#define SELU                                                                                       \
    "{\"model\":{\"preset\":\"mlp\",\"activation\":\"selu\"%s},\"init\":\"lecun\",\"depth\":100}"
    const double l = 1.0507009873554805, a = 1.6732632423543772,
                 slope = l * l * (0.5 + a * a * exp(2) * erfc(sqrt(2)) / 2);
    static const char *const dropout[] = {"", ",\"alpha_dropout\":0.05"};
    char text[256];
    only_theory = true;
    ck_assert_double_eq_tol(slope, 1.07157, 5e-6);
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, SELU, dropout[i]);
        ck_assert_double_eq_tol(predict_one(text, SITE_resid_out, METRIC_var, 100), 1, 1e-6);
    }
    snprintf(text, sizeof text, SELU, dropout[0]);
    double first = predict_one(text, SITE_resid_out, METRIC_grad_norm, 1),
           last = predict_one(text, SITE_resid_out, METRIC_grad_norm, 100);
    ck_assert_double_eq_tol(first / last, pow(slope, 99.0 / 2), 1e-3);
    const char *relu = "{\"model\":\"mlp\",\"init\":\"lecun\",\"depth\":100}";
    ck_assert_double_eq_tol(predict_one(relu, SITE_resid_out, METRIC_rms, 100), pow(2, -50), 1e-21);
    only_theory = false;
}
END_TEST

START_TEST(test_deep_networks_are_predicted)
{
    static const char text[] =
        "{\"strategy\":\"pre_ln\",\"depth\":10000,\"seeds\":[0],\"init\":\"lecun\",\"data\":{"
        "\"source\":\"gaussian\",\"token_corr\":0.1,\"seq_len\":64},\"model\":{\"d_model\":16384,"
        "\"n_heads\":128,\"d_ff\":16384,\"activation\":\"relu\",\"mask\":\"bidirectional\","
        "\"position\":\"none\"},\"measure\":{\"sites\":[\"resid_out\"],\"metrics\":[\"token_corr\"]"
        "}}";
    double at_1000 = 1 - predict_one(text, SITE_resid_out, METRIC_token_corr, 1000);
    double at_10000 = 1 - predict_one(text, SITE_resid_out, METRIC_token_corr, 10000);
    ck_assert_double_eq_tol(at_1000 / 0.0083, 1, 0.03);
    ck_assert_double_eq_tol(at_10000 / 0.0017, 1, 0.06);
}
END_TEST

static bool every_seventh(void *user, int layer)
{
    (void)user;
    return layer <= 0 || layer % 7 == 0;
}

static bool same_row(const prediction *a, const prediction *b)
{
    return a->layer == b->layer && a->site == b->site && a->metric == b->metric &&
           same_name(a->param, b->param) && a->law == b->law && a->reason == b->reason &&
           memcmp(&a->value, &b->value, sizeof a->value) == 0 &&
           memcmp(&a->tolerance, &b->tolerance, sizeof a->tolerance) == 0;
}

/* Blocks of which a run has no room to keep what the backward walk needs (THEORY_KEPT_RUN: 280 of
 * these) are walked twice; to the same bits as alone, where all are kept. And who asks for some of
 * the layers gets the same of them. */
START_TEST(test_what_is_kept_and_what_is_asked_for_change_nothing)
{
    static prediction whole[ROWS_MAX];
    static const char text[] =
        "{\"strategy\":\"pre_ln\",\"depth\":400,\"seeds\":[0],\"data\":{\"source\":\"gaussian\","
        "\"batch\":2,\"seq_len\":32},\"train\":{\"loss\":\"grad_common\",\"steps\":0},\"model\":{"
        "\"d_model\":8,\"n_heads\":1,\"d_ff\":8},\"measure\":{\"sites\":[\"resid_out\",\"param\"],"
        "\"metrics\":[\"grad_norm\",\"grad_token_corr\",\"var\",\"param_grad_norm\"]}}";
    const sink all = {.predict = on_predict},
               some = {.predict = on_predict, .predict_layer = every_seventh};
    predict_with(text, &all);
    const size_t n = n_predicted;
    ck_assert_uint_lt(n, ROWS_MAX);
    memcpy(whole, predicted, n * sizeof *whole);
    only_theory = false;
    run_both(text);
    ck_assert_uint_eq(n_predicted, n);
    for (size_t i = 0; i < n; i++) ck_assert(same_row(&whole[i], &predicted[i]));
    predict_with(text, &some);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        if (every_seventh(NULL, whole[i].layer)) ck_assert(same_row(&whole[i], &predicted[at++]));
    ck_assert_uint_eq(at, n_predicted);
    ck_assert_uint_lt(at, n / 4);
}
END_TEST

/* --- matrices --------------------------------------------------------------------------------- */

/* Xiong et al. 2020 (arXiv:2002.04745): uniform attention, Xavier, ReLU, F = D, vocabulary logits
 * of unit variance. The gradient of the last W_2 does not depend on the depth under Post-LN and
 * falls like L^-1/2 under Pre-LN and Peri-LN; measured for 4 seeds by an independent
 * implementation: 0.0, -0.54, -0.47. Tolerances 0.08 and 0.1. */
static double xiong(const char *placement, int depth)
{
    char text[700];
    snprintf(
        text, sizeof text,
        "{\"strategy\":\"%s\",\"depth\":%d,\"seeds\":[0],\"data\":{\"source\":\"random_tokens\","
        "\"batch\":1,\"seq_len\":32},\"init\":{\"scheme\":\"xavier\",\"embed_std\":1,"
        "\"head_std\":0.0625},\"model\":{\"d_model\":256,\"n_heads\":1,\"d_ff\":256,"
        "\"vocab\":256,\"tied\":false,\"activation\":\"relu\",\"mask\":\"bidirectional\","
        "\"position\":\"none\",\"logit_factor\":1e-6}}",
        placement, depth);
    return predict_of(text, SITE_param, METRIC_param_grad_norm, "mlp.down.weight", depth);
}

START_TEST(test_exponents_of_the_last_gradient_in_depth)
{
    static const struct {
        const char *placement;
        double exponent, tolerance;
    } rows[] = {{"post_ln", 0, 0.08}, {"pre_ln", -0.5, 0.1}, {"peri_ln", -0.5, 0.1}};
    double slope = 0, square = 0;
    for (int i = 0; i < 5; i++) { /* L = 4 .. 64, about the middle */
        double x = i - 2;
        slope += x * log(xiong(rows[_i].placement, 4 << i)) / log(2), square += x * x;
    }
    ck_assert_double_eq_tol(slope / square, rows[_i].exponent, rows[_i].tolerance);
}
END_TEST

/* |dW_Q|/|dW_V| goes like 1 - rho as tokens collapse (arXiv:2206.03126): slope 1 +- 0.1 of their
 * logarithms over Post-LN's blocks while rho is between 0.9 and 0.9999. */
START_TEST(test_query_gradients_vanish_with_the_tokens_differences)
{
    static const char text[] =
        "{\"strategy\":\"post_ln\",\"depth\":16,\"seeds\":[0],\"init\":\"lecun\",\"data\":{"
        "\"source\":\"gaussian\",\"token_corr\":0.1,\"seq_len\":64,\"batch\":1},\"train\":{"
        "\"loss\":"
        "\"grad_common\"},\"model\":{\"d_model\":512,\"n_heads\":8,\"d_ff\":512,\"activation\":"
        "\"relu\",\"mask\":\"bidirectional\",\"position\":\"none\"},\"measure\":{\"metrics\":["
        "\"token_corr\",\"param_grad_norm\"]}}";
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int l = 1; l < 16; l++) {
        double rest = 1 - predict_one(text, SITE_resid_out, METRIC_token_corr, l);
        if (rest > 0.1 || rest < 1e-4) continue;
        double q = predict_of(text, SITE_param, METRIC_param_grad_norm, "attn.q.weight", l + 1);
        double v = predict_of(text, SITE_param, METRIC_param_grad_norm, "attn.v.weight", l + 1);
        double x = log(rest), y = log(q / v);
        n++, sx += x, sy += y, sxx += x * x, sxy += x * y;
    }
    ck_assert_double_ge(n, 4);
    ck_assert_double_eq_tol((n * sxy - sx * sy) / (n * sxx - sx * sx), 1, 0.1);
}
END_TEST

/* --- angles ----------------------------------------------------------------------------------- */

/* Uniform attention over T tokens and linear MLPs, Post-LN: attention maps 1 - rho to (1 - rho)/(1
 * + rho + (1 - rho)/T), about half of it (arXiv:2403.02579), an MLP keeps it. */
START_TEST(test_angle_exponent_of_post_ln_is_half_a_block)
{
    enum { DEPTH = 8, T = 64 };
    static const char text[] =
        "{\"strategy\":{\"placement\":\"post_ln\",\"norm\":\"rmsnorm\"},\"depth\":8,\"seeds\":[0],"
        "\"init\":\"lecun\",\"data\":{\"source\":\"gaussian\",\"token_corr\":0.7,\"seq_len\":64},"
        "\"model\":{\"d_model\":512,\"n_heads\":8,\"d_ff\":512,\"activation\":\"identity\","
        "\"mask\":"
        "\"bidirectional\",\"position\":\"none\",\"logit_factor\":1e-6},\"measure\":{\"metrics\":["
        "\"angle_exponent\",\"token_corr\"]}}";
    double rest = 0.3, slope = 0, square = 0;
    for (int l = 1; l <= DEPTH; l++) {
        double along = l - (DEPTH + 1) / 2.0;
        rest /= 2 - rest + rest / T;
        slope += along * log(rest), square += along * along;
    }
    double exponent = predict_one(text, SITE_run, METRIC_angle_exponent, -1);
    ck_assert_double_eq_tol(exponent, slope / square, 1e-4);
    ck_assert_double_eq_tol(exponent, -log(2), 0.15 * log(2));
    ck_assert_double_eq_tol(1 - predict_one(text, SITE_resid_out, METRIC_token_corr, 1),
                            0.3 / (1.7 + 0.3 / T), 1e-4);
}
END_TEST

/* Every placement that has a law, beside what it measures. */
START_TEST(test_angle_exponents_are_as_predicted)
{
    char text[500];
    int n = 0;
    for (int i = 0; i < strategy_registry.n; i++) {
        if (strategy_table[i]->refused) continue;
        snprintf(
            text, sizeof text,
            "{\"strategy\":\"%s\",\"depth\":8,\"seeds\":[1],\"init\":\"lecun\",\"data\":{\"seq_"
            "len\":24},\"model\":{\"d_model\":96,\"n_heads\":4,\"d_ff\":96},\"measure\":{"
            "\"metrics\":[\"angle_exponent\"]}}",
            strategy_table[i]->entry.name);
        run_both(text);
        n += compare(strategy_table[i]->entry.name);
    }
    ck_assert_int_gt(n, 40);
}
END_TEST

/* The law of growth, where it is sure. */
START_TEST(test_growth_laws_are_predicted)
{
    static const struct {
        const char *strategy;
        int law; /* 0 flat, 1 linear, 2 exponential */
    } rows[] = {{"\"post_ln\"", 0},
                {"\"pre_ln\"", 1},
                {"\"peri_ln\"", 1},
                {"{\"placement\":\"none\",\"norm\":\"none\",\"final_norm\":false}", 2}};
    char text[700];
    snprintf(text, sizeof text,
             "{\"strategy\":%s,\"depth\":24,\"seeds\":[0],\"init\":\"lecun\",\"data\":{\"source\":"
             "\"gaussian\",\"token_corr\":0.1,\"seq_len\":64},\"train\":{\"loss\":\"grad_iid\"},"
             "\"model\":{\"d_model\":4096,\"n_heads\":8,\"d_ff\":4096,\"activation\":\"relu\","
             "\"mask\":\"bidirectional\",\"position\":\"none\",\"logit_factor\":1e-6}}",
             rows[_i].strategy);
    ck_assert_int_eq((int)predict_one(text, SITE_run, METRIC_var_growth_law, -1), rows[_i].law);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("theory");
    TCase *c = tcase_create("catalogue");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_every_strategy_is_as_predicted_or_says_why_not, 0,
                        strategy_registry.n);
    suite_add_tcase(s, c);
    c = tcase_create("variants");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_variants_are_as_predicted, 0, sizeof variants / sizeof *variants);
    tcase_add_loop_test(c, test_layers_are_as_predicted, 0, sizeof layers / sizeof *layers);
    tcase_add_loop_test(c, test_blocks_of_one_sublayer_are_as_predicted, 0, 8);
    tcase_add_test(c, test_the_maps_of_layers_in_closed_form);
    suite_add_tcase(s, c);
    c = tcase_create("sequences");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_gradients_add_over_the_sequences_of_a_batch, 0,
                        sizeof alike / sizeof *alike);
    tcase_add_test(c, test_a_tied_matrix_finds_targets_that_repeat);
    suite_add_tcase(s, c);
    c = tcase_create("overlays");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_overlay_is_what_another_program_measured, 0,
                        sizeof overlays / sizeof *overlays);
    tcase_add_test(c, test_deep_networks_are_predicted);
    tcase_add_test(c, test_what_is_kept_and_what_is_asked_for_change_nothing);
    tcase_add_loop_test(c, test_exponents_of_the_last_gradient_in_depth, 0, 3);
    tcase_add_test(c, test_query_gradients_vanish_with_the_tokens_differences);
    tcase_add_loop_test(c, test_growth_laws_are_predicted, 0, 4);
    tcase_add_test(c, test_angle_exponent_of_post_ln_is_half_a_block);
    tcase_add_test(c, test_angle_exponents_are_as_predicted);
    suite_add_tcase(s, c);
    return suite_run(s);
}
