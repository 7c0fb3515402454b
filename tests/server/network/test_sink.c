/* Attention sinks of whole networks: against a plain loop over the attention matrices that a probe hands
 * out, and that asking for them changes no other number.
 */
#include "server/job/reader.h"
#include "tests/record.h"
#include "tests/suite.h"

static void read_net(job *j, const char *model, int length, const char *metrics)
{
    char text[1024];
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e14, .depth = 64};
    error err = {0};
    snprintf(text, sizeof text,
             "{\"model\":{\"d_model\":24,\"n_heads\":3,\"d_ff\":32,\"vocab\":17%s},\"depth\":3,"
             "\"data\":{\"source\":\"random_tokens\",\"batch\":3,\"seq_len\":%d,\"batches\":1},"
             "\"init\":{\"scheme\":\"normal\",\"std\":0.6},\"train\":{\"steps\":1},\"seeds\":[7],"
             "\"measure\":{\"steps\":[0,1],\"metrics\":[%s]},\"precision\":\"float64\"}",
             model, length, metrics);
    job_init(j);
    if (reader_job(text, strlen(text), &lim, j, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
}

static const measurement *find(const record *r, int step, int layer, metric m)
{
    for (size_t i = 0; i < r->n_measurements; i++) {
        const measurement *one = &r->measurements[i];
        if (one->step == step && one->layer == layer && one->metric == m) return one;
    }
    return NULL;
}

/* By head: over sequences and the queries that see key 0 and another. */
static void naive(const record *r, int step, int layer, bool causal, double *mean, double *most)
{
    char name[32];
    snprintf(name, sizeof name, "act.%d.attn_prob", layer);
    const record_tensor *a = record_need(r, TENSOR_PROBE, step, name);
    const size_t length = a->dims[a->rank - 1], heads = 3, batch = a->n / (heads * length * length);
    *mean = *most = 0;
    for (size_t h = 0; h < heads; h++) {
        double sum = 0;
        size_t n = 0;
        for (size_t b = 0; b < batch; b++)
            for (size_t i = causal ? 1 : 0; i < length; i++, n++)
                sum += a->data[((b * heads + h) * length + i) * length];
        *mean += sum / (double)n / (double)heads;
        *most = sum / (double)n > *most ? sum / (double)n : *most;
    }
}

static const char *const masks[] = {",\"mask\":\"causal\"", ",\"mask\":\"bidirectional\""};

START_TEST(test_sinks_are_the_loop_over_the_attention_matrices)
{
    job j;
    record r;
    read_net(&j, masks[_i], 11, "\"sink\"");
    record_run(&r, &engine_f64, &j.runs[0].spec, 2, true, NULL, NULL);
    for (int step = 0; step < 2; step++)
        for (int layer = 1; layer <= 3; layer++) {
            double mean, most;
            const measurement *a = find(&r, step, layer, METRIC_attn_sink_mean),
                              *b = find(&r, step, layer, METRIC_attn_sink_max);
            ck_assert(a && b && a->site == SITE_attn_prob && b->site == SITE_attn_prob);
            naive(&r, step, layer, _i == 0, &mean, &most);
            ck_assert_double_eq_tol(a->value, mean, 1e-14);
            ck_assert_double_eq_tol(b->value, most, 1e-14);
            ck_assert(most > mean);
        }
    ck_assert_uint_eq(r.n_measurements, 2 * 2 * 3);
    ck_assert_double_gt(j.runs[0].cost.metrics[GROUP_sink].factor, 0);
    record_deinit(&r);
    job_deinit(&j);
}
END_TEST

START_TEST(test_one_token_has_a_reason)
{
    job j;
    record r;
    read_net(&j, "", 1, "\"attn_sink_mean\"");
    record_run(&r, &engine_f64, &j.runs[0].spec, 1, false, NULL, NULL);
    const measurement *m = find(&r, 0, 1, METRIC_attn_sink_mean);
    ck_assert(m && m->reason == REASON_NO_ENTRIES);
    record_deinit(&r);
    job_deinit(&j);
}
END_TEST

START_TEST(test_asking_for_sinks_changes_no_other_number)
{
    job plain, asked;
    record a, b;
    read_net(&plain, "", 9, "\"moments\",\"attention\"");
    read_net(&asked, "", 9, "\"moments\",\"attention\",\"sink\"");
    record_run(&a, &engine_f64, &plain.runs[0].spec, 1, false, NULL, NULL);
    record_run(&b, &engine_f64, &asked.runs[0].spec, 1, false, NULL, NULL);
    size_t same = 0;
    for (size_t i = 0; i < b.n_measurements; i++) {
        if (metric_group_of(b.measurements[i].metric) == GROUP_sink) continue;
        ck_assert_uint_lt(same, a.n_measurements);
        ck_assert(a.measurements[same].metric == b.measurements[i].metric &&
                  a.measurements[same].layer == b.measurements[i].layer);
        ck_assert_mem_eq(&a.measurements[same].value, &b.measurements[i].value, sizeof(double));
        same++;
    }
    ck_assert_uint_eq(same, a.n_measurements);
    record_deinit(&a);
    record_deinit(&b);
    job_deinit(&plain);
    job_deinit(&asked);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sink");
    TCase *t = tcase_create("sink");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_sinks_are_the_loop_over_the_attention_matrices, 0, 2);
    tcase_add_test(t, test_one_token_has_a_reason);
    tcase_add_test(t, test_asking_for_sinks_changes_no_other_number);
    suite_add_tcase(s, t);
    return suite_run(s);
}
