/* Predictions against the engine: every row of the catalogue either lies within its tolerance of
 * what a small run measures at step 0, or says why there is no prediction. */
#include "server/reader.h"
#include "server/strategy.h"
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
        if (m[i].step == 0 && !m[i].param) measured[n_measured++] = m[i];
}

static void on_predict(void *user, const prediction *p, size_t n)
{
    (void)user;
    for (size_t i = 0; i < n && n_predicted < ROWS_MAX; i++) predicted[n_predicted++] = p[i];
}

static void read_one(const char *text, job *j)
{
    error err = {0};
    limits lim = limits_default();
    lim.depth = 1000000;
    ck_assert_msg(reader_job(text, strlen(text), &lim, j, &err) == ERR_OK, "%s: %s %s", text,
                  err.pointer, err.message);
}

static void run_both(const char *text)
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
    ck_assert_msg(e->run(spec, NULL, memory, cost.peak_bytes, &one, &to, &summary, &err) == ERR_OK,
                  "%s: %s", text, err.message);
    free(memory);
    team_stop(&one);
    job_deinit(&j);
}

static const measurement *find(const prediction *p)
{
    for (size_t i = 0; i < n_measured; i++)
        if (measured[i].layer == p->layer && measured[i].site == p->site &&
            measured[i].metric == p->metric)
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

/* Number of predictions that were compared. */
static int compare(const char *what)
{
    int n = 0;
    double worst = 0;
    for (size_t i = 0; i < n_predicted; i++) {
        const prediction *p = &predicted[i];
        const measurement *m = find(p);
        if (p->reason || !m || m->reason) continue;
        double r = residual(p, m);
        n++;
        if (r > worst) worst = r;
        ck_assert_msg(r <= 1, "%s: layer %d %s %s is %g, predicted %g with tolerance %g (%s)", what,
                      p->layer, site_registry.rows[p->site]->name,
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

int main(void)
{
    Suite *s = suite_create("theory");
    TCase *c = tcase_create("catalogue");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_every_strategy_is_as_predicted_or_says_why_not, 0,
                        strategy_registry.n);
    suite_add_tcase(s, c);
    return suite_run(s);
}
