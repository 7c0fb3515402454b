/* Rounding inside runs: what it touches and what it leaves alone, the loss scale, and overflow that
 * a run meets rather than predicts. Networks in words by tests/small_net.h. */
#include "core/base/format.h"
#include "tests/small_net.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <string.h>

/* Two runs gave the same bits everywhere: losses, measurements, tensors. */
static void same_bits(const record *a, const record *b)
{
    ck_assert_uint_eq(a->n_steps, b->n_steps);
    ck_assert_uint_eq(a->n_measurements, b->n_measurements);
    ck_assert_uint_eq(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_steps; i++)
        ck_assert(memcmp(&a->steps[i].loss, &b->steps[i].loss, sizeof(double)) == 0 &&
                  memcmp(&a->steps[i].grad_norm, &b->steps[i].grad_norm, sizeof(double)) == 0);
    for (size_t i = 0; i < a->n_measurements; i++)
        ck_assert(memcmp(&a->measurements[i].value, &b->measurements[i].value, sizeof(double)) ==
                  0);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const record_tensor *s = &a->tensors[i], *t = &b->tensors[i];
        ck_assert_uint_eq(s->n, t->n);
        ck_assert_msg(memcmp(s->data, t->data, s->n * sizeof *s->data) == 0, "%s", s->name);
    }
}

static bool differ(const record *a, const record *b)
{
    return a->steps[0].loss != b->steps[0].loss;
}

static const char *const strategies[] = {"pre_ln", "post_ln", "peri_ln", "admin", "ngpt"};
enum { STRATEGIES = sizeof strategies / sizeof *strategies };

/* In float64 nothing comes near the ends of the range, so a power of two changes no digit. */
START_TEST(test_loss_scale_alone_changes_no_bit)
{
    small_run plain, scaled;
    small_start(&plain, (small_net){.name = strategies[_i], .steps = 3});
    small_start(&scaled, (small_net){.name = strategies[_i],
                                     .steps = 3,
                                     .job = ",\"rounding\":{\"loss_scale\":65536}"});
    same_bits(&plain.r, &scaled.r);
    small_end(&plain);
    small_end(&scaled);
}
END_TEST

START_TEST(test_threads_do_not_change_stochastic_rounding)
{
    job j;
    record one, two;
    small_resolve(&j,
                  "{\"depth\":2,\"seeds\":[3],\"train\":2,\"rounding\":{\"format\":\"fp8_e5m2\","
                  "\"stochastic\":true,\"loss_scale\":1024}}");
    record_run(&one, &engine_f32, &j.runs[0].spec, 1, true, NULL, NULL);
    record_run(&two, &engine_f32, &j.runs[0].spec, 2, true, NULL, NULL);
    same_bits(&one, &two);
    record_deinit(&one);
    record_deinit(&two);
    job_deinit(&j);
}
END_TEST

/* bf16 keeps 8 digits: multiples of 2^(e-7). */
static bool is_bf16(double x)
{
    int e;
    double m = frexp(x, &e) * 256;
    return m == rint(m);
}

static size_t not_bf16(const record *r, const char *prefix)
{
    size_t wrong = 0;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const record_tensor *t = &r->tensors[i];
        if (t->when != TENSOR_PROBE || strncmp(t->name, prefix, strlen(prefix)) != 0) continue;
        for (size_t k = 0; k < t->n; k++) wrong += !is_bf16(t->data[k]);
    }
    return wrong;
}

START_TEST(test_what_a_run_rounds_is_in_the_format)
{
    small_run run;
    small_start(&run, (small_net){.name = strategies[_i], .job = ",\"rounding\":\"bf16\""});
    ck_assert_uint_eq(not_bf16(&run.r, "act."), 0);
    ck_assert_uint_eq(not_bf16(&run.r, "grad.1.resid_mid"), 0);
    ck_assert_uint_eq(not_bf16(&run.r, "grad.blocks.0.attn.q.weight"), 0);
    small_end(&run);
    small_start(&run, (small_net){.name = strategies[_i],
                                  .job = ",\"rounding\":{\"activations\":\"bf16\"}"});
    ck_assert_uint_eq(not_bf16(&run.r, "act."), 0);
    ck_assert_uint_gt(not_bf16(&run.r, "grad.1.resid_mid"), 0);
    small_end(&run);
}
END_TEST

