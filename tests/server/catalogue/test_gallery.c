/* The gallery: every job runs, and what is expected of it holds. */
#include "server/catalogue/gallery_check.h"
#include "server/command/run_verdict.h"
#include "server/job/reader.h"
#include "server/machine/block.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static job job_of(const gallery *g)
{
    limits lim = limits_default();
    error err;
    job j;
    lim.peak_bytes = 1 << 30; /* on any machine */
    ck_assert_msg(reader_job(g->job, strlen(g->job), &lim, &j, &err) == ERR_OK, "%s: %s: %s",
                  g->entry.name, err.pointer, err.message);
    return j;
}

typedef struct running {
    gallery_check *check;
    run_verdict verdict;
    int run;
} running;

static void on_measure(void *user, const measurement *m, size_t n)
{
    running *r = user;
    gallery_check_measure(r->check, r->run, m, n);
    run_verdict_measure(&r->verdict, m, n);
}

static void want(spec_measure *m, const gallery_value *v)
{
    m->metrics[v->metric] = true;
    m->sites[v->site] = true;
}

/* The job measures more than is expected of it; the numbers do not depend on what else is measured.
 */
static spec_measure wanted(const gallery *g, const run_spec *spec)
{
    spec_measure m = spec->measure;
    memset(m.sites, 0, sizeof m.sites);
    memset(m.metrics, 0, sizeof m.metrics);
    for (int i = 0; i < gallery_count(g); i++) {
        want(&m, &g->expect[i].of);
        if (g->expect[i].is_ratio) want(&m, &g->expect[i].over);
    }
    /* And what the rules look at. */
    for (int i = 0; i < RULE_ROWS; i++) {
        int row = registry_find(&metric_registry, rule_table[i].metric);
        if (row >= 0) m.metrics[row] = spec->measure.metrics[row];
    }
    m.metrics[METRIC_grad_token_corr] = true;
    m.sites[SITE_run] = m.sites[SITE_resid_out] = m.sites[SITE_attn_prob] = true;
    return m;
}

static void run_one(running *r, const run_spec *given, team *one)
{
    run_spec spec = *given;
    spec.measure = wanted(r->check->gallery, given);
    const engine *e = engine_for(spec.precision);
    estimate cost;
    error err;
    run_summary summary;
    sink to = {.user = r, .measure = on_measure};
    ck_assert_msg(e->estimate(&spec, 1, false, &cost, &err) == ERR_OK, "%s", err.message);
    void *memory = block_map(cost.peak_bytes, false);
    ck_assert_ptr_nonnull(memory);
    ck_assert_int_eq(run_verdict_run(&r->verdict, r->run, &err), ERR_OK);
    err_code code = e->run(&spec, NULL, memory, cost.peak_bytes, one, &to, &summary, &err);
    block_unmap(memory, cost.peak_bytes);
    ck_assert_msg(code == ERR_OK, "%s", err.message);
    json_out text = {0};
    run_verdict_run_end(&r->verdict, &summary, &text);
    json_deinit(&text);
}

static const gallery_verdict *expected(const gallery *g, const char *arm)
{
    for (int i = 0; i < GALLERY_EXPECTATIONS && g->verdicts[i].level; i++)
        if (gallery_check_is_arm(arm, g->verdicts[i].arm)) return &g->verdicts[i];
    return NULL;
}

static bool has_level(const study *s, const study_arm *a, const gallery_verdict *v)
{
    for (int i = 0; i < s->rules->n; i++)
        if (!v->rule || strcmp(s->rules->at[i]->entry.name, v->rule) == 0)
            if (strcmp(verdict_level_name(a->of.level), v->level) == 0 &&
                (!v->rule || a->findings[i].level == a->of.level))
                return true;
    return false;
}

static void check_verdicts(const gallery *g, const study *s)
{
    for (int i = 0; i < s->n; i++) {
        const study_arm *a = &s->arms[i];
        const gallery_verdict *v = expected(g, a->arm);
        ck_assert_msg(v && has_level(s, a, v), "%s: %s, expected %s%s%s: %s", g->entry.name,
                      verdict_level_name(a->of.level), v ? v->level : "nothing",
                      v && v->rule ? " by " : "", v && v->rule ? v->rule : "", a->sentence);
    }
}

START_TEST(test_what_is_expected_of_a_gallery_job_holds)
{
    const gallery *g = &gallery_table[_i];
    gallery_check c;
    team one;
    error err;
    job j = job_of(g);
    running r = {.check = &c};
    gallery_check_init(&c, g, &j);
    ck_assert_int_eq(run_verdict_init(&r.verdict, &j, &err), ERR_OK);
    ck_assert_int_eq(team_start(&one, 1, &err), ERR_OK);
    for (r.run = 0; r.run < j.n_runs; r.run++) run_one(&r, &j.runs[r.run].spec, &one);
    team_stop(&one);
    ck_assert_int_gt(gallery_count(g), 0);
    for (int i = 0; i < gallery_count(g); i++)
        ck_assert_msg(gallery_check_holds(&c, i), "%s: %s: measured %.6g, expected %.6g to %.6g",
                      g->entry.name, g->expect[i].says, gallery_check_value(&c, i),
                      g->expect[i].min, g->expect[i].max);
    ck_assert_int_eq(run_verdict_end(&r.verdict, &err), ERR_OK);
    check_verdicts(g, &r.verdict.study);
    run_verdict_deinit(&r.verdict);
    job_deinit(&j);
}
END_TEST

