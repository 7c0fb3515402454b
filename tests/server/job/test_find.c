/* The deepest network that passes: which depths are tried, which runs are skipped; a job's own
 * rules. */
#include "server/job/expect.h"
#include "server/job/find.h"
#include "server/job/reader.h"
#include "server/store/judgement.h"
#include "server/verdict/study.h"
#include "tests/server/temp.h"
#include "tests/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- depths ----------------------------------------------------------------------------------- */

/* Depths below `limit` pass: what a bisection with skipping finds, and how many it tries. */
static int bisect(int min, int max, int limit, int *tried)
{
    int depths[FIND_CANDIDATES], n = find_depths(depths, min, max), best = 0;
    bool settled[FIND_CANDIDATES] = {false};
    *tried = 0;
    for (int k = 0; k < n; k++) {
        if (settled[k]) continue;
        verdict_level level = depths[k] < limit ? LEVEL_PASS : LEVEL_FAIL;
        ++*tried;
        if (level == LEVEL_PASS && depths[k] > best) best = depths[k];
        for (int i = k + 1; i < n; i++)
            settled[i] = settled[i] || find_settles(depths[i], depths[k], level);
    }
    return best;
}

START_TEST(test_bisection_finds_the_last_depth_that_passes)
{
    int tried;
    for (int max = 4; max <= 35; max++)
        for (int limit = 4; limit <= max + 1; limit++) {
            ck_assert_int_eq(bisect(4, max, limit, &tried), limit == 4 ? 0 : limit - 1);
            ck_assert_int_le(tried, 6); /* 1 + log2(32) */
        }
}
END_TEST

START_TEST(test_many_depths_are_a_geometric_progression)
{
    int depths[FIND_CANDIDATES], tried, n = find_depths(depths, 4, 256);
    ck_assert_int_gt(n, 24);
    int smallest = 1000, largest = 0;
    for (int i = 0; i < n; i++) {
        if (depths[i] < smallest) smallest = depths[i];
        if (depths[i] > largest) largest = depths[i];
        for (int k = 0; k < i; k++) ck_assert_int_ne(depths[i], depths[k]);
    }
    ck_assert_int_eq(smallest, 4);
    ck_assert_int_eq(largest, 256);
    ck_assert_int_lt(abs(depths[0] - 32), 4); /* the geometric middle comes first */
    int best = bisect(4, 256, 101, &tried);
    ck_assert(best > 101 / 1.15 && best < 101);
    ck_assert_int_le(tried, 6);
    ck_assert_int_eq(find_depths(depths, 7, 7), 1);
}
END_TEST

/* --- the reader ------------------------------------------------------------------------------- */

static job read_ok(const char *text)
{
    limits lim = limits_default();
    error err = {0};
    job j;
    lim.peak_bytes = 1 << 30;
    ck_assert_msg(reader_job(text, strlen(text), &lim, &j, &err) == ERR_OK, "%s: %s %s", text,
                  err.pointer, err.message);
    return j;
}

static const struct {
    const char *text;
    err_code code;
    const char *pointer;
} refused[] = {
    {"{\"expect\":{}}", ERR_TYPE, "/expect"},
    {"{\"expect\":[3]}", ERR_TYPE, "/expect/0"},
    {"{\"expect\":[{\"max\":1}]}", ERR_MISSING_FIELD, "/expect/0/metric"},
    {"{\"expect\":[{\"metric\":\"var\"}]}", ERR_MISSING_FIELD, "/expect/0/max"},
    {"{\"expect\":[{\"metric\":\"vra\",\"max\":1}]}", ERR_UNKNOWN_NAME, "/expect/0/metric"},
    {"{\"expect\":[{\"metric\":\"var\",\"mx\":1}]}", ERR_UNKNOWN_FIELD, "/expect/0/mx"},
    {"{\"expect\":[{\"metric\":\"var\",\"max\":\"1\"}]}", ERR_TYPE, "/expect/0/max"},
    {"{\"expect\":[{\"metric\":\"var\",\"min\":2,\"max\":1}]}", ERR_RANGE, "/expect/0/min"},
    {"{\"expect\":[{\"metric\":\"var\",\"max\":1,\"layer\":-1}]}", ERR_RANGE, "/expect/0/layer"},
    {"{\"expect\":[{\"metric\":\"var\",\"max\":1,\"layer\":1.5}]}", ERR_RANGE, "/expect/0/layer"},
    {"{\"expect\":[{\"metric\":\"loss\",\"max\":1,\"layer\":1}]}", ERR_COMBINATION,
     "/expect/0/layer"},
    {"{\"expect\":[{\"metric\":\"var\",\"max\":1,\"verdict\":\"pass\"}]}", ERR_RANGE,
     "/expect/0/verdict"},
    {"{\"expect\":[{\"metric\":\"var\",\"max\":1},{\"metric\":\"var\",\"max\":1,\"step\":2}]}",
     ERR_COMBINATION, "/expect/1/step"},
    {"{\"expect\":[{\"metric\":\"var\",\"site\":\"q\",\"max\":1}]}", ERR_COMBINATION,
     "/expect/0/site"},
    {"{\"measure\":{\"metrics\":[\"var\"]},\"expect\":[{\"metric\":\"rms\",\"max\":1}]}",
     ERR_COMBINATION, "/expect/0/metric"},
    {"{\"find\":3}", ERR_TYPE, "/find"},
    {"{\"find\":\"min_depth\"}", ERR_RANGE, "/find"},
    {"{\"find\":\"max_depth\"}", ERR_MISSING_FIELD, "/depth"},
    {"{\"find\":{}}", ERR_MISSING_FIELD, "/find/max_depth"},
    {"{\"find\":{\"max_depth\":0}}", ERR_RANGE, "/find/max_depth"},
    {"{\"find\":{\"max_depth\":1e9}}", ERR_RANGE, "/find/max_depth"},
    {"{\"find\":{\"max_depth\":4,\"min_depth\":5}}", ERR_RANGE, "/find/min_depth"},
    {"{\"find\":{\"max_depth\":4,\"depth\":5}}", ERR_UNKNOWN_FIELD, "/find/depth"},
    {"{\"find\":{\"max_depth\":4},\"depth\":5}", ERR_COMBINATION, "/depth"},
    {"{\"find\":{\"max_depth\":4},\"sweep\":{\"depth\":[5]}}", ERR_COMBINATION, "/sweep/depth"},
    {"{\"find\":{\"max_depth\":99},\"strategy\":{\"residual_scales\":[1,1]}}", ERR_COMBINATION,
     "/strategy/residual_scales"},
};

