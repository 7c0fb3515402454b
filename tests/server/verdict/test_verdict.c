/* Verdicts: each rule on measurements made up for it, seeds, confidence, ranks, sentences. */
#include "server/verdict/study.h"
#include "tests/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8, TOKENS = 10 };

/* A run whose numbers the test sets. */
typedef struct fake {
    rules rules;
    verdict_intake in;
    run_spec spec;
    run_summary summary;
    verdict_finding f[RULES_MAX];
} fake;

static void begin(fake *k, int steps)
{
    memset(k, 0, sizeof *k);
    k->spec.depth = DEPTH;
    k->spec.data.seq_len = TOKENS;
    k->spec.train.steps = steps;
    k->spec.measure.n_steps = steps ? 2 : 1;
    k->spec.measure.steps[1] = steps;
    for (int i = 0; i < SITE_COUNT; i++) k->spec.measure.sites[i] = true;
    for (int i = 0; i < METRIC_COUNT; i++) k->spec.measure.metrics[i] = true;
    verdict_rules(&k->rules, NULL, 0);
    ck_assert(verdict_intake_init(&k->in, &k->rules, &k->spec));
}

static void end(fake *k)
{
    verdict_intake_deinit(&k->in);
}

static void put(fake *k, int step, int layer, site s, metric m, const char *param, double value)
{
    measurement one = {.step = step,
                       .layer = layer,
                       .site = s,
                       .metric = m,
                       .param = param,
                       .value = value,
                       .reason = reason_of(value)};
    verdict_intake_measure(&k->in, &one, 1);
}

/* value in every block, but `odd` in block `layer` and, with toward, in all beyond it. */
static void
fill(fake *k, int step, site s, metric m, double value, int layer, double odd, int toward)
{
    for (int l = 1; l <= DEPTH; l++) {
        bool is_odd = l == layer || (toward > 0 && l > layer) || (toward < 0 && l < layer);
        put(k, step, l, s, m, NULL, is_odd ? odd : value);
    }
}

static const verdict_finding *judge(fake *k, int row)
{
    verdict_judge(k->f, &k->in, &k->summary);
    return &k->f[row];
}

static char *says(fake *k, int row)
{
    json_out o = {0};
    study_says(&o, k->rules.at[row], &k->f[row]);
    return json_take(&o);
}

static void ck_says(fake *k, int row, const char *text)
{
    char *own = says(k, row);
    ck_assert_str_eq(own, text);
    free(own);
}

START_TEST(test_a_rule_whose_metric_is_not_measured_is_not_judged)
{
    fake k;
    begin(&k, 0);
    for (int i = 0; i < RULE_ROWS; i++) {
        const verdict_finding *f = judge(&k, i);
        if (rule_table[i].kind == RULE_DIVERGED) continue;
        ck_assert_msg(f->level == LEVEL_NONE, "%s passes without a measurement",
                      rule_table[i].entry.name);
        ck_assert_ptr_nonnull(verdict_why_text(f->why));
    }
    ck_says(&k, RULE_token_collapse_ROW, "not judged: it was not measured here");
    end(&k);
    begin(&k, 0);
    k.in.measured_metrics[METRIC_cos_mean] = false;
    judge(&k, 0);
    ck_says(&k, RULE_token_collapse_ROW, "not judged: the job does not measure it");
    end(&k);
}
END_TEST

/* Rules over blocks: a value that passes, one that warns, one that fails, put into block 5 and
 * (toward > 0) behind it or (< 0) before it. */
static const struct {
    int row;
    site s;
    metric m;
    double pass, warn, fail; /* NaN: there is no such level */
    int toward;
    int layer; /* the first beyond */
} layer_cases[] = {
    {RULE_token_collapse_ROW, SITE_resid_out, METRIC_cos_mean, 0.5, 0.96, 0.995, 1, 5},
    {RULE_rank_collapse_ROW, SITE_resid_out, METRIC_rank1_residual, 0.5, 0.2, NAN, 1, 5},
    {RULE_stream_growth_ROW, SITE_resid_out, METRIC_rms, 1, 300, 3000, 1, 5},
    {RULE_stream_decay_ROW, SITE_resid_out, METRIC_rms, 1, 0.003, 0.0003, 1, 5},
    {RULE_gradient_tokens_ROW, SITE_resid_out, METRIC_grad_token_corr, 0.1, 0.97, 0.995, -1, 5},
    {RULE_attention_collapse_ROW, SITE_attn_prob, METRIC_attn_entropy_norm, 0.9, 0.4, 0.05, 1, 5},
    {RULE_nonfinite_ROW, SITE_mlp_branch, METRIC_nonfinite, 0, NAN, 2, 0, 5},
    {RULE_grad_nonfinite_ROW, SITE_mlp_branch, METRIC_grad_nonfinite, 0, NAN, 2, -1, 5},
};