/* What the passes read is rounded; what the optimizer keeps, and hands out, is not. */
START_TEST(test_weights_are_rounded_on_use)
{
    small_run plain, rounded, given;
    small_start(&plain, (small_net){.steps = 1});
    small_start(&rounded,
                (small_net){.steps = 1, .job = ",\"rounding\":{\"weights\":\"fp8_e5m2\"}"});
    ck_assert(differ(&plain.r, &rounded.r));
    const record_tensor *w = small_weight(&rounded, "blocks.1.mlp.up.weight");
    size_t fine = 0;
    for (size_t i = 0; i < w->n; i++) fine += !is_bf16(w->data[i]);
    ck_assert_uint_gt(fine, w->n / 2);
    small_end(&rounded);
    small_start(&given, (small_net){.steps = 1, .job = ",\"rounding\":{\"weights\":\"none\"}"});
    same_bits(&plain.r, &given.r);
    small_end(&given);
    small_end(&plain);
}
END_TEST

static void run_text(record *r, job *j, const char *text)
{
    small_resolve(j, text);
    record_run(r, &engine_f32, &j->runs[0].spec, 1, false, NULL, NULL);
}

static double measured(const record *r, int layer, site s, metric m)
{
    for (size_t i = 0; i < r->n_measurements; i++) {
        const measurement *x = &r->measurements[i];
        if (x->layer == layer && x->site == s && x->metric == m)
            return x->reason == REASON_NONE ? x->value : (double)NAN;
    }
    ck_abort_msg("no %s", metric_registry.rows[m]->name);
}

/* Gradients of 1e-4 and less are nothing in E4M3, whose least number is 2^-9; scaled they are. */
START_TEST(test_loss_scale_saves_gradients_from_underflow)
{
    static const char *const jobs[] = {"{\"depth\":2,\"seeds\":[0]}",
                                       "{\"depth\":2,\"seeds\":[0],\"rounding\":\"fp8_e4m3\"}",
                                       "{\"depth\":2,\"seeds\":[0],\"rounding\":{\"format\":"
                                       "\"fp8_e4m3\",\"loss_scale\":16384}}"};
    double rms[3];
    for (int i = 0; i < 3; i++) {
        job j;
        record r;
        run_text(&r, &j, jobs[i]);
        rms[i] = measured(&r, 1, SITE_resid_out, METRIC_grad_rms);
        record_deinit(&r);
        job_deinit(&j);
    }
    ck_assert_double_eq(rms[1], 0);
    /* 3 bits of mantissa at some ten ops: a few per cent each, in sums of many entries */
    ck_assert_double_eq_tol(rms[2] / rms[0], 1, 0.2);
}
END_TEST

/* Branches of 1e4 fit fp16. Pre-LN sums them in the stream until it does not; Peri-LN norms them
 * first. In float32 both are finite, and the metric that only compares says the same. */
START_TEST(test_fp16_overflow_is_met_where_it_was_predicted)
{
    static const char text[] = "{\"strategy\":\"%s\",\"depth\":24,\"seeds\":[0],\"init\":{\"gain\":"
                               "450,\"depth_scale\":false}%s}";
    static const char *const names[] = {"pre_ln", "peri_ln"};
    for (int i = 0; i < 2; i++) {
        char of_float[256], of_fp16[256];
        job j;
        record r;
        snprintf(of_float, sizeof of_float, text, names[i], "");
        run_text(&r, &j, of_float);
        double predicted = measured(&r, -1, SITE_run, METRIC_fp16_overflow_layer);
        ck_assert(!r.summary.diverged);
        record_deinit(&r);
        job_deinit(&j);
        snprintf(of_fp16, sizeof of_fp16, text, names[i], ",\"rounding\":\"fp16\"");
        run_text(&r, &j, of_fp16);
        ck_assert_int_eq(r.summary.diverged, i == 0);
        if (i == 0) {
            ck_assert_double_eq_tol(r.summary.diverged_layer, predicted, 1);
            ck_assert_int_gt(r.summary.diverged_layer, 1);
        } else {
            ck_assert(!isfinite(predicted));
        }
        record_deinit(&r);
        job_deinit(&j);
    }
}
END_TEST

