/* The training-free proxies: against PyTorch (tests/golden/proxy, made by tests/oracle/proxies.py),
 * and what holds exactly. Run from the root of the repository.
 */
#include "core/engine.h"
#include "server/job/reader.h"
#include "tests/record.h"
#include "tests/suite.h"
#include "tests/tolerance.h"

#include <cjson/cJSON.h>
#include <glob.h>

extern void openblas_set_num_threads(int n);

static glob_t files; /* set once in main, read by the forked tests */

/* Asked for is 1e-9. */
static const tolerance TOLERANCE_PROXY = {1e-10, 1e-13};
/* A null eigenvalue is 1e-16 of the largest: 1/(v + 1e-5) sees 1e-6 of that in 1e5. */
static const tolerance TOLERANCE_NULLS = {1e-9, 1e-5};
/* |cos|^(1/20) of a cosine near 0 loses digits: 1e-16 in the cosine. */
static const tolerance TOLERANCE_ROOT = {1e-9, 1e-9};
/* Singular values of rank-deficient gradients by way of the Gram matrix: each null one may come
 * out as 1e-8 of the largest where it is not recognized. */
static const tolerance TOLERANCE_NUCLEAR = {1e-8, 1e-12};
/* H g by central difference with a step of 1e-6 of the weights: 1e-12 of the third derivative, and
 * 1e-16 of the gradient over the step. */
static const tolerance TOLERANCE_HVP = {1e-6, 1e-9};

static tolerance proxy_tolerance(metric m)
{
    const char *name = metric_registry.rows[m]->name;
    if (strstr(name, "_cov")) return TOLERANCE_NULLS;
    if (strstr(name, "cosine")) return TOLERANCE_ROOT;
    if (strstr(name, "diversity")) return TOLERANCE_NUCLEAR;
    if (strstr(name, "grasp")) return TOLERANCE_HVP;
    return TOLERANCE_PROXY;
}

static cJSON *load(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    cJSON *json = cJSON_ParseWithLength(text, n);
    ck_assert_msg(json != NULL, "%s is not JSON", path);
    return json;
}

/* One run of a job given as text. */
typedef struct proxy_run_of {
    job j;
    record r;
    run_spec spec;
} proxy_run_of;

static void
run_job(proxy_run_of *k, const char *text, const engine *e, int threads, record_edit *edit)
{
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e13, .depth = 256};
    error err = {0};
    job_init(&k->j);
    if (reader_job(text, strlen(text), &lim, &k->j, &err) != ERR_OK)
        ck_abort_msg("%s: %s", err.pointer, err.message);
    k->spec = k->j.runs[0].spec;
    record_run(&k->r, e, &k->spec, threads, false, edit, k);
}

static void end_job(proxy_run_of *k)
{
    record_deinit(&k->r);
    job_deinit(&k->j);
}

static const measurement *find(const record *r, int layer, metric m)
{
    for (size_t i = 0; i < r->n_measurements; i++)
        if (r->measurements[i].layer == layer && r->measurements[i].metric == m)
            return &r->measurements[i];
    return NULL;
}

static double value_at(const record *r, int layer, metric m)
{
    const measurement *x = find(r, layer, m);
    ck_assert_msg(x != NULL, "no %s of layer %d", metric_registry.rows[m]->name, layer);
    ck_assert_msg(x->reason == REASON_NONE, "%s of layer %d: %s", metric_registry.rows[m]->name,
                  layer, reason_name(x->reason));
    return x->value;
}

static void edit_pattern(void *user, const run_spec *spec, const tensor_view *t)
{
    (void)user;
    pattern_fill(spec, t, false);
}