static void check_level(int i, double value, verdict_level level)
{
    fake k;
    if (isnan(value)) return;
    begin(&k, 0);
    fill(&k, 0, layer_cases[i].s, layer_cases[i].m, layer_cases[i].pass, 5, value,
         layer_cases[i].toward);
    const verdict_finding *f = judge(&k, layer_cases[i].row);
    ck_assert_msg(f->level == level, "%s of %g is %s", rule_table[layer_cases[i].row].entry.name,
                  value, verdict_level_name(f->level));
    if (level > LEVEL_PASS) ck_assert_int_eq(f->layer, layer_cases[i].layer);
    if (level == LEVEL_PASS) ck_assert_int_eq(f->layer, VERDICT_NO_LAYER);
    ck_assert_double_eq_tol(f->value, value, 1e-12 + 1e-12 * fabs(value));
    end(&k);
}

START_TEST(test_rules_over_blocks_pass_warn_and_fail)
{
    check_level(_i, layer_cases[_i].pass, LEVEL_PASS);
    check_level(_i, layer_cases[_i].warn, LEVEL_WARN);
    check_level(_i, layer_cases[_i].fail, LEVEL_FAIL);
}
END_TEST

/* G_l grows toward the input by `by` a block while the stream's rms is s^l. */
static verdict_level gradient(fake *k, int row, double by, double s, double corr_low)
{
    begin(k, 0);
    for (int l = 1; l <= DEPTH; l++) {
        put(k, 0, l, SITE_resid_out, METRIC_grad_norm_rel, NULL, pow(by, DEPTH - l));
        put(k, 0, l, SITE_resid_out, METRIC_rms, NULL, pow(s, l));
        put(k, 0, l, SITE_resid_out, METRIC_grad_token_corr, NULL, l < DEPTH ? corr_low : 0);
    }
    verdict_level level = judge(k, row)->level;
    end(k);
    return level;
}

START_TEST(test_gradients_are_judged_beside_the_stream)
{
    fake k;
    const int up = RULE_gradient_explosion_ROW, down = RULE_gradient_vanishing_ROW;
    ck_assert_int_eq(gradient(&k, up, 1.1, 1, 0), LEVEL_PASS);
    ck_assert_int_eq(gradient(&k, up, 1.5, 1, 0), LEVEL_WARN); /* 1.5^7 = 17 */
    ck_assert_int_eq(gradient(&k, up, 2.5, 1, 0), LEVEL_FAIL); /* 610 */
    ck_assert_double_eq_tol(k.f[up].factor, 2.5, 1e-12);
    ck_assert_int_eq(k.f[up].worst, 1);
    ck_assert_int_eq(k.f[up].layer, 2); /* from above the first beyond 100: 2.5^6 = 244 */
    /* A stream that grows as the gradient falls is a matter of scale alone. */
    ck_assert_int_eq(gradient(&k, up, 2.5, 2.5, 0), LEVEL_PASS);
    ck_assert_int_eq(gradient(&k, down, 0.4, 0.4, 0), LEVEL_PASS);
    ck_assert_int_eq(gradient(&k, down, 0.95, 1, 0), LEVEL_PASS);
    ck_assert_int_eq(gradient(&k, down, 0.7, 1, 0), LEVEL_WARN); /* 0.082 */
    ck_assert_int_eq(gradient(&k, down, 0.4, 1, 0), LEVEL_FAIL);
}
END_TEST

/* All tokens get the mean of independent gradients: |G| falls by 1/sqrt(T), and nothing is lost. */
START_TEST(test_a_drop_by_token_averaging_is_not_vanishing)
{
    fake k;
    const int down = RULE_gradient_vanishing_ROW;
    ck_assert_int_eq(gradient(&k, down, 0.7, 1, 1), LEVEL_PASS);
    /* 0.7^7 sqrt(T) */
    ck_assert_double_eq_tol(k.f[down].value, pow(0.7, 7) * sqrt(TOKENS), 1e-12);
    ck_assert_double_eq(k.f[down].aside, 1);
    ck_assert_int_eq(gradient(&k, down, 0.4, 1, 1), LEVEL_FAIL);
}
END_TEST

