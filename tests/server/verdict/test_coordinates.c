/* The coordinate check: slopes of made-up series, how layers of different depth are matched, and
 * the two parametrizations on a small transformer. */
#include "server/verdict/coordinates.h"
#include "tests/small_net.h"
#include "tests/suite.h"

#include <cJSON.h>
#include <math.h>
#include <string.h>

/* The reply as a tree; the caller deletes it. */
static cJSON *result_of(coordinates *c, bool ended)
{
    json_out o = {0};
    json_begin_object(&o);
    coordinates_write(&o, NULL, c, ended);
    json_end(&o);
    ck_assert(!o.failed);
    cJSON *tree = cJSON_Parse(o.text);
    ck_assert_ptr_nonnull(tree);
    json_deinit(&o);
    return tree;
}

static const char *text_of(const cJSON *o, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(o, key));
    return text != NULL ? text : "null";
}

static const cJSON *
row_of(const cJSON *arm, const char *where, const char *at, const char *m, int k)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(arm, "rows"))
    {
        if (strcmp(text_of(row, "site"), where) == 0 && strcmp(text_of(row, "at"), at) == 0 &&
            strcmp(text_of(row, "metric"), m) == 0 &&
            cJSON_GetObjectItem(row, "step")->valueint == k)
            return row;
    }
    return NULL;
}

static double number_of(const cJSON *o, const char *key)
{
    const cJSON *n = cJSON_GetObjectItem(o, key);
    return cJSON_IsNumber(n) ? n->valuedouble : (double)NAN;
}

static void start(coordinates *c, const char *axis, const char *arm)
{
    error err = {0};
    if (coordinates_init(c, axis, arm, &err)) ck_abort_msg("%s", err.message);
}

/* y = x^power (1 + seed/10) at resid_out of the last block, for two seeds at widths 64 to 256. */
static void power_law(coordinates *c, const char *rest, double power, site s, int step)
{
    for (int width = 64; width <= 256; width *= 2)
        for (unsigned seed = 0; seed < 2; seed++) {
            char arm[128];
            snprintf(arm, sizeof arm, "{%s\"model.d_model\":%d}", rest, width);
            coordinates_run(c, arm, seed, 2);
            coordinates_add(c, step, 2, s, METRIC_delta_mean_abs,
                            pow(width, power) * (1 + 0.1 * seed), REASON_NONE);
        }
}

static const struct {
    double power;
    site site;
    int step;
    const char *verdict, *judged;
} laws[] = {
    {0.5, SITE_resid_out, 1, "fail", "both"},  {0.099, SITE_resid_out, 1, "pass", "both"},
    {-0.2, SITE_resid_out, 1, "fail", "both"}, {0.5, SITE_resid_out, 0, "null", "null"},
    {-0.5, SITE_logits, 1, "pass", "above"},   {0.2, SITE_logits, 1, "fail", "above"},
};

START_TEST(test_slope_of_a_power_is_its_exponent)
{
    coordinates c;
    start(&c, "auto", "{\"model.d_model\":64}");
    power_law(&c, "", laws[_i].power, laws[_i].site, laws[_i].step);
    cJSON *tree = result_of(&c, true);
    const cJSON *arm = cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "arms"), 0);
    const cJSON *row = row_of(arm, site_registry.rows[laws[_i].site]->name, "last",
                              "delta_mean_abs", laws[_i].step);
    ck_assert_double_eq_tol(number_of(row, "slope"), laws[_i].power, 1e-12);
    ck_assert_double_eq_tol(number_of(row, "spread"), 0, 1e-7);
    ck_assert_str_eq(text_of(row, "judged"), laws[_i].judged);
    ck_assert_str_eq(text_of(row, "verdict"), laws[_i].verdict);
    ck_assert_str_eq(text_of(tree, "verdict"), laws[_i].verdict);
    cJSON_Delete(tree);
    coordinates_deinit(&c);
}
END_TEST

