/* model.width_scale: what it scales, that the narrower network predicts the wide one, and that the
 * resolved text says the same. */
#include "server/job/reader.h"
#include "server/job/width.h"
#include "tests/record.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <string.h>

static err_code read_text(const char *text, job *j, error *err)
{
    limits lim = limits_default();
    lim.peak_bytes = UINT64_MAX;
    lim.flops = INFINITY;
    *err = (error){0};
    return reader_job(text, strlen(text), &lim, j, err);
}

static void read_ok(const char *text, job *j)
{
    error err;
    ck_assert_msg(read_text(text, j, &err) == ERR_OK, "%s: %s %s", text, err.pointer, err.message);
}

/* --- sizes --------------------------------------------------------------------------------------
 */

static const struct {
    const char *model;
    int d_model, n_heads, n_kv_heads, head_dim, d_ff;
    double std, embed_std;
} scaled[] = {
    {"\"preset\":\"gpt2\",\"width_scale\":0.25", 192, 3, 3, 64, 768, 0.04, 0.02},
    {"\"preset\":\"llama3_8b\",\"width_scale\":0.25", 1024, 8, 2, 128, 3584, 0.04, 0.02},
    {"\"preset\":\"llama3_8b\",\"width_scale\":0.1", 384, 3, 1, 128, 1344, 0.0653197, 0.02},
    /* One key-value head stays one. */
    {"\"preset\":\"gpt2\",\"n_kv_heads\":1,\"width_scale\":0.25", 192, 3, 1, 64, 768, 0.04, 0.02},
    /* Heads wider than their share: d_model in proportion to their number. */
    {"\"d_model\":2304,\"n_heads\":8,\"n_kv_heads\":4,\"head_dim\":256,\"d_ff\":9216,\"width_"
     "scale\":0.25",
     576, 2, 1, 256, 2304, 0.04, 0.02},
    /* Rounded to an even number, d_ff to a whole one. */
    {"\"d_model\":100,\"n_heads\":6,\"head_dim\":20,\"d_ff\":250,\"width_scale\":0.5", 50, 3, 3, 20,
     125, 0.0282843, 0.02},
    {"\"d_model\":100,\"n_heads\":7,\"head_dim\":16,\"d_ff\":251,\"width_scale\":0.5", 58, 4, 4, 16,
     146, 0.0262613, 0.02},
    /* One head is the least. */
    {"\"preset\":\"tiny\",\"width_scale\":0.001", 16, 1, 1, 16, 64, 0.04, 0.02},
};

START_TEST(test_heads_keep_their_width)
{
    job j;
    char text[256];
    snprintf(text, sizeof text, "{\"model\":{%s}}", scaled[_i].model);
    read_ok(text, &j);
    const spec_model *m = &j.runs[0].spec.model;
    ck_assert_int_eq(m->d_model, scaled[_i].d_model);
    ck_assert_int_eq(m->n_heads, scaled[_i].n_heads);
    ck_assert_int_eq(m->n_kv_heads, scaled[_i].n_kv_heads);
    ck_assert_int_eq(m->head_dim, scaled[_i].head_dim);
    ck_assert_int_eq(m->d_ff, scaled[_i].d_ff);
    ck_assert_double_eq_tol(j.runs[0].spec.init.std, scaled[_i].std, 1e-6);
    ck_assert_double_eq_tol(j.runs[0].spec.init.embed_std, scaled[_i].embed_std, 1e-12);
    ck_assert_ptr_null(strstr(j.resolved, "width_scale"));
    ck_assert_ptr_nonnull(strstr(j.notes, "d_model"));
    ck_assert_ptr_nonnull(strstr(j.notes, "1/sqrt(d_model)"));
    job_deinit(&j);
}
END_TEST