/* Sites of a block in the order of the backward pass; k and v are found with q, whose product they
 * share. */
static const site descent[] = {SITE_resid_out, SITE_mlp_raw,  SITE_mlp_act,       SITE_mlp_pre,
                               SITE_resid_mid, SITE_attn_raw, SITE_attn_head_out, SITE_q};
enum { DOWN = sizeof descent / sizeof *descent, EXPLODING = 6 };

/* The largest gradient at each of them, in float32. */
static void gradients_down(double out[EXPLODING + 1][DOWN], const record *r)
{
    memset(out, 0, (EXPLODING + 1) * sizeof *out);
    for (size_t i = 0; i < r->n_measurements; i++) {
        const measurement *m = &r->measurements[i];
        if (m->metric != METRIC_grad_max_abs || m->layer < 1 || m->layer > EXPLODING) continue;
        site s = m->site == SITE_k || m->site == SITE_v ? SITE_q : m->site;
        for (int k = 0; k < DOWN; k++)
            if (descent[k] == s) out[m->layer][k] = fmax(out[m->layer][k], m->value);
    }
}

/* The first that is beyond 65504 times the scale; *clear: none up to there is within 10 % of it. */
static bool
first_beyond(double g[EXPLODING + 1][DOWN], double scale, int *layer, site *where, bool *clear)
{
    *clear = true;
    for (int l = EXPLODING; l >= 1; l--)
        for (int k = 0; k < DOWN; k++) {
            *clear &= fabs(log(g[l][k] * scale / 65504)) > 0.1;
            if (g[l][k] * scale <= 65504) continue;
            *layer = l, *where = descent[k];
            return true;
        }
    return false;
}

static void run_scaled(record *r, job *j, const char *text, const char *to, double scale)
{
    char filled[640];
    snprintf(filled, sizeof filled, text, to, scale);
    run_text(r, j, filled);
}

/* Without norms gradients grow toward the input. Whatever the loss scale, a run that rounds
 * them meets the first that is too large where float32, which holds them all, says. */
START_TEST(test_overflow_of_a_gradient_is_located)
{
    static const char text[] =
        "{\"strategy\":\"none\",\"depth\":6,\"seeds\":[0],\"train\":{\"steps\":1,\"lr\":1e-9},"
        "\"init\":{\"gain\":9,\"depth_scale\":false},\"measure\":{\"steps\":[0],\"metrics\":["
        "\"grad_max_abs\",\"grad_fp16_overflow_layer\"],\"sites\":[\"q\",\"k\",\"v\",\"attn_head_"
        "out\","
        "\"attn_raw\",\"resid_mid\",\"mlp_pre\",\"mlp_act\",\"mlp_raw\",\"resid_out\",\"run\"]},"
        "\"rounding\":{\"gradients\":\"%s\",\"loss_scale\":%.0f}}";
    double g[EXPLODING + 1][DOWN];
    bool seen[EXPLODING + 1] = {false};
    int layers = 0;
    job j;
    record r;
    run_scaled(&r, &j, text, "none", 1);
    gradients_down(g, &r);
    record_deinit(&r);
    job_deinit(&j);
    for (double scale = 256; scale < 0x1p24; scale *= 2) { /* beyond, the logits' is too large */
        int layer = 0;
        site where = SITE_run;
        bool clear;
        if (!first_beyond(g, scale, &layer, &where, &clear) || !clear) continue;
        run_scaled(&r, &j, text, "fp16", scale);
        ck_assert(r.summary.diverged && r.summary.diverged_backward);
        ck_assert(isfinite(r.steps[0].loss));
        ck_assert_int_eq(r.summary.diverged_step, 0);
        ck_assert_msg(r.summary.diverged_layer == layer && r.summary.diverged_site == where,
                      "scale %g: block %d %s, not block %d %s", scale, r.summary.diverged_layer,
                      site_registry.rows[r.summary.diverged_site]->name, layer,
                      site_registry.rows[where]->name);
        double stream = measured(&r, -1, SITE_run, METRIC_grad_fp16_overflow_layer);
        ck_assert_double_eq(stream, where == SITE_resid_out ? layer : layer - 1);
        record_deinit(&r);
        job_deinit(&j);
        layers += !seen[layer];
        seen[layer] = true;
    }
    ck_assert_int_ge(layers, 3);
}
END_TEST