static int compare_row(const record *r, const char *file, int layer, const cJSON *row, bool single)
{
    int wrong = 0;
    const cJSON *golden;
    cJSON_ArrayForEach(golden, row)
    {
        int m = registry_find(&metric_registry, golden->string);
        ck_assert_msg(m >= 0, "no metric '%s'", golden->string);
        const measurement *x = find(r, layer, (metric)m);
        const char *why = cJSON_IsString(golden) ? golden->valuestring : "";
        ck_assert_msg(x != NULL, "%s: layer %d has no %s", file, layer, golden->string);
        if (single && (strstr(golden->string, "_cov") || strstr(golden->string, "grasp") ||
                       strstr(golden->string, "zen") || strstr(golden->string, "cosine")))
            continue; /* nulls, differences: nothing of float32 can be compared */
        tolerance t = single ? (tolerance){2e-4, 1e-5} : proxy_tolerance((metric)m);
        bool same = strcmp(reason_name(x->reason), why) == 0;
        double scale = fmax(fabs(x->value), fabs(golden->valuedouble));
        double off =
            same && *why == '\0' ? tolerance_excess(t, scale, x->value, golden->valuedouble) : 0;
        if (same && off <= 1) continue;
        wrong++;
        fprintf(stderr, "%s: layer %d %s: engine %.17g %s, golden %.17g %s\n", file, layer,
                golden->string, x->value, reason_name(x->reason), golden->valuedouble, why);
    }
    return wrong;
}

/* The job of the file, or the same with other metrics. */
static char *job_text(const cJSON *json, const char *metrics)
{
    cJSON *asked = cJSON_Duplicate(cJSON_GetObjectItem(json, "job"), true);
    if (metrics != NULL)
        cJSON_ReplaceItemInObject(cJSON_GetObjectItem(asked, "measure"), "metrics",
                                  cJSON_Parse(metrics));
    char *text = cJSON_PrintUnformatted(asked);
    cJSON_Delete(asked);
    return text;
}

static void compare_file(int index, bool single)
{
    const char *file = files.gl_pathv[index];
    cJSON *json = load(file);
    char *text = job_text(json, NULL);
    proxy_run_of k;
    int wrong = 0;
    size_t expected = 1; /* pass_flops */
    run_job(&k, text, single ? &engine_f32 : &engine_f64, 1 + index % 2, edit_pattern);
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(json, "measurements"))
    {
        const cJSON *values = cJSON_GetArrayItem(row, 1);
        int layer = (int)cJSON_GetNumberValue(cJSON_GetArrayItem(row, 0));
        expected += (size_t)cJSON_GetArraySize(values);
        wrong += compare_row(&k.r, file, layer, values, single);
    }
    ck_assert_msg(wrong == 0, "%s: %d values disagree", file, wrong);
    ck_assert_uint_eq(k.r.n_measurements, expected);
    end_job(&k);
    cJSON_free(text);
    cJSON_Delete(json);
}

START_TEST(test_proxies_agree_with_pytorch)
{
    compare_file(_i, false);
}
END_TEST

START_TEST(test_proxies_in_float32_agree_to_their_rounding)
{
    compare_file(_i, true);
}
END_TEST

/* Fewer metrics keep fewer values and gradients of a pass, and give the same bits. */
static const char *const few[] = {
    "[\"hidden_cov\",\"hidden_cov_unit\",\"softmax_confidence\",\"head_confidence\",\"naswot\"]",
    "[\"snip\",\"grasp\",\"grad_norm_sum\"]",
    "[\"zen\",\"synflow\"]",
    "[\"jacob_cov\",\"synaptic_saliency\",\"fisher\"]",
};

START_TEST(test_single_proxies_are_those_of_the_group)
{
    cJSON *json = load(files.gl_pathv[_i]);
    proxy_run_of all, one;
    char *text = job_text(json, NULL);
    run_job(&all, text, &engine_f32, 1, edit_pattern);
    cJSON_free(text);
    for (size_t f = 0; f < sizeof few / sizeof *few; f++) {
        text = job_text(json, few[f]);
        run_job(&one, text, &engine_f32, 1, edit_pattern);
        cJSON_free(text);
        ck_assert_uint_gt(one.r.n_measurements, 1);
        for (size_t i = 0; i < one.r.n_measurements; i++) {
            const measurement *a = &one.r.measurements[i], *b = find(&all.r, a->layer, a->metric);
            ck_assert_ptr_nonnull(b);
            ck_assert_int_eq(a->reason, b->reason);
            ck_assert_msg(memcmp(&a->value, &b->value, sizeof a->value) == 0,
                          "%s: layer %d %s alone %.17g, in the group %.17g", files.gl_pathv[_i],
                          a->layer, metric_registry.rows[a->metric]->name, a->value, b->value);
        }
        end_job(&one);
    }
    end_job(&all);
    cJSON_Delete(json);
}
END_TEST