START_TEST(test_scale_of_one_changes_nothing_and_is_not_told)
{
    job a, b;
    read_ok("{\"model\":\"gpt2\"}", &a);
    read_ok("{\"model\":{\"preset\":\"gpt2\",\"width_scale\":1}}", &b);
    ck_assert_str_eq(a.hash, b.hash);
    ck_assert_str_eq(b.notes, "[]");
    job_deinit(&a);
    job_deinit(&b);
}
END_TEST

/* Schemes without a std of their own: maps follow their fan in, only the table is fixed. */
START_TEST(test_tables_of_any_scheme_keep_their_deviation)
{
    static const char *const schemes[] = {"xavier", "lecun", "fairseq", "full_megatron", "gpt2"};
    const char *scheme = schemes[_i];
    job whole, part;
    char text[256];
    snprintf(text, sizeof text, "{\"model\":{\"d_model\":64},\"init\":\"%s\"}", scheme);
    read_ok(text, &whole);
    snprintf(text, sizeof text, "{\"model\":{\"d_model\":64,\"width_scale\":0.5},\"init\":\"%s\"}",
             scheme);
    read_ok(text, &part);
    const run_spec *w = &whole.runs[0].spec, *p = &part.runs[0].spec;
    ck_assert_double_eq_tol(p->init.embed_std, engine_f32.init_table_std(w, false), 1e-15);
    if (strcmp(scheme, "full_megatron") == 0) /* its std is a function of the width already */
        ck_assert_double_eq_tol(p->init.std, engine_f32.init_std(p), 1e-15);
    job_deinit(&whole);
    job_deinit(&part);
}
END_TEST

/* --- the prediction ------------------------------------------------------------------------------
 */

static double variance(const record *r, int layer)
{
    for (size_t i = 0; i < r->n_measurements; i++)
        if (r->measurements[i].layer == layer && r->measurements[i].metric == METRIC_var)
            return r->measurements[i].value;
    ck_abort_msg("layer %d was not measured", layer);
}

/* Mean over seeds of the variance of the stream after each block. */
static void measure(double out[5], const char *scale, const char *strategy)
{
    job j;
    char text[512];
    snprintf(text, sizeof text,
             "{\"model\":{\"preset\":\"small\",\"activation\":\"relu\",\"width_scale\":%s},"
             "\"strategy\":\"%s\",\"depth\":4,\"init\":{\"scheme\":\"normal\",\"std\":0.06},"
             "\"data\":{\"seq_len\":32},\"train\":{\"loss\":\"grad_iid\"},"
             "\"measure\":{\"sites\":[\"resid_out\",\"embed\"],\"metrics\":[\"var\"]},"
             "\"seeds\":[1,2,3,4,5,6,7,8]}",
             scale, strategy);
    read_ok(text, &j);
    for (int l = 0; l < 5; l++) out[l] = 0;
    for (int i = 0; i < j.n_runs; i++) {
        record r;
        record_run(&r, &engine_f32, &j.runs[i].spec, 1, false, NULL, NULL);
        for (int l = 0; l < 5; l++) out[l] += variance(&r, l) / j.n_runs;
        record_deinit(&r);
    }
    job_deinit(&j);
}

START_TEST(test_narrow_network_predicts_the_variance_of_the_wide_one)
{
    static const char *const strategies[] = {"pre_ln", "none", "peri_ln"};
    double wide[5], narrow[5];
    measure(wide, "1", strategies[_i]);
    measure(narrow, "0.5", strategies[_i]);
    ck_assert_double_gt(wide[4], 1.2 * wide[0]); /* there is something to predict */
    for (int l = 0; l < 5; l++)                  /* widths 256 and 128, eight seeds each */
        ck_assert_msg(fabs(narrow[l] / wide[l] - 1) < 0.12, "%s, layer %d: %g, %g", strategies[_i],
                      l, narrow[l], wide[l]);
}
END_TEST

/* --- the resolved text ---------------------------------------------------------------------------
 */