/* A sum over tokens can be too large where no term is: all gradients of values are finite. */
START_TEST(test_overflow_of_a_weight_gradient_is_located)
{
    static const char text[] =
        "{\"strategy\":\"pre_ln\",\"depth\":2,\"seeds\":[0],\"train\":{\"steps\":1,\"lr\":1e-6},"
        "\"measure\":{\"steps\":[0],\"metrics\":[\"param_grad_max\",\"grad_max_abs\"]},"
        "\"rounding\":{\"format\":\"%s\",\"loss_scale\":%.0f}}";
    char job_text[512];
    job j;
    record r;
    double of_values = 0, of_weights = 0, scale = 1;
    int layer = -1;
    snprintf(job_text, sizeof job_text, text, "none", 1.0);
    run_text(&r, &j, job_text);
    for (size_t i = 0; i < r.n_measurements; i++) {
        const measurement *m = &r.measurements[i];
        if (m->metric == METRIC_grad_max_abs) of_values = fmax(of_values, m->value);
        if (m->metric == METRIC_param_grad_max && strstr(m->param, "weight") != NULL &&
            strstr(m->param, "norm") == NULL && m->value > of_weights)
            of_weights = m->value, layer = m->layer;
    }
    record_deinit(&r);
    job_deinit(&j);
    while (scale * of_weights <= 65504) scale *= 2;
    ck_assert_double_lt(scale * of_values, 65504 * 0.9);
    snprintf(job_text, sizeof job_text, text, "fp16", scale);
    run_text(&r, &j, job_text);
    ck_assert(r.summary.diverged && r.summary.diverged_backward);
    ck_assert_int_eq(r.summary.diverged_layer, layer);
    ck_assert_int_eq(r.summary.diverged_site, SITE_param);
    record_deinit(&r);
    job_deinit(&j);
}
END_TEST

/* Embeddings of 0.02 times the scale: 600 leaves E4M3 at once, whether it is only compared or cut
 * off to 448 there; E5M2 holds it. */