static void is_measured(const gallery *g, const job *j, const gallery_value *v)
{
    bool found = false;
    for (int i = 0; i < j->n_runs && !found; i++) {
        const spec_measure *m = &j->runs[i].spec.measure;
        bool step = false;
        for (int k = 0; k < m->n_steps; k++) step |= m->steps[k] == v->step;
        found = gallery_check_is_arm(j->runs[i].arm, v->arm) && step && m->metrics[v->metric] &&
                m->sites[v->site];
    }
    ck_assert_msg(found, "%s does not measure %s of %s at step %d", g->entry.name,
                  metric_registry.rows[v->metric]->name, v->arm ? v->arm : "its arm", v->step);
}

START_TEST(test_a_gallery_job_measures_what_is_expected_of_it)
{
    const gallery *g = &gallery_table[_i];
    job j = job_of(g);
    ck_assert_msg(*j.name, "%s has no name", g->entry.name);
    for (int i = 0; i < gallery_count(g); i++) {
        const gallery_expectation *e = &g->expect[i];
        ck_assert_msg(e->min <= e->max, "%s: %s", g->entry.name, e->says);
        is_measured(g, &j, &e->of);
        if (e->is_ratio) is_measured(g, &j, &e->over);
    }
    job_deinit(&j);
}
END_TEST

/* --- the checking itself ---------------------------------------------------------------------- */

START_TEST(test_arms_are_found_by_whole_words)
{
    const char *arm = "{\"strategy\":\"post_ln\",\"depth\":48,\"init\":{\"std\":0.02}}";
    ck_assert(gallery_check_is_arm(arm, NULL));
    ck_assert(gallery_check_is_arm(arm, "post_ln 48"));
    ck_assert(gallery_check_is_arm(arm, "0.02 post_ln"));
    ck_assert(!gallery_check_is_arm(arm, "post_ln 4"));
    ck_assert(!gallery_check_is_arm(arm, "pre_ln"));
    ck_assert(!gallery_check_is_arm("{}", "pre_ln"));
}
END_TEST

static const gallery small = {
    .entry = {.name = "small"},
    .expect = {{.says = "mean",
                .min = 2,
                .max = 3,
                .of = {.metric = METRIC_var, .site = SITE_resid_out, .layer = LAYER_LAST}},
               {.says = "ratio",
                .min = 0,
                .max = 1,
                .is_ratio = true,
                .of = {.metric = METRIC_var, .site = SITE_resid_out, .layer = 1},
                .over = {.metric = METRIC_var, .site = SITE_resid_out, .layer = LAYER_LAST}}},
    .job = "{\"depth\":4,\"seeds\":[0,1]}"};

static void offer(gallery_check *c, int run, int layer, double value)
{
    measurement m = {.layer = layer,
                     .site = SITE_resid_out,
                     .metric = METRIC_var,
                     .value = value,
                     .reason = isnan(value) ? REASON_NAN : REASON_NONE};
    gallery_check_measure(c, run, &m, 1);
}

START_TEST(test_a_value_is_the_mean_over_seeds_and_nan_never_holds)
{
    gallery_check c;
    job j = job_of(&small);
    gallery_check_init(&c, &small, &j);
    ck_assert(!gallery_check_holds(&c, 0));
    offer(&c, 0, 4, 2);
    offer(&c, 1, 4, 3);
    offer(&c, 0, 1, 1);
    offer(&c, 0, 2, 1000);
    ck_assert_double_eq(gallery_check_value(&c, 0), 2.5);
    ck_assert_double_eq(gallery_check_value(&c, 1), 0.4);
    ck_assert(gallery_check_holds(&c, 0) && gallery_check_holds(&c, 1));
    offer(&c, 1, 1, (double)NAN);
    ck_assert(!gallery_check_holds(&c, 1));
    FILE *to = tmpfile();
    ck_assert_int_eq(gallery_check_print(&c, to), 1);
    fclose(to);
    job_deinit(&j);
}
END_TEST

START_TEST(test_names_on_the_command_line)
{
    ck_assert_int_eq(gallery_named("job.json"), -1);
    ck_assert_int_eq(gallery_named("gallery:no-such"), -2);
    ck_assert_int_ge(gallery_named("gallery:post-ln-48"), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gallery");
    TCase *c = tcase_create("rows");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, test_a_gallery_job_measures_what_is_expected_of_it, 0,
                        gallery_registry.n);
    tcase_add_loop_test(c, test_what_is_expected_of_a_gallery_job_holds, 0, gallery_registry.n);
    suite_add_tcase(s, c);
    c = tcase_create("checking");
    tcase_add_test(c, test_arms_are_found_by_whole_words);
    tcase_add_test(c, test_a_value_is_the_mean_over_seeds_and_nan_never_holds);
    tcase_add_test(c, test_names_on_the_command_line);
    suite_add_tcase(s, c);
    return suite_run(s);
}