START_TEST(test_gradients_of_a_loss_that_is_alike_for_all_tokens_are_not_blamed_on_the_network)
{
    fake k;
    begin(&k, 0);
    fill(&k, 0, SITE_resid_out, METRIC_grad_token_corr, 0.999, 1, 0.999, 1);
    ck_assert_int_eq(judge(&k, RULE_gradient_tokens_ROW)->level, LEVEL_NONE);
    end(&k);
}
END_TEST

START_TEST(test_what_comes_back_is_not_lost)
{
    fake k;
    begin(&k, 0);
    fill(&k, 0, SITE_resid_out, METRIC_cos_mean, 0.5, 3, 0.999, 0);
    ck_assert_int_eq(judge(&k, RULE_token_collapse_ROW)->level, LEVEL_PASS);
    end(&k);
}
END_TEST

/* A run that diverges ends before the last probed step. */
START_TEST(test_counts_are_looked_at_after_every_probed_step)
{
    fake k;
    begin(&k, 8);
    verdict_intake_deinit(&k.in);
    k.spec.measure.n_steps = 3;
    k.spec.measure.steps[1] = 1;
    k.spec.measure.steps[2] = 8;
    ck_assert(verdict_intake_init(&k.in, &k.rules, &k.spec));
    put(&k, 0, 2, SITE_resid_out, METRIC_nonfinite, NULL, 0);
    put(&k, 1, 2, SITE_resid_out, METRIC_nonfinite, NULL, 7);
    ck_assert_int_eq(judge(&k, RULE_nonfinite_ROW)->level, LEVEL_FAIL);
    ck_says(&k, RULE_nonfinite_ROW,
            "NaN or Inf in the forward pass, first in block 2 after 1 update");
    end(&k);
}
END_TEST

START_TEST(test_divergence_is_located)
{
    fake k;
    begin(&k, 3);
    ck_assert_int_eq(judge(&k, RULE_diverged_ROW)->level, LEVEL_PASS);
    k.summary = (run_summary){.diverged = true,
                              .diverged_step = 2,
                              .diverged_layer = 4,
                              .diverged_site = SITE_mlp_branch};
    ck_assert_int_eq(judge(&k, RULE_diverged_ROW)->level, LEVEL_FAIL);
    ck_says(&k, RULE_diverged_ROW,
            "values stop being finite in block 4 (mlp_branch) after 2 updates");
    k.summary.diverged_backward = true;
    ck_assert_int_eq(judge(&k, RULE_diverged_ROW)->level, LEVEL_FAIL);
    ck_says(&k, RULE_diverged_ROW,
            "values stop being finite in the gradient of block 4 (mlp_branch) after 2 updates");
    k.summary.diverged_layer = -1;
    judge(&k, RULE_diverged_ROW);
    ck_says(&k, RULE_diverged_ROW,
            "values stop being finite in the loss or a gradient after 2 updates");
    end(&k);
}
END_TEST

/* An undefined value has a reason and is 0: it is not "found at layer 0". */
START_TEST(test_a_layer_that_is_found_is_a_warning)
{
    fake k;
    measurement none = {.layer = -1,
                        .site = SITE_run,
                        .metric = METRIC_fp16_overflow_layer,
                        .reason = REASON_ABSENT};
    begin(&k, 0);
    verdict_intake_measure(&k.in, &none, 1);
    ck_assert_int_eq(judge(&k, RULE_fp16_overflow_ROW)->level, LEVEL_PASS);
    put(&k, 0, -1, SITE_run, METRIC_fp16_overflow_layer, NULL, 0);
    put(&k, 0, -1, SITE_run, METRIC_fp16_grad_flush_layer, NULL, 7);
    ck_assert_int_eq(judge(&k, RULE_fp16_overflow_ROW)->level, LEVEL_WARN);
    ck_says(&k, RULE_fp16_overflow_ROW, "the stream leaves float16 at block 0");
    ck_assert_int_eq(k.f[RULE_fp16_flush_ROW].level, LEVEL_WARN);
    ck_assert_int_eq(k.f[RULE_fp16_flush_ROW].layer, 7);
    end(&k);
}
END_TEST