START_TEST(test_bad_expectations_and_searches_are_refused)
{
    limits lim = limits_default();
    error err = {0};
    job j;
    const char *text = refused[_i].text;
    err_code code = reader_job(text, strlen(text), &lim, &j, &err);
    ck_assert_msg(code == refused[_i].code, "%s: %s %s", text, error_name(code), err.message);
    ck_assert_msg(strcmp(err.pointer, refused[_i].pointer) == 0, "%s: %s", text, err.pointer);
    job_deinit(&j);
}
END_TEST

START_TEST(test_searches_and_expectations_are_part_of_the_identity)
{
    static const char *const texts[] = {
        "{\"depth\":8,\"find\":\"max_depth\"}",
        "{\"find\":{\"max_depth\":8}}",
        "{\"find\":{\"min_depth\":4,\"max_depth\":8},\"expect\":[]}",
        "{\"find\":{\"max_depth\":8},\"expect\":[{\"metric\":\"var\",\"max\":9}]}",
        "{\"find\":{\"max_depth\":8},\"expect\":[{\"max\":9,\"verdict\":\"fail\",\"site\":\"resid_"
        "out\","
        "\"metric\":\"var\"}]}",
        "{\"sweep\":{\"depth\":[4,5,6,7,8]}}",
    };
    enum { N = sizeof texts / sizeof *texts };
    static const int kind[N] = {0, 0, 0, 1, 1, 2};
    job j[N];
    for (int i = 0; i < N; i++) {
        j[i] = read_ok(texts[i]);
        job again = read_ok(j[i].resolved);
        ck_assert_str_eq(again.hash, j[i].hash);
        ck_assert_str_eq(again.runs[3].arm, j[i].runs[3].arm);
        job_deinit(&again);
        for (int k = 0; k < i; k++)
            ck_assert_msg((strcmp(j[i].hash, j[k].hash) == 0) == (kind[i] == kind[k]), "%s\n%s",
                          j[i].resolved, j[k].resolved);
    }
    ck_assert_int_eq(j[0].n_runs, 15);
    ck_assert_str_eq(j[0].runs[0].arm, "{\"depth\":6}"); /* the middle first */
    ck_assert_str_eq(find_others("{\"depth\":6}"), "}");
    ck_assert_str_eq(find_others("{\"depth\":6,\"strategy\":\"pre_ln\"}"),
                     "\"strategy\":\"pre_ln\"}");
    for (int i = 0; i < N; i++) job_deinit(&j[i]);
}
END_TEST

/* --- expectations ----------------------------------------------------------------------------- */

static verdict_finding finding(judgement *out, const char *text, measurement m)
{
    error err = {0};
    const run_result r = {.measurements = &m, .n_measurements = 1};
    ck_assert_int_eq(judgement_make(out, text, &r, &err), ERR_OK);
    return out->findings[RULE_ROWS];
}