/* --- what holds exactly ------------------------------------------------------------------------
 */

static const char *const CHAIN =
    "{\"model\":{\"d_model\":32,\"n_heads\":2,\"d_ff\":48,\"vocab\":16,\"activation\":\"relu\","
    "\"bias\":false,\"position\":\"none\"},\"strategy\":{\"placement\":\"value_skipinit\","
    "\"norm\":\"none\",\"final_norm\":false},\"init\":{\"scheme\":\"normal\",\"std\":%s},"
    "\"depth\":%d,\"data\":{\"source\":\"random_tokens\",\"batch\":3,\"seq_len\":4},"
    "\"train\":%d,\"measure\":{\"steps\":[0],\"metrics\":[%s]},\"seeds\":[1],"
    "\"precision\":\"%s\"}";

/* A multiply-add is 2: q, k, v, o and up, down of each block, logits and values of attention, the
 * vocabulary. With fewer key-value heads k and v are narrower, gated there are two up. */
START_TEST(test_flops_of_a_pass_are_those_of_its_products)
{
    enum { B = 3, T = 5, D = 24, FF = 40, V = 17, L = 2, H = 6, KV = 2 };
    static const char text[] =
        "{\"model\":{\"d_model\":24,\"n_heads\":6,\"n_kv_heads\":%d,\"d_ff\":40,\"vocab\":17,"
        "\"activation\":\"%s\"},\"strategy\":\"pre_ln\",\"depth\":2,\"data\":{\"source\":"
        "\"random_tokens\",\"batch\":3,\"seq_len\":5},\"train\":0,\"measure\":{\"steps\":[0],"
        "\"metrics\":[\"pass_flops\"]},\"seeds\":[1]}";
    for (int i = 0; i < 2; i++) {
        const double kv = i ? D * KV / H : D, up = i ? 2 : 1;
        const double block = 2.0 * (2 * D * D + 2 * D * kv + (up + 1) * D * FF) + 4.0 * T * D;
        char filled[1024];
        proxy_run_of k;
        snprintf(filled, sizeof filled, text, i ? KV : H, i ? "swiglu" : "gelu");
        run_job(&k, filled, &engine_f32, 1, NULL);
        ck_assert_double_eq(value_at(&k.r, -1, METRIC_pass_flops),
                            (double)B * T * (L * block + 2.0 * D * V));
        end_job(&k);
    }
}
END_TEST

/* In a chain without skips and biases each of v, o, up and down has the whole of R; q and k, which
 * weigh one token, have nothing. log10 R is some 180 here: float32 ends at 38. */
START_TEST(test_synflow_is_conserved_from_layer_to_layer)
{
    const char *const names[] = {"float64", "float32"};
    const engine *const engines[] = {&engine_f64, &engine_f32};
    const double rounding[] = {1e-10, 1e-5};
    char text[1024];
    proxy_run_of k;
    enum { DEPTH = 48 };
    snprintf(text, sizeof text, CHAIN, "1.0", DEPTH, 0, "\"synflow\",\"synflow_log10\"", names[_i]);
    run_job(&k, text, engines[_i], 1, NULL);
    double first = value_at(&k.r, 1, METRIC_synflow_log10);
    ck_assert_double_gt(first, 150);
    for (int l = 2; l <= DEPTH; l++)
        ck_assert_double_eq_tol(value_at(&k.r, l, METRIC_synflow_log10), first,
                                rounding[_i] / log(10));
    ck_assert_double_eq_tol(value_at(&k.r, -1, METRIC_synflow_log10), first + log10(DEPTH),
                            rounding[_i] / log(10));
    end_job(&k);
}
END_TEST