START_TEST(test_arms_are_judged_apart_and_the_whole_is_as_its_worst)
{
    coordinates c;
    start(&c, NULL, "{\"strategy\":\"pre_ln\",\"model.d_model\":64}");
    power_law(&c, "\"strategy\":\"pre_ln\",", 0, SITE_resid_out, 1);
    power_law(&c, "\"strategy\":\"post_ln\",", 1, SITE_resid_out, 1);
    cJSON *tree = result_of(&c, true), *arms = cJSON_GetObjectItem(tree, "arms");
    ck_assert_int_eq(cJSON_GetArraySize(arms), 2);
    ck_assert_str_eq(text_of(cJSON_GetArrayItem(arms, 0), "verdict"), "pass");
    ck_assert_str_eq(text_of(cJSON_GetArrayItem(arms, 1), "verdict"), "fail");
    ck_assert_str_eq(text_of(tree, "verdict"), "fail");
    cJSON_Delete(tree);
    tree = result_of(&c, false); /* runs are still to come */
    ck_assert_str_eq(text_of(tree, "verdict"), "null");
    cJSON_Delete(tree);
    coordinates_deinit(&c);
}
END_TEST

/* Block 1, ceil(L/2) and L of each; the width that goes with the axis is no arm of its own. */
START_TEST(test_layers_of_different_depth_are_matched)
{
    coordinates c;
    start(&c, "depth", "{\"depth\":3,\"train\":{\"lr\":1}}");
    for (int depth = 3; depth <= 12; depth *= 2) {
        char arm[64];
        snprintf(arm, sizeof arm, "{\"depth\":%d,\"train\":{\"lr\":1}}", depth);
        coordinates_run(&c, arm, 7, depth);
        for (int l = 1; l <= depth; l++)
            coordinates_add(&c, 2, l, SITE_resid_out, METRIC_delta_mean_abs, l, REASON_NONE);
    }
    cJSON *tree = result_of(&c, true);
    const cJSON *arm = cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "arms"), 0);
    static const struct {
        const char *at;
        double values[3];
    } places[] = {{"first", {1, 1, 1}}, {"middle", {2, 3, 6}}, {"last", {3, 6, 12}}};
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(arm, "rows")), 3);
    for (int i = 0; i < 3; i++) {
        const cJSON *row = row_of(arm, "resid_out", places[i].at, "delta_mean_abs", 2);
        for (int k = 0; k < 3; k++)
            ck_assert_double_eq(
                cJSON_GetArrayItem(cJSON_GetObjectItem(row, "values"), k)->valuedouble,
                places[i].values[k]);
    }
    cJSON_Delete(tree);
    coordinates_deinit(&c);
}
END_TEST

START_TEST(test_what_is_not_finite_fails)
{
    coordinates c;
    start(&c, "model.d_model", "{\"model\":{\"d_model\":64,\"n_heads\":2}}");
    ck_assert_str_eq(c.axis, "model.d_model");
    coordinates_run(&c, "{\"model\":{\"d_model\":64,\"n_heads\":2}}", 0, 1);
    coordinates_add(&c, 1, 1, SITE_resid_out, METRIC_delta_mean_abs, 1, REASON_NONE);
    coordinates_run(&c, "{\"model\":{\"d_model\":128,\"n_heads\":4}}", 0, 1);
    coordinates_add(&c, 1, 1, SITE_resid_out, METRIC_delta_mean_abs, NAN, REASON_NAN);
    cJSON *tree = result_of(&c, true);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "arms")), 1);
    ck_assert_str_eq(text_of(tree, "verdict"), "fail");
    cJSON_Delete(tree);
    coordinates_deinit(&c);
}
END_TEST

START_TEST(test_an_axis_must_be_swept)
{
    static const char *const axes[] = {"depth", "strategy", NULL};
    for (int i = 0; i < 3; i++) {
        coordinates c;
        error err = {0};
        ck_assert_int_eq(coordinates_init(&c, axes[i], "{\"strategy\":\"pre_ln\"}", &err),
                         ERR_RANGE);
        ck_assert_ptr_nonnull(strstr(err.message, "swept over numbers"));
        coordinates_deinit(&c);
    }
}
END_TEST

/* --- the two parametrizations ----------------------------------------------------------------- */

static const char study[] =
    "{\"model\":{\"vocab\":64,\"n_heads\":4,\"tied\":false},\"depth\":2,"
    "\"init\":{\"scheme\":\"lecun\"},\"data\":{\"batches\":1,\"batch\":4,\"seq_len\":16},"
    "\"train\":{\"steps\":3,\"lr\":0.01,\"weight_decay\":0,\"clip\":null,"
    "\"parametrization\":\"%s\"},\"seeds\":[0,1],\"measure\":{\"steps\":[0,1,2,3],"
    "\"metrics\":[\"coordinate\"],\"sites\":[\"embed\",\"v\",\"mlp_act\",\"mlp_raw\","
    "\"resid_out\",\"lm_logits\"]},\"sweep\":{\"model.d_model\":[64,128,256]}}";

