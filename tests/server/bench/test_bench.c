/* What `normscope bench` compares must be the same work; how long it takes is nobody's claim. */
#include "server/bench/group.h"
#include "server/bench/job.h"
#include "server/job/reader.h"
#include "server/machine/blas.h"
#include "server/machine/block.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const networks[] = {
    "{\"model\":{\"preset\":\"mlp\",\"d_model\":32},\"depth\":3,\"data\":{\"batch\":2,\"seq_len\":"
    "9}}",
    "{\"model\":{\"d_model\":32,\"mlp\":\"none\"},\"depth\":3,\"data\":{\"batch\":2,\"seq_len\":9}"
    "}",
    "{\"model\":{\"d_model\":32,\"mixer\":\"none\"},\"depth\":3,\"data\":{\"batch\":2,\"seq_len\":"
    "9}}",
    "{\"model\":{\"d_model\":32,\"n_heads\":4,\"vocab\":50},\"depth\":3,\"data\":{\"batch\":2,"
    "\"seq_len\":9}}",
    "{\"model\":{\"d_model\":48,\"n_heads\":6,\"n_kv_heads\":2,\"activation\":\"swiglu\",\"d_ff\":"
    "72,"
    "\"position\":\"rope\",\"tied\":false},\"depth\":2,\"data\":{\"batch\":3,\"seq_len\":8}}",
    "{\"model\":{\"d_model\":32,\"n_heads\":2,\"parallel\":true,\"mask\":\"bidirectional\"},"
    "\"depth\":2,"
    "\"strategy\":\"peri_ln\",\"precision\":\"float64\",\"data\":{\"batch\":2,\"seq_len\":5}}",
    "{\"model\":{\"d_model\":32,\"n_heads\":6,\"n_kv_heads\":3,\"head_dim\":12,\"tied\":true},"
    "\"depth\":2,\"data\":{\"batch\":2,\"seq_len\":7}}",
};