/* Where double overflows the score is infinite and its logarithm is not. */
START_TEST(test_synflow_beyond_the_range_of_double_has_a_logarithm)
{
    char text[1024];
    proxy_run_of k;
    snprintf(text, sizeof text, CHAIN, "100.0", 64, 0, "\"synflow\",\"synflow_log10\"", "float32");
    run_job(&k, text, &engine_f32, 1, NULL);
    ck_assert_double_gt(value_at(&k.r, -1, METRIC_synflow_log10), 309);
    ck_assert_int_eq(find(&k.r, -1, METRIC_synflow)->reason, REASON_POS_INF);
    end_job(&k);
}
END_TEST

/* The second sequence becomes the first. */
static void edit_twins(void *user, const run_spec *spec, const tensor_view *t)
{
    (void)user;
    size_t row = (size_t)spec->data.seq_len + 1;
    if (strcmp(t->name, "data.tokens") == 0)
        memcpy((int32_t *)t->data + row, t->data, row * sizeof(int32_t));
}

START_TEST(test_sequences_that_are_alike_are_a_reason_not_a_number)
{
    char text[1024];
    proxy_run_of k;
    snprintf(text, sizeof text, CHAIN, "0.2", 2, 0,
             "\"naswot\",\"activation_distance\",\"hidden_cov\",\"hidden_cov_nulls\"", "float64");
    run_job(&k, text, &engine_f64, 1, edit_twins);
    for (int l = 1; l <= 2; l++) {
        ck_assert_int_eq(find(&k.r, l, METRIC_naswot)->reason, REASON_SINGULAR);
        ck_assert_double_eq(value_at(&k.r, l, METRIC_hidden_cov_nulls), 1);
        ck_assert_double_lt(value_at(&k.r, l, METRIC_hidden_cov), -99900);
    }
    ck_assert_int_eq(find(&k.r, -1, METRIC_naswot)->reason, REASON_SINGULAR);
    ck_assert_double_gt(value_at(&k.r, -1, METRIC_activation_distance), 0);
    end_job(&k);
}
END_TEST

static bool is_proxy(metric m)
{
    return strcmp(metric_registry.rows[m]->group, "proxy") == 0;
}

/* Two updates with and without the group: steps and all other rows have the same bits; and the
 * proxies have, with one thread and with three. */
START_TEST(test_proxies_change_no_bit_of_the_run)
{
    char text[1024];
    proxy_run_of with, without;
    snprintf(text, sizeof text, CHAIN, "0.2", 2, 2, "\"rms\",\"grad_norm\",\"proxy\"", "float32");
    run_job(&with, text, &engine_f32, 1 + 2 * _i, NULL);
    snprintf(text, sizeof text, CHAIN, "0.2", 2, 2,
             _i ? "\"rms\",\"grad_norm\",\"proxy\"" : "\"rms\",\"grad_norm\"", "float32");
    run_job(&without, text, &engine_f32, 1, NULL);
    ck_assert_uint_eq(with.r.n_steps, 3);
    ck_assert_mem_eq(with.r.steps, without.r.steps, 3 * sizeof *with.r.steps);
    size_t other = 0;
    for (size_t i = 0; i < with.r.n_measurements; i++) {
        const measurement *a = &with.r.measurements[i], *b = &without.r.measurements[other];
        if (_i == 0 && is_proxy(a->metric)) continue;
        ck_assert_uint_lt(other++, without.r.n_measurements);
        ck_assert_int_eq(a->metric, b->metric);
        ck_assert_int_eq(a->layer, b->layer);
        ck_assert_int_eq(a->reason, b->reason);
        ck_assert_mem_eq(&a->value, &b->value, sizeof a->value);
    }
    ck_assert_uint_eq(other, without.r.n_measurements);
    end_job(&with);
    end_job(&without);
}
END_TEST