START_TEST(test_expectations_are_judged_as_rules)
{
    static judgement j;
    measurement m = {.layer = 3, .site = SITE_resid_out, .metric = METRIC_var, .value = 5};
    static const char text[] =
        "{\"depth\":4,\"seeds\":[0],\"expect\":[{\"metric\":\"var\",\"max\":4}]}";
    verdict_finding f = finding(&j, text, m);
    ck_assert_int_eq(f.level, LEVEL_FAIL);
    ck_assert_int_eq(f.layer, 3);
    ck_assert_int_eq(j.level, LEVEL_FAIL);
    json_out o = {0};
    study_sentence(&o, &j.rules, j.findings, j.level);
    ck_assert_str_eq(o.text, "var at resid_out is 5 in block 3, expected at most 4");
    json_deinit(&o);
    judgement_deinit(&j);
    m.value = 4;
    ck_assert_int_eq(finding(&j, text, m).level, LEVEL_PASS);
    judgement_deinit(&j);
    m.metric = METRIC_rms;
    ck_assert_int_eq(finding(&j, text, m).level, LEVEL_NONE);
    judgement_deinit(&j);
    m = (measurement){.layer = -1, .site = SITE_run, .metric = METRIC_loss, .value = 5};
    f = finding(&j,
                "{\"depth\":4,\"seeds\":[0],\"expect\":[{\"metric\":\"loss\",\"min\":6,\"max\":7,"
                "\"verdict\":\"warn\"}]}",
                m);
    ck_assert_int_eq(f.level, LEVEL_WARN);
    judgement_deinit(&j);
    f = finding(
        &j, "{\"depth\":4,\"seeds\":[0],\"expect\":[{\"metric\":\"var\",\"layer\":2,\"max\":1}]}",
        (measurement){.layer = 3, .site = SITE_resid_out, .metric = METRIC_var, .value = 5});
    ck_assert_int_eq(f.level, LEVEL_NONE);
    judgement_deinit(&j);
}
END_TEST

/* --- the store -------------------------------------------------------------------------------- */

/* Finishes the next queued run: cosine 1 from depth `limit` on, 0 below. false: there is none. */
static bool finish_next(store *s, int limit)
{
    static judgement j;
    error err = {0};
    claimed_run run;
    bool found;
    ck_assert_int_eq(store_claim_run(s, UINT64_MAX, &run, &found, &err), ERR_OK);
    if (!found) return false;
    measurement m = {.layer = run.depth,
                     .site = SITE_resid_out,
                     .metric = METRIC_cos_mean,
                     .value = run.depth >= limit ? 1 : 0};
    run_result r = {.measurements = &m, .n_measurements = 1};
    ck_assert_int_eq(judgement_make(&j, run.spec, &r, &err), ERR_OK);
    r.rules = &j.rules;
    r.findings = j.findings;
    r.level = j.level;
    ck_assert_msg(store_finish_run(s, run.run_id, &r, &err) == ERR_OK, "%s", err.message);
    judgement_deinit(&j);
    claimed_run_deinit(&run);
    return true;
}

START_TEST(test_runs_that_are_not_needed_are_skipped_and_a_restart_goes_on)
{
    temp t;
    store *s;
    error err = {0};
    int64_t id;
    bool existing;
    int finished = 0;
    temp_init(&t);
    ck_assert_int_eq(store_open(&s, t.db, &err), ERR_OK);
    job j = read_ok("{\"find\":{\"max_depth\":19},\"seeds\":[0,1],\"sweep\":{\"strategy\":[\"pre_"
                    "ln\",\"post_ln\"]}}");
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    for (; finished < 5; finished++) ck_assert(finish_next(s, 9));
    store_close(s);
    ck_assert_int_eq(store_open(&s, t.db, &err), ERR_OK);
    ck_assert_int_eq(store_recover(s, &err), ERR_OK);
    while (finish_next(s, 9)) finished++;
    ck_assert_int_le(finished, 2 * 2 * 5); /* two arms, two seeds, 1 + log2(16) depths */
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs WHERE state = 'done'"), finished);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs WHERE state = 'skipped'"),
                     j.n_runs - finished);
    ck_assert_int_eq(temp_ask(s, "SELECT state = 'done' AND verdict = 'pass' FROM jobs"), 1);
    ck_assert_int_eq(
        temp_ask(s, "SELECT count(*) FROM jobs, json_each(verdict_json, '$.max_depth') m "
                    "WHERE m.value ->> 'deepest_pass' = 8 AND m.value ->> 'shallowest_fail' = 9"),
        2);
    job_state state;
    ck_assert_int_eq(store_job_state(s, id, &state, &err), ERR_OK);
    ck_assert_int_eq(state.done + state.skipped, state.runs_total);
    ck_assert_double_eq_tol(state.flops_ended, state.flops, 1e-6 * state.flops);
    store_close(s);
    job_deinit(&j);
    temp_deinit(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("find");
    TCase *c = tcase_create("depths");
    tcase_add_test(c, test_bisection_finds_the_last_depth_that_passes);
    tcase_add_test(c, test_many_depths_are_a_geometric_progression);
    suite_add_tcase(s, c);
    c = tcase_create("reader");
    tcase_add_loop_test(c, test_bad_expectations_and_searches_are_refused, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(c, test_searches_and_expectations_are_part_of_the_identity);
    tcase_add_test(c, test_expectations_are_judged_as_rules);
    suite_add_tcase(s, c);
    c = tcase_create("store");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_runs_that_are_not_needed_are_skipped_and_a_restart_goes_on);
    suite_add_tcase(s, c);
    return suite_run(s);
}