static cJSON *run_study(const char *parametrization)
{
    limits lim = {
        .body_bytes = 1 << 18, .runs = 6, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    char text[sizeof study + 32];
    job j;
    coordinates c;
    error err = {0};
    snprintf(text, sizeof text, study, parametrization);
    job_init(&j);
    if (reader_job(text, strlen(text), &lim, &j, &err))
        ck_abort_msg("%s: %s", err.pointer, err.message);
    start(&c, "auto", j.runs[0].arm);
    for (int i = 0; i < j.n_runs; i++) {
        record r;
        record_run(&r, &engine_f32, &j.runs[i].spec, 1, false, NULL, NULL);
        coordinates_run(&c, j.runs[i].arm, j.runs[i].spec.seed, j.runs[i].spec.depth);
        for (size_t k = 0; k < r.n_measurements; k++) {
            const measurement *m = &r.measurements[k];
            coordinates_add(&c, m->step, m->layer, m->site, m->metric, m->value, m->reason);
        }
        record_deinit(&r);
    }
    cJSON *tree = result_of(&c, true);
    coordinates_deinit(&c);
    job_deinit(&j);
    return tree;
}

/* Golden test of the reference: standard beyond 0.7, mup within 0.1. */
START_TEST(test_standard_grows_with_width_and_mup_does_not)
{
    cJSON *standard = run_study("standard"), *mup = run_study("mup");
    const cJSON *wild = cJSON_GetArrayItem(cJSON_GetObjectItem(standard, "arms"), 0),
                *tame = cJSON_GetArrayItem(cJSON_GetObjectItem(mup, "arms"), 0);
    for (int step = 2; step <= 3; step++)
        ck_assert_double_gt(
            number_of(row_of(wild, "resid_out", "last", "delta_mean_abs", step), "slope"), 0.7);
    for (int step = 1; step <= 3; step++)
        ck_assert_double_lt(
            fabs(number_of(row_of(tame, "resid_out", "last", "delta_mean_abs", step), "slope")),
            0.1);
    ck_assert_str_eq(text_of(standard, "verdict"), "fail");
    ck_assert_msg(strcmp(text_of(mup, "verdict"), "pass") == 0, "%s", text_of(tame, "sentence"));
    /* before the first update the standard one passes: nothing is judged there */
    ck_assert_double_lt(fabs(number_of(row_of(wild, "resid_out", "last", "mean_abs", 0), "slope")),
                        0.1);
    ck_assert_ptr_null(row_of(wild, "resid_out", "last", "delta_mean_abs", 0));
    cJSON_Delete(standard);
    cJSON_Delete(mup);
}
END_TEST

static const struct {
    const char *text, *pointer;
} refused[] = {
    {"{\"seeds\":[0],\"train\":1,\"measure\":{\"metrics\":[\"delta_rms\"]}}", "/data/batches"},
    {"{\"seeds\":[0],\"train\":1,\"data\":{\"batches\":1},\"measure\":{\"metrics\":[\"delta_rms\"],"
     "\"steps\":[1]}}",
     "/measure/steps"},
    {"{\"seeds\":[0],\"train\":{\"base_width\":32}}", "/train/base_width"},
    {"{\"seeds\":[0],\"strategy\":\"ngpt\",\"train\":{\"parametrization\":\"mup\"}}",
     "/train/parametrization"},
};

START_TEST(test_refusals_name_the_field)
{
    job j;
    error err;
    ck_assert_int_eq(small_read(&j, refused[_i].text, &err), ERR_COMBINATION);
    ck_assert_str_eq(err.pointer, refused[_i].pointer);
    job_deinit(&j);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("coordinates");
    TCase *t = tcase_create("check");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_slope_of_a_power_is_its_exponent, 0, sizeof laws / sizeof *laws);
    tcase_add_test(t, test_arms_are_judged_apart_and_the_whole_is_as_its_worst);
    tcase_add_test(t, test_layers_of_different_depth_are_matched);
    tcase_add_test(t, test_what_is_not_finite_fails);
    tcase_add_test(t, test_an_axis_must_be_swept);
    tcase_add_test(t, test_standard_grows_with_width_and_mup_does_not);
    tcase_add_loop_test(t, test_refusals_name_the_field, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(s, t);
    return suite_run(s);
}