static void resolve(job *j, const char *text)
{
    limits lim = limits_default();
    error err = {0};
    job_init(j);
    if (reader_job(text, strlen(text), &lim, j, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
}

START_TEST(test_products_are_the_arithmetic_the_engine_counts)
{
    job j;
    bench_gemm g;
    error err;
    resolve(&j, networks[_i]);
    ck_assert_int_eq(bench_gemm_init(&g, &j.runs[0].spec, &err), ERR_OK);
    double flops = bench_gemm_flops(&g), counted = j.runs[0].cost.flops;
    ck_assert_msg(flops == counted, "%.17g, the engine says %.17g", flops, counted);
    bench_gemm_deinit(&g);
    job_deinit(&j);
}
END_TEST

START_TEST(test_a_round_times_everything_once)
{
    static bench_job b;
    job j;
    error err = {0};
    resolve(&j, networks[_i]);
    ck_assert_msg(bench_job_measure(&b, &j, 2, 2, &err) == ERR_OK, "%s", err.message);
    ck_assert_int_eq(b.gemm.bound.n, 2);
    for (int pass = 0; pass < PASS_COUNT; pass++)
        for (int t = 0; t < BENCH_TEAMS; t++) {
            ck_assert_int_eq(b.cells[pass][t].times.n, 2);
            ck_assert(bench_least(&b.cells[pass][t].times, BENCH_CPU) > 0);
            ck_assert(b.cells[pass][t].peak_bytes > 0);
        }
    ck_assert(b.cells[PASS_ALL][0].measurements > b.cells[PASS_SCRIPT][0].measurements);
    ck_assert(b.cells[PASS_SCRIPT][0].measurements >= b.cells[PASS_STREAM][0].measurements);
    bench_job_deinit(&b);
    job_deinit(&j);
}
END_TEST

START_TEST(test_a_text_is_replaced_by_random_tokens_and_training_left_out)
{
    job j;
    resolve(&j, "{\"data\":{\"source\":\"text\",\"corpus\":\"book\"},\"train\":{\"steps\":9,"
                "\"warmup\":3}}");
    run_spec s = bench_pass_spec(&j.runs[0].spec, PASS_PLAIN);
    error err = {0};
    ck_assert_int_eq(s.train.steps, 0);
    ck_assert_str_eq(s.data.corpus, "");
    ck_assert_msg(engine_for(s.precision)->check(&s, &err) == ERR_OK, "%s", err.message);
    job_deinit(&j);
}
END_TEST

START_TEST(test_median_and_minimum)
{
    static const double ms[] = {5, 1, 4, 2};
    bench_times t = {0};
    ck_assert(bench_median(&t, BENCH_CPU) != bench_median(&t, BENCH_CPU)); /* NaN */
    for (int i = 0; i < 4; i++) bench_add(&t, (bench_time){{ms[i], -ms[i]}});
    ck_assert(bench_median(&t, BENCH_CPU) == 3 && bench_least(&t, BENCH_CPU) == 1);
    ck_assert(bench_median(&t, BENCH_WALL) == -3 && bench_least(&t, BENCH_WALL) == -5);
    t.n = 3;
    ck_assert(bench_median(&t, BENCH_CPU) == 4);
}
END_TEST

START_TEST(test_a_block_is_aligned_zero_and_writable_to_its_end)
{
    static const size_t sizes[] = {1, 4097, 2 << 20, (2 << 20) + 1, 9 << 20};
    size_t bytes = sizes[_i];
    unsigned char *p = block_map(bytes, _i % 2);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq((uintptr_t)p % (2 << 20), 0);
    ck_assert(p[0] == 0 && p[bytes - 1] == 0);
    p[0] = p[bytes - 1] = 1;
    block_unmap(p, bytes);
}
END_TEST

START_TEST(test_an_impossible_block_is_refused)
{
    ck_assert_ptr_null(block_map(0, false));
    ck_assert_ptr_null(block_map(SIZE_MAX, false));
    ck_assert_ptr_null(block_map(SIZE_MAX / 2, true));
    block_unmap(NULL, 0);
}
END_TEST

/* One network of 1 block: T 6, D 8, 2 heads, by hand. */
START_TEST(test_metrics_cost_what_the_arithmetic_says)
{
    job j;
    resolve(&j, "{\"model\":{\"d_model\":8,\"n_heads\":2,\"d_ff\":8,\"vocab\":5},\"depth\":1,"
                "\"data\":{\"source\":\"random_tokens\",\"batch\":3,\"seq_len\":6},\"train\":0,"
                "\"measure\":{\"sites\":[\"resid_out\",\"attn_prob\"],\"metrics\":[\"rms\","
                "\"stable_rank\",\"stable_rank_centred\",\"contraction\"]},\"seeds\":[1]}");
    const estimate *e = &j.runs[0].cost;
    const double one = 6 * 7 * 8 + 4.0 * 6 * 6 * 6 / 3 + 80 * 36,
                 head = 6 * 7 * 6 + 4.0 * 6 * 6 * 6 / 3 + 80 * 36;
    const double want[GROUP_COUNT] = {
        [GROUP_moments] = 3 * 20.0 * (6 * 8 + 2 * 36),
        [GROUP_spectrum] = 3 * one,
        [GROUP_contraction] = 3 * (3 * head + 2 * 6 * 6 * 6),
    };
    for (int k = 0; k < GROUP_COUNT; k++) {
        const metric_cost *c = &e->metrics[k];
        ck_assert_msg(fabs(c->flops - want[k]) < 1e-9 * want[k] + 1e-12, "%s: %g, not %g", c->group,
                      c->flops, want[k]);
        ck_assert_msg(c->wanted == (want[k] > 0) && (c->factor > 0) == c->wanted, "%s: %g",
                      c->group, c->factor);
    }
    job_deinit(&j);
}
END_TEST

/* Rows of metric_cost.def in the order of the groups of metric.def, none missing. */
START_TEST(test_every_group_of_metrics_has_a_cost)
{
    job j;
    int k = 0;
    resolve(&j, "{\"depth\":1,\"seeds\":[1]}");
    const metric_cost *costs = j.runs[0].cost.metrics;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *group = metric_registry.rows[i]->group;
        int known = 0;
        while (known < GROUP_COUNT && strcmp(costs[known].group, group) != 0) known++;
        ck_assert_msg(known < GROUP_COUNT, "%s has no row", group);
        k = known > k ? known : k;
    }
    ck_assert_int_eq(k, GROUP_COUNT - 1);
    job_deinit(&j);
}
END_TEST

static double factor_of(const char *measure, metric_group k)
{
    char text[512];
    job j;
    snprintf(text, sizeof text,
             "{\"model\":{\"d_model\":32,\"n_heads\":4,\"vocab\":50},\"depth\":4,\"data\":{"
             "\"batch\":2,\"seq_len\":16},\"train\":0,\"seeds\":[1],\"measure\":{%s}}",
             measure);
    resolve(&j, text);
    ck_assert(j.runs[0].cost.metrics[k].wanted);
    double factor = j.runs[0].cost.metrics[k].factor;
    job_deinit(&j);
    return factor;
}

/* Opt-in groups: what has passes of its own, by their number. */
START_TEST(test_passes_of_its_own_are_in_the_factor)
{
    const char *map = "\"metrics\":[\"hessian_max_block\"],\"iterations\":10";
    ck_assert_double_eq_tol(factor_of("\"metrics\":[\"noise\"]", GROUP_noise), 2, 1e-12);
    ck_assert_double_eq_tol(
        factor_of("\"metrics\":[\"hessian_max\"],\"iterations\":10", GROUP_sharpness), 20, 1e-12);
    /* blocks 1..4 of six segments: 2 iterations (5 + 4 + 3 + 2)/6 and a forward pass */
    ck_assert_double_eq_tol(factor_of(map, GROUP_sharpness), 1 / 3.0 + 20 * 14 / 6.0, 1e-9);
    ck_assert_double_gt(factor_of("\"metrics\":[\"zen\"]", GROUP_proxy), 10);
    ck_assert_double_gt(factor_of("\"metrics\":[\"outlier\"]", GROUP_outlier), 0.05);
    ck_assert_double_gt(factor_of("\"metrics\":[\"similarity\"]", GROUP_similarity), 0);
    ck_assert_double_gt(factor_of("\"metrics\":[\"jacobian\"]", GROUP_jacobian), 1);
}
END_TEST

START_TEST(test_groups_are_those_of_the_registry)
{
    job j;
    resolve(&j, "{\"name\":\"tiny\",\"depth\":1,\"seeds\":[1]}");
    bench_groups *all = malloc(sizeof *all);
    error err;
    ck_assert_ptr_nonnull(all);
    blas_single_thread();
    ck_assert_msg(bench_group_measure(all, &j, NULL, 2, &err) == ERR_OK, "%s", err.message);
    ck_assert_str_eq(all->rows[0].name, "moments");
    ck_assert_str_eq(all->rows[all->n - 1].name, "defaults");
    ck_assert_int_eq(all->plain.n, 2);
    for (int i = 0; i < all->n; i++) {
        ck_assert_int_eq(all->rows[i].times.n, 2);
        ck_assert(bench_group_share(all, &all->rows[i]) > -1);
        for (int k = 0; k < i; k++) ck_assert_str_ne(all->rows[k].name, all->rows[i].name);
        ck_assert(!all->rows[i].is_default ||
                  all->rows[i].predicted <= all->rows[all->n - 1].predicted);
    }
    const double predicted = all->rows[all->n - 1].predicted;
    ck_assert_int_eq(bench_group_measure(all, &j, "defaults", 1, &err), ERR_OK);
    ck_assert_int_eq(all->n, 1);
    ck_assert_double_eq(all->rows[0].predicted, predicted);
    ck_assert_int_eq(bench_group_measure(all, &j, "default", 1, &err), ERR_NOT_FOUND);
    free(all);
    job_deinit(&j);
}
END_TEST

int main(void)
{
    blas_single_thread();
    Suite *s = suite_create("bench");
    TCase *tc = tcase_create("bench");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_products_are_the_arithmetic_the_engine_counts, 0, 3);
    tcase_add_loop_test(tc, test_a_round_times_everything_once, 0, 3);
    tcase_add_test(tc, test_a_text_is_replaced_by_random_tokens_and_training_left_out);
    tcase_add_test(tc, test_median_and_minimum);
    tcase_add_loop_test(tc, test_a_block_is_aligned_zero_and_writable_to_its_end, 0, 5);
    tcase_add_test(tc, test_an_impossible_block_is_refused);
    tcase_add_test(tc, test_metrics_cost_what_the_arithmetic_says);
    tcase_add_test(tc, test_every_group_of_metrics_has_a_cost);
    tcase_add_test(tc, test_passes_of_its_own_are_in_the_factor);
    tcase_add_test(tc, test_groups_are_those_of_the_registry);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