static bool on_progress(void *user, const progress *p)
{
    double *last = user;
    ck_assert_double_ge(p->fraction, *last);
    ck_assert_double_le(p->fraction, 1 + 1e-12);
    *last = p->fraction;
    return true;
}

/* The passes of the proxies are a part of the run, and not more than its memory is estimated. */
START_TEST(test_progress_goes_from_0_to_1)
{
    char text[1024];
    job j;
    limits lim = limits_default();
    error err = {0};
    double last = 0;
    run_summary summary;
    estimate cost;
    team t;
    snprintf(text, sizeof text, CHAIN, "0.2", 2, 3, "\"proxy\"", "float32");
    job_init(&j);
    ck_assert_int_eq(reader_job(text, strlen(text), &lim, &j, &err), ERR_OK);
    const run_spec *spec = &j.runs[0].spec;
    ck_assert_int_eq(engine_f32.estimate(spec, 2, false, &cost, &err), ERR_OK);
    size_t bytes = (cost.peak_bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    ck_assert_int_eq(team_start(&t, 2, &err), ERR_OK);
    sink to = {.user = &last, .progress = on_progress};
    ck_assert_int_eq(engine_f32.run(spec, NULL, memory, bytes, &t, &to, &summary, &err), ERR_OK);
    ck_assert_double_gt(last, 0.95); /* the last pass needs no gradient */
    ck_assert_int_eq(engine_f32.run(spec, NULL, memory, bytes / 2, &t, &to, &summary, &err),
                     ERR_MEMORY);
    team_stop(&t);
    free(memory);
    job_deinit(&j);
}
END_TEST

/* The stream of pre_crmsnorm is narrower than d_model: inputs cannot be given to it. */
START_TEST(test_what_has_no_form_says_so)
{
    proxy_run_of k;
    run_job(
        &k,
        "{\"model\":{\"d_model\":16,\"n_heads\":2},\"strategy\":\"pre_crmsnorm\",\"depth\":2,"
        "\"data\":{\"batch\":2,\"seq_len\":4},\"train\":0,\"measure\":{\"metrics\":[\"proxy\"]},"
        "\"seeds\":[1],\"precision\":\"float64\"}",
        &engine_f64, 1, NULL);
    ck_assert_int_eq(find(&k.r, -1, METRIC_zen)->reason, REASON_NO_FORM);
    value_at(&k.r, -1, METRIC_synflow_log10);
    value_at(&k.r, -1, METRIC_jacob_cov);
    end_job(&k);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    if (glob("tests/golden/proxy/*.json", 0, NULL, &files) != 0) {
        fprintf(stderr, "no tests/golden/proxy/*.json: run from the root of the repository\n");
        return 1;
    }
    Suite *s = suite_create("proxy");
    TCase *tc = tcase_create("proxies");
    tcase_set_timeout(tc, 60);
    int n = (int)files.gl_pathc;
    tcase_add_loop_test(tc, test_proxies_agree_with_pytorch, 0, n);
    tcase_add_loop_test(tc, test_proxies_in_float32_agree_to_their_rounding, 0, n);
    tcase_add_loop_test(tc, test_single_proxies_are_those_of_the_group, 0, n);
    tcase_add_test(tc, test_flops_of_a_pass_are_those_of_its_products);
    tcase_add_loop_test(tc, test_synflow_is_conserved_from_layer_to_layer, 0, 2);
    tcase_add_test(tc, test_synflow_beyond_the_range_of_double_has_a_logarithm);
    tcase_add_test(tc, test_sequences_that_are_alike_are_a_reason_not_a_number);
    tcase_add_loop_test(tc, test_proxies_change_no_bit_of_the_run, 0, 2);
    tcase_add_test(tc, test_progress_goes_from_0_to_1);
    tcase_add_test(tc, test_what_has_no_form_says_so);
    suite_add_tcase(s, tc);
    int failed = suite_run(s);
    globfree(&files);
    return failed;
}