/* Eight bits are asked for: every stream of 449 would be warned about otherwise. */
START_TEST(test_eight_bits_are_judged_where_the_job_asks)
{
    static const struct {
        int row;
        metric m;
        const char *says;
    } cases[] = {
        {RULE_fp8_e4m3_overflow_ROW, METRIC_fp8_e4m3_overflow_layer,
         "the stream leaves FP8 E4M3 at block 5"},
        {RULE_fp8_e5m2_overflow_ROW, METRIC_fp8_e5m2_overflow_layer,
         "the stream leaves FP8 E5M2 at block 5"},
        {RULE_fp8_e5m2_grad_overflow_ROW, METRIC_grad_fp8_e5m2_overflow_layer,
         "gradients overflow FP8 E5M2 at block 5"},
    };
    const int row = cases[_i].row, of = rule_table[row].of_format;
    fake k;
    begin(&k, 0); /* measures everything */
    put(&k, 0, -1, SITE_run, cases[_i].m, NULL, 5);
    ck_assert_int_eq(judge(&k, row)->level, LEVEL_WARN);
    ck_says(&k, row, cases[_i].says);
    end(&k);
    for (int asked = 0; asked < 3; asked++) {
        begin(&k, 0);
        end(&k);
        for (int i = 0; i < METRIC_COUNT; i++)
            k.spec.measure.metrics[i] = metric_registry.rows[i]->is_default;
        if (asked == 1) k.spec.rounding.gradients = of;
        if (asked == 2) k.spec.measure.metrics[METRIC_fp16_headroom_bits] = true; /* another */
        ck_assert(verdict_intake_init(&k.in, &k.rules, &k.spec));
        put(&k, 0, -1, SITE_run, cases[_i].m, NULL, 5);
        ck_assert_int_eq(judge(&k, row)->level, asked == 1 ? LEVEL_WARN : LEVEL_NONE);
        if (asked != 1)
            ck_says(&k, row,
                    "not judged: the job neither rounds to this format nor measures its headroom");
        end(&k);
    }
}
END_TEST

static verdict_level trained(int row, int steps, double first, double last)
{
    fake k;
    begin(&k, steps);
    for (int i = 0; i < 2; i++) {
        int step = i ? steps : 0;
        double v = i ? last : first;
        put(&k, step, -1, SITE_run, METRIC_loss, NULL, v);
        fill(&k, step, SITE_attn_prob, METRIC_attn_entropy_norm_p5, v, 1, v, 1);
        fill(&k, step, SITE_attn_branch, METRIC_branch_ratio, v, 1, v, 1);
        fill(&k, step, SITE_mlp_branch, METRIC_branch_ratio, v, 1, v, 1);
    }
    verdict_level level = judge(&k, row)->level;
    end(&k);
    return level;
}

START_TEST(test_rules_about_training)
{
    ck_assert_int_eq(trained(RULE_loss_ROW, 8, 5, 4), LEVEL_PASS);
    ck_assert_int_eq(trained(RULE_loss_ROW, 8, 5, 5.1), LEVEL_WARN);
    ck_assert_int_eq(trained(RULE_loss_ROW, 8, 5, 7), LEVEL_FAIL);
    ck_assert_int_eq(trained(RULE_loss_ROW, 2, 5, 7), LEVEL_NONE);
    ck_assert_int_eq(trained(RULE_loss_ROW, 8, 5, (double)NAN), LEVEL_NONE); /* diverged says it */
    ck_assert_int_eq(trained(RULE_attention_dead_ROW, 8, 1, 0.99), LEVEL_PASS);
    ck_assert_int_eq(trained(RULE_attention_dead_ROW, 8, 1, 1), LEVEL_WARN);
    ck_assert_int_eq(trained(RULE_attention_dead_ROW, 0, 1, 1), LEVEL_NONE);
    for (int row = RULE_attention_branch_ROW; row <= RULE_mlp_branch_ROW; row++) {
        ck_assert_int_eq(trained(row, 8, 1e-3, 0.1), LEVEL_PASS);
        ck_assert_int_eq(trained(row, 8, 0.1, 1e-3), LEVEL_WARN);
        ck_assert_int_eq(trained(row, 8, 0.1, 0), LEVEL_NONE);
        ck_assert_int_eq(trained(row, 0, 1e-3, 1e-3), LEVEL_NONE);
    }
}
END_TEST

static verdict_level updated(double weight, double gain)
{
    fake k;
    begin(&k, 1);
    put(&k, 0, 3, SITE_param, METRIC_param_update_ratio, "mlp.down.weight", weight);
    put(&k, 0, 3, SITE_param, METRIC_param_update_ratio, "mlp.norm.gain", gain);
    verdict_level level = judge(&k, RULE_update_large_ROW)->level;
    end(&k);
    return level;
}

START_TEST(test_updates_of_weight_matrices_count)
{
    ck_assert_int_eq(updated(0.05, 3), LEVEL_PASS);
    ck_assert_int_eq(updated(0.6, 0), LEVEL_WARN);
    ck_assert_int_eq(updated(1.5, 0), LEVEL_FAIL);
}
END_TEST