static const char *const swept[] = {
    "{\"model\":\"gpt2\",\"sweep\":{\"model.width_scale\":[0.25,0.5,1]}}",
    "{\"model\":{\"width_scale\":0.5},\"sweep\":{\"model.d_model\":[64,128]}}",
    "{\"model\":{\"width_scale\":0.5},\"sweep\":{\"model\":[\"tiny\",\"small\"]}}",
    "{\"model\":{\"width_scale\":0.5},\"sweep\":{\"init\":[\"gpt2\",\"xavier\"]}}",
    "{\"model\":{\"width_scale\":0.5},\"sweep\":{\"model\":[{\"width_scale\":0.25},{\"n_heads\":2}]"
    "}}",
    "{\"model\":{\"width_scale\":0.5},\"sweep\":{\"strategy\":[\"pre_ln\",\"deepnorm\",\"ngpt\"]}}",
    "{\"model\":{\"preset\":\"bert_base\",\"width_scale\":0.25},\"sweep\":{\"strategy\":[\"pre_"
    "ln\","
    "\"sandwich_depth_scaled\"]}}",
};

START_TEST(test_scaled_job_resolves_to_itself)
{
    job j, again;
    read_ok(swept[_i], &j);
    read_ok(j.resolved, &again);
    ck_assert_msg(strcmp(j.resolved, again.resolved) == 0, "%s\n%s", j.resolved, again.resolved);
    ck_assert_int_eq(j.n_runs, again.n_runs);
    for (int i = 0; i < j.n_runs; i++)
        ck_assert_msg(memcmp(&j.runs[i].spec, &again.runs[i].spec, sizeof j.runs[i].spec) == 0,
                      "run %d of %s", i, j.resolved);
    job_deinit(&j);
    job_deinit(&again);
}
END_TEST

START_TEST(test_each_width_is_told_once)
{
    job j;
    read_ok(swept[0], &j);
    int n = 0;
    for (const char *p = j.notes; (p = strstr(p, "width_scale ")); p++) n++;
    ck_assert_int_eq(n, 2);
    job_deinit(&j);
}
END_TEST

static const struct {
    const char *text;
    err_code code;
    const char *pointer;
} refused[] = {
    {"{\"model\":{\"width_scale\":0}}", ERR_RANGE, "/model/width_scale"},
    {"{\"model\":{\"width_scale\":1.5}}", ERR_RANGE, "/model/width_scale"},
    {"{\"model\":{\"width_scale\":null}}", ERR_TYPE, "/model/width_scale"},
    {"{\"model\":{\"width_scale\":\"half\"}}", ERR_TYPE, "/model/width_scale"},
    {"{\"model\":{\"d_model\":63,\"width_scale\":0.5}}", ERR_COMBINATION, "/model/n_heads"},
    {"{\"model\":{\"n_kv_heads\":3,\"width_scale\":0.5}}", ERR_COMBINATION, "/model/n_kv_heads"},
};

START_TEST(test_bad_scale_is_refused)
{
    job j;
    error err;
    err_code code = read_text(refused[_i].text, &j, &err);
    ck_assert_msg(code == refused[_i].code, "%s: %s", refused[_i].text, err.message);
    ck_assert_str_eq(err.pointer, refused[_i].pointer);
    job_deinit(&j);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("width");
    TCase *c = tcase_create("width");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, test_heads_keep_their_width, 0, sizeof scaled / sizeof *scaled);
    tcase_add_test(c, test_scale_of_one_changes_nothing_and_is_not_told);
    tcase_add_loop_test(c, test_tables_of_any_scheme_keep_their_deviation, 0, 5);
    tcase_add_loop_test(c, test_narrow_network_predicts_the_variance_of_the_wide_one, 0, 3);
    tcase_add_loop_test(c, test_scaled_job_resolves_to_itself, 0, sizeof swept / sizeof *swept);
    tcase_add_test(c, test_each_width_is_told_once);
    tcase_add_loop_test(c, test_bad_scale_is_refused, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(s, c);
    return suite_run(s);
}