START_TEST(test_a_stream_that_is_cut_off_has_left_its_format)
{
    static const struct {
        const char *format;
        double scale;
        bool leaves;
    } cases[] = {{"none", 3e4, true},
                 {"fp8_e4m3", 3e4, true},
                 {"fp8_e4m3", 10, false},
                 {"fp8_e5m2", 3e4, true},
                 {"none", 10, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        job j;
        record r;
        snprintf(text, sizeof text,
                 "{\"depth\":2,\"seeds\":[0],\"model\":{\"embed_scale\":%g},\"rounding\":\"%s\"}",
                 cases[i].scale, cases[i].format);
        run_text(&r, &j, text);
        double e4m3 = measured(&r, -1, SITE_run, METRIC_fp8_e4m3_overflow_layer),
               e5m2 = measured(&r, -1, SITE_run, METRIC_fp8_e5m2_overflow_layer);
        ck_assert_msg(cases[i].leaves ? e4m3 == 0 : isnan(e4m3), "%s: %g", text, e4m3);
        ck_assert(isnan(e5m2));
        record_deinit(&r);
        job_deinit(&j);
    }
}
END_TEST

static void raise_stream_and_branch(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    if (small_has_role(t->name, "embed")) small_scale(t, 400);
    if (small_has_role(t->name, "mlp.down")) small_scale(t, 1e6);
}

/* Every entry of the MLP branch is cut off, to 448 or -448, and has no gradient. Where the stream
 * is of the other sign their sum is not: it keeps its gradient, though a sum hands it on to the
 * branch as it is. */
START_TEST(test_what_is_cut_off_has_no_gradient)
{
    small_run run;
    small_start(&run, (small_net){.change = raise_stream_and_branch,
                                  .depth = 1,
                                  .job = ",\"rounding\":{\"activations\":\"fp8_e4m3\"}"});
    const record_tensor *x = small_value(&run, 1, "resid_out"),
                        *g = small_gradient(&run, 0, "1.resid_out"),
                        *down = small_gradient(&run, 0, "blocks.0.mlp.down.weight");
    size_t cut = 0, kept = 0, learns = 0;
    for (size_t i = 0; i < x->n; i++) {
        bool at_end = fabs(x->data[i]) == 448;
        cut += at_end && g->data[i] == 0; /* not all: some come to 448 without exceeding it */
        kept += !at_end && g->data[i] != 0;
    }
    for (size_t i = 0; i < down->n; i++) learns += down->data[i] != 0;
    ck_assert_uint_gt(cut, x->n / 10);
    ck_assert_uint_gt(kept, x->n / 10);
    ck_assert_uint_lt(learns, down->n / 10);
    small_end(&run);
}
END_TEST

START_TEST(test_a_bare_name_means_activations_and_gradients)
{
    job a, b;
    small_resolve(&a, "{\"depth\":2,\"seeds\":[0],\"rounding\":\"fp16\"}");
    small_resolve(&b, "{\"depth\":2,\"seeds\":[0],\"rounding\":{\"activations\":\"fp16\","
                      "\"gradients\":\"fp16\"}}");
    ck_assert_str_eq(a.hash, b.hash);
    job_deinit(&a);
    job_deinit(&b);
}
END_TEST

static const struct {
    const char *text, *pointer;
    err_code code;
} refused[] = {
    {"{\"seeds\":[0],\"rounding\":\"fp12\"}", "/rounding", ERR_UNKNOWN_NAME},
    {"{\"seeds\":[0],\"rounding\":{\"weights\":\"fp12\"}}", "/rounding/weights", ERR_UNKNOWN_NAME},
    {"{\"seeds\":[0],\"rounding\":{\"loss_scale\":1000}}", "/rounding/loss_scale", ERR_COMBINATION},
    {"{\"seeds\":[0],\"rounding\":{\"loss_scale\":0}}", "/rounding/loss_scale", ERR_RANGE},
    {"{\"seeds\":[0],\"rounding\":{\"stochastic\":true}}", "/rounding/stochastic", ERR_COMBINATION},
    {"{\"seeds\":[0],\"rounding\":{\"format\":\"fp16\",\"scale\":\"row\"}}", "/rounding/scale",
     ERR_COMBINATION},
};

START_TEST(test_refusals_name_the_field)
{
    job j;
    error err;
    ck_assert_int_eq(small_read(&j, refused[_i].text, &err), refused[_i].code);
    ck_assert_str_eq(err.pointer, refused[_i].pointer);
    job_deinit(&j);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rounding");
    TCase *t = tcase_create("runs");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_loss_scale_alone_changes_no_bit, 0, STRATEGIES);
    tcase_add_test(t, test_threads_do_not_change_stochastic_rounding);
    tcase_add_loop_test(t, test_what_a_run_rounds_is_in_the_format, 0, STRATEGIES);
    tcase_add_test(t, test_weights_are_rounded_on_use);
    tcase_add_test(t, test_loss_scale_saves_gradients_from_underflow);
    tcase_add_test(t, test_fp16_overflow_is_met_where_it_was_predicted);
    tcase_add_test(t, test_overflow_of_a_gradient_is_located);
    tcase_add_test(t, test_overflow_of_a_weight_gradient_is_located);
    tcase_add_test(t, test_a_stream_that_is_cut_off_has_left_its_format);
    tcase_add_test(t, test_what_is_cut_off_has_no_gradient);
    tcase_add_test(t, test_a_bare_name_means_activations_and_gradients);
    tcase_add_loop_test(t, test_refusals_name_the_field, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(s, t);
    return suite_run(s);
}