/* As people write them: 8900, not 8.9e+03; the embedding, not block 0. */
START_TEST(test_numbers_and_places_are_written_for_people)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{1.2345, "1.23"}, {8901, "8900"}, {48345.6, "48300"}, {7.34e9, "7.34e9"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake k;
        char text[128];
        begin(&k, 1);
        put(&k, 0, i ? 6 : 0, SITE_param, METRIC_param_update_ratio, "embed.weight", rows[i].value);
        judge(&k, 0);
        snprintf(text, sizeof text,
                 "an update is larger than the weight it changes (%s times, in %s)", rows[i].text,
                 i ? "block 6" : "the embedding");
        ck_says(&k, RULE_update_large_ROW, text);
        end(&k);
    }
}
END_TEST

/* What is said of a run as a whole. */
static void ck_sentence(fake *k, verdict_level level, const char *text)
{
    json_out o = {0};
    study_sentence(&o, &k->rules, k->f, level);
    char *own = json_take(&o);
    ck_assert_str_eq(own, text);
    free(own);
}

START_TEST(test_a_run_that_diverged_is_not_said_to_have_nan_as_well)
{
    fake k;
    begin(&k, 0);
    put(&k, 0, 3, SITE_resid_out, METRIC_nonfinite, NULL, 7);
    put(&k, 0, 3, SITE_resid_out, METRIC_grad_nonfinite, NULL, 7);
    k.summary =
        (run_summary){.diverged = true, .diverged_layer = 3, .diverged_site = SITE_attn_branch};
    judge(&k, 0);
    ck_sentence(&k, LEVEL_FAIL, "values stop being finite in block 3 (attn_branch)");
    end(&k);
}
END_TEST

START_TEST(test_a_pass_says_how_little_was_judged_or_how_the_gradient_fares)
{
    fake k;
    begin(&k, 0);
    judge(&k, 0);
    ck_sentence(&k, LEVEL_PASS, "the one rule of 23 that can be judged holds");
    put(&k, 0, 3, SITE_resid_out, METRIC_nonfinite, NULL, 0);
    judge(&k, 0);
    ck_sentence(&k, LEVEL_PASS, "the 2 rules of 23 that can be judged hold");
    end(&k);
    gradient(&k, 0, 0.9996, 1, 0);
    ck_sentence(&k, LEVEL_PASS,
                "the gradient of every block is at most 1 times that of the last and at least "
                "0.997 times");
}
END_TEST

/* The step with the worse value is the one that is told. */
static void both_steps(double first, double last, verdict_level level, int step)
{
    fake k;
    begin(&k, 5);
    fill(&k, 0, SITE_attn_prob, METRIC_attn_entropy_norm, first, 1, first, 1);
    fill(&k, 5, SITE_attn_prob, METRIC_attn_entropy_norm, last, 1, last, 1);
    const verdict_finding *f = judge(&k, RULE_attention_collapse_ROW);
    ck_assert_int_eq(f->level, level);
    ck_assert_int_eq(f->step, step);
    end(&k);
}

START_TEST(test_a_rule_looks_at_the_first_and_the_last_step)
{
    both_steps(0.9, 0.01, LEVEL_FAIL, 5);
    both_steps(0.01, 0.9, LEVEL_FAIL, 0);
    both_steps(0.7, 0.8, LEVEL_PASS, 0);
}
END_TEST

/* Tokens that share a direction: cosine and relative distance from their mean go together,
 * distance^2 = 1 - cosine. */
static void share_direction(fake *k, int step, double distance)
{
    double cosine = 1 - distance * distance;
    fill(k, step, SITE_resid_out, METRIC_cos_mean, cosine, 1, cosine, 1);
    fill(k, step, SITE_resid_out, METRIC_residual_fro, distance, 1, distance, 1);
}

static verdict_level lost(int steps, double distance)
{
    fake k;
    begin(&k, steps);
    share_direction(&k, 0, 0.9);
    share_direction(&k, steps, distance);
    verdict_level level = judge(&k, RULE_tokens_lost_ROW)->level;
    ck_assert_int_eq(k.f[RULE_token_collapse_ROW].level, LEVEL_PASS);
    if (level > LEVEL_PASS) ck_assert_int_eq(k.f[RULE_tokens_lost_ROW].step, steps);
    end(&k);
    return level;
}

START_TEST(test_a_direction_common_to_all_tokens_after_a_few_updates_is_no_collapse)
{
    ck_assert_int_eq(lost(8, 0.9), LEVEL_PASS);
    ck_assert_int_eq(lost(8, 0.01), LEVEL_PASS); /* cosine 0.9999 */
    ck_assert_int_eq(lost(8, 0.003), LEVEL_WARN);
    ck_assert_int_eq(lost(8, 1e-4), LEVEL_FAIL);
    ck_assert_int_eq(lost(8, 0), LEVEL_FAIL);
    ck_assert_int_eq(lost(RULE_UPDATES_MIN - 1, 0), LEVEL_NONE);
}
END_TEST

static void ck_start(fake *k, verdict_level level, const char *says)
{
    share_direction(k, k->in.first, 0.01);
    ck_assert_int_eq(judge(k, RULE_token_collapse_ROW)->level, level);
    ck_says(k, RULE_token_collapse_ROW, says);
    end(k);
}

START_TEST(test_the_start_is_judged_on_drawn_weights_before_any_update)
{
    fake k;
    begin(&k, 8);
    ck_start(&k, LEVEL_FAIL, "tokens become identical by block 1 (mean cosine 0.9999)");
    begin(&k, 8);
    k.in.given_weights = true;
    ck_start(&k, LEVEL_NONE, "not judged: the weights were given, not drawn");
    begin(&k, 8);
    k.in.first = 8;
    ck_start(&k, LEVEL_NONE, "not judged: no step before the first update was probed");
}
END_TEST

/* --- seeds ------------------------------------------------------------------------------------ */

/* Values of token_collapse over seeds, everything else not judged. */
static verdict_arm arm_of(verdict_finding *out, const double *cosines, int n)
{
    static rules r;
    static verdict_finding runs[8 * RULES_MAX];
    verdict_arm arm;
    verdict_rules(&r, NULL, 0);
    for (int k = 0; k < n; k++) {
        fake f;
        begin(&f, 0);
        fill(&f, 0, SITE_resid_out, METRIC_cos_mean, 0, 4 + k % 4, cosines[k], 1);
        verdict_judge(runs + k * r.n, &f.in, &f.summary);
        end(&f);
    }
    verdict_arm_judge(&arm, out, &r, runs, n);
    return arm;
}

START_TEST(test_one_seed_is_never_better_than_a_warning)
{
    verdict_finding f[RULES_MAX];
    verdict_arm a = arm_of(f, (const double[]){0.5}, 1);
    ck_assert_int_eq(a.level, LEVEL_WARN);
    ck_assert_int_eq(a.by_rules, LEVEL_PASS);
    ck_assert(isnan(a.confidence));
    a = arm_of(f, (const double[]){0.999}, 1);
    ck_assert_int_eq(a.level, LEVEL_FAIL);
    a = arm_of(f, (const double[]){0.5, 0.5}, 2);
    ck_assert_int_eq(a.level, LEVEL_PASS);
}
END_TEST

START_TEST(test_an_arm_is_as_the_mean_of_its_seeds)
{
    verdict_finding f[RULES_MAX];
    verdict_arm a = arm_of(f, (const double[]){0.94, 0.97, 0.97}, 3);
    ck_assert_int_eq(a.level, LEVEL_WARN);
    const verdict_finding *c = &f[RULE_token_collapse_ROW];
    ck_assert_double_eq_tol(c->value, 0.96, 1e-12);
    ck_assert_int_eq(c->layer, 5); /* of the seeds that are beyond, 5 and 6: the lower median */
    /* t = 0.01 / (0.01 sqrt(3) / sqrt(3)) = 1 and 3 with 2 degrees of freedom:
     * F = 1/2 + t / (2 sqrt(2 + t^2)) */
    double below = 0.5 - 1 / (2 * sqrt(3)), above = 0.5 - 3 / (2 * sqrt(11));
    ck_assert_double_eq_tol(c->confidence, 1 - below - above, 1e-12);
    ck_assert_double_eq_tol(a.confidence, 1 - below - above, 1e-12);
}
END_TEST

START_TEST(test_confidence_grows_with_distance_and_seeds)
{
    verdict_finding f[RULES_MAX];
    double near = arm_of(f, (const double[]){0.93, 0.95, 0.94}, 3).confidence,
           far = arm_of(f, (const double[]){0.49, 0.51, 0.5}, 3).confidence,
           many = arm_of(f, (const double[]){0.93, 0.95, 0.94, 0.93, 0.95, 0.94}, 6).confidence;
    ck_assert(0.5 < near && near < many && near < far && far < 1);
    ck_assert_double_eq(arm_of(f, (const double[]){0.5, 0.5}, 2).confidence, 1);
}
END_TEST

/* Table 26.10 of Abramowitz & Stegun, two-sided 0.95. */
START_TEST(test_students_distribution)
{
    static const struct {
        int freedom;
        double t;
    } rows[] = {{1, 12.706}, {2, 4.303},  {3, 3.182}, {4, 2.776},
                {9, 2.262},  {10, 2.228}, {60, 2.000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_double_eq_tol(verdict_student(rows[i].t, rows[i].freedom), 0.975, 3e-5);
    ck_assert_double_eq(verdict_student(0, 5), 0.5);
    ck_assert_double_eq(verdict_student((double)INFINITY, 5), 1);
}
END_TEST

/* --- studies ---------------------------------------------------------------------------------- */

static void add(study *s, const char *arm, int depth, const double *cosines, int n)
{
    static verdict_finding runs[8 * RULES_MAX];
    for (int k = 0; k < n; k++) {
        fake f;
        begin(&f, 0);
        fill(&f, 0, SITE_resid_out, METRIC_cos_mean, 0, 4, cosines[k], 1);
        verdict_judge(runs + k * s->rules->n, &f.in, &f.summary);
        end(&f);
    }
    study_add(s, arm, "pre_ln", depth, runs, n);
}

static const double low[] = {0.5, 0.51}, middle[] = {0.9, 0.91}, high[] = {0.997, 0.998};

START_TEST(test_arms_are_ranked_and_the_deepest_is_told)
{
    rules r;
    study s;
    json_out o = {0};
    verdict_rules(&r, NULL, 0);
    study_init(&s, &r, false);
    add(&s, "{\"depth\":6,\"strategy\":\"a\"}", 6, low, 2);
    add(&s, "{\"depth\":6,\"strategy\":\"b\"}", 6, middle, 2);
    add(&s, "{\"depth\":12,\"strategy\":\"a\"}", 12, middle, 2);
    add(&s, "{\"depth\":12,\"strategy\":\"b\"}", 12, high, 2);
    ck_assert(study_end(&s));
    ck_assert_int_eq(s.level, LEVEL_FAIL);
    static const int ranks[] = {2, 3, 1, 4};
    for (int i = 0; i < 4; i++) ck_assert_int_eq(s.arms[i].of.rank, ranks[i]);
    ck_assert_str_eq(
        s.sentence,
        "3 of 4 arms pass, 1 fails. Best: a at 12 blocks. Worst: b at 12 blocks: tokens "
        "become identical by block 4 (mean cosine 0.9975)");
    json_begin_object(&o);
    study_json(&o, &s, "[\"/depth\"]");
    json_end(&o);
    ck_assert_ptr_nonnull(
        strstr(o.text, "\"max_depth\":[{\"arm\":{\"strategy\":\"a\"},\"deepest_pass\":12,"
                       "\"shallowest_fail\":null},"
                       "{\"arm\":{\"strategy\":\"b\"},\"deepest_pass\":6,\"shallowest_fail\":12}],"
                       "\"differs\":[\"/depth\"]"));
    json_deinit(&o);
    study_deinit(&s);
}
END_TEST

static void
ck_study(bool finds_depth, const double *a, const double *b, int seeds, const char *says)
{
    rules r;
    study s;
    verdict_rules(&r, NULL, 0);
    study_init(&s, &r, finds_depth);
    add(&s, "{\"depth\":6}", 6, a, seeds);
    add(&s, "{\"depth\":9}", 9, b, seeds);
    ck_assert(study_end(&s));
    ck_assert_str_eq(s.sentence, says);
    study_deinit(&s);
}

START_TEST(test_nothing_is_called_the_worst_where_all_pass_nor_the_best_where_all_fail)
{
    static const double near[] = {0.97, 0.971};
    ck_study(false, low, middle, 2,
             "All 2 arms pass. Best: pre_ln at 9 blocks: tokens stay apart (mean cosine 0.905)");
    ck_study(false, high, high, 2,
             "None of 2 arms passes. Worst: pre_ln at 6 blocks: tokens become identical by block 4 "
             "(mean cosine 0.9975)");
    ck_study(false, near, high, 2,
             "None of 2 arms passes, 1 has a warning, 1 fails. Best: pre_ln at 6 blocks. Worst: "
             "pre_ln at 9 blocks: tokens become identical by block 4 (mean cosine 0.9975)");
    ck_study(true, low, near, 2,
             "pre_ln holds to 9 blocks, with a warning, the deepest that was tried");
    ck_study(true, low, high, 2,
             "pre_ln holds to 6 blocks; pre_ln at 9 blocks: tokens become identical by block 4 "
             "(mean cosine 0.9975)");
}
END_TEST

START_TEST(test_a_study_that_looks_for_a_depth_is_as_its_best_arm)
{
    rules r;
    study s;
    verdict_rules(&r, NULL, 0);
    study_init(&s, &r, true);
    add(&s, "{\"depth\":6}", 6, low, 2);
    add(&s, "{\"depth\":9}", 9, NULL, 0);
    add(&s, "{\"depth\":12}", 12, high, 2);
    ck_assert(study_end(&s));
    ck_assert_int_eq(s.level, LEVEL_PASS);
    ck_assert_int_eq(s.arms[1].of.rank, 0);
    study_deinit(&s);
}
END_TEST

START_TEST(test_the_sentence_of_one_arm)
{
    rules r;
    study s;
    verdict_rules(&r, NULL, 0);
    study_init(&s, &r, false);
    add(&s, "{}", 8, low, 1);
    ck_assert(study_end(&s));
    ck_assert_str_eq(s.sentence,
                     "pre_ln at 8 blocks: tokens stay apart (mean cosine 0.5) (one seed: "
                     "run at least two before you believe it)");
    study_deinit(&s);
}
END_TEST

/* --- the table -------------------------------------------------------------------------------- */

START_TEST(test_every_rule_has_reasons_and_sentences)
{
    for (int i = 0; i < RULE_ROWS; i++) {
        const rule *r = &rule_table[i];
        ck_assert_msg(r->entry.summary && r->entry.source && r->bad && r->good && r->metric, "%s",
                      r->entry.name);
        ck_assert_msg(isfinite(r->fail.max) || isfinite(r->fail.min) || isfinite(r->warn.max) ||
                          isfinite(r->warn.min),
                      "%s has no threshold", r->entry.name);
        ck_assert_msg(r->warn.max <= r->fail.max && r->warn.min >= r->fail.min,
                      "%s fails before it warns", r->entry.name);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verdict");
    TCase *c = tcase_create("rules");
    tcase_add_test(c, test_every_rule_has_reasons_and_sentences);
    tcase_add_test(c, test_a_rule_whose_metric_is_not_measured_is_not_judged);
    tcase_add_loop_test(c, test_rules_over_blocks_pass_warn_and_fail, 0,
                        sizeof layer_cases / sizeof *layer_cases);
    tcase_add_test(c, test_gradients_are_judged_beside_the_stream);
    tcase_add_test(c, test_a_drop_by_token_averaging_is_not_vanishing);
    tcase_add_test(
        c, test_gradients_of_a_loss_that_is_alike_for_all_tokens_are_not_blamed_on_the_network);
    tcase_add_test(c, test_what_comes_back_is_not_lost);
    tcase_add_test(c, test_counts_are_looked_at_after_every_probed_step);
    tcase_add_test(c, test_divergence_is_located);
    tcase_add_test(c, test_a_layer_that_is_found_is_a_warning);
    tcase_add_loop_test(c, test_eight_bits_are_judged_where_the_job_asks, 0, 3);
    tcase_add_test(c, test_rules_about_training);
    tcase_add_test(c, test_updates_of_weight_matrices_count);
    tcase_add_test(c, test_numbers_and_places_are_written_for_people);
    tcase_add_test(c, test_a_run_that_diverged_is_not_said_to_have_nan_as_well);
    tcase_add_test(c, test_a_pass_says_how_little_was_judged_or_how_the_gradient_fares);
    tcase_add_test(c, test_a_rule_looks_at_the_first_and_the_last_step);
    tcase_add_test(c, test_a_direction_common_to_all_tokens_after_a_few_updates_is_no_collapse);
    tcase_add_test(c, test_the_start_is_judged_on_drawn_weights_before_any_update);
    suite_add_tcase(s, c);
    c = tcase_create("seeds");
    tcase_add_test(c, test_one_seed_is_never_better_than_a_warning);
    tcase_add_test(c, test_an_arm_is_as_the_mean_of_its_seeds);
    tcase_add_test(c, test_confidence_grows_with_distance_and_seeds);
    tcase_add_test(c, test_students_distribution);
    suite_add_tcase(s, c);
    c = tcase_create("studies");
    tcase_add_test(c, test_arms_are_ranked_and_the_deepest_is_told);
    tcase_add_test(c, test_nothing_is_called_the_worst_where_all_pass_nor_the_best_where_all_fail);
    tcase_add_test(c, test_a_study_that_looks_for_a_depth_is_as_its_best_arm);
    tcase_add_test(c, test_the_sentence_of_one_arm);
    suite_add_tcase(s, c);
    return suite_run(s);
}
