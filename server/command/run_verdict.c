#include "server/command/run_verdict.h"

#include "server/job/differs.h"
#include "server/job/expect.h"
#include "server/job/find.h"

#include <stdlib.h>
#include <string.h>

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "not enough memory for the verdict");
}

err_code run_verdict_init(run_verdict *v, const job *j, error *err)
{
    *v = (run_verdict){.job = j};
    if (j->expect)
        verdict_rules(&v->rules, j->expect->rules, j->expect->n);
    else
        verdict_rules(&v->rules, NULL, 0);
    study_init(&v->study, &v->rules, j->finds_depth);
    v->findings = calloc((size_t)j->n_runs * (size_t)v->rules.n, sizeof *v->findings);
    v->judged = calloc((size_t)j->n_runs, sizeof *v->judged);
    v->skipped = calloc((size_t)j->n_runs, sizeof *v->skipped);
    return v->findings && v->judged && v->skipped ? ERR_OK : no_memory(err);
}

err_code run_verdict_run(run_verdict *v, int index, error *err)
{
    v->run = index;
    verdict_intake_deinit(&v->intake);
    bool ok = verdict_intake_init(&v->intake, &v->rules, &v->job->runs[index].spec);
    v->intake.given_weights = v->given_weights;
    return ok ? ERR_OK : no_memory(err);
}

void run_verdict_measure(run_verdict *v, const measurement *m, size_t n)
{
    verdict_intake_measure(&v->intake, m, n);
}

bool run_verdict_skips(const run_verdict *v, int index)
{
    return v->skipped[index];
}

/* Runs of one arm stand together, seeds fastest. */
static int runs_of_arm(const job *j, int first)
{
    int n = 0;
    while (first + n < j->n_runs && strcmp(j->runs[first].arm, j->runs[first + n].arm) == 0) n++;
    return n;
}

/* When the last seed of an arm has been judged, other depths may have become unnecessary. */
static void skip_others(run_verdict *v)
{
    const job *j = v->job;
    verdict_arm arm;
    verdict_finding f[RULES_MAX];
    int first = v->run;
    while (first > 0 && strcmp(j->runs[first - 1].arm, j->runs[v->run].arm) == 0) first--;
    if (v->run != first + runs_of_arm(j, first) - 1) return;
    verdict_arm_judge(&arm, f, &v->rules, v->findings + (size_t)first * (size_t)v->rules.n,
                      v->run - first + 1);
    for (int i = 0; i < j->n_runs; i++) {
        const char *a = find_others(j->runs[i].arm), *b = find_others(j->runs[first].arm);
        bool settled = find_settles(j->runs[i].spec.depth, j->runs[first].spec.depth, arm.by_rules);
        if (!v->judged[i] && settled && strcmp(a, b) == 0) v->skipped[i] = true;
    }
}

verdict_level run_verdict_run_end(run_verdict *v, const run_summary *summary, json_out *text)
{
    verdict_finding *f = v->findings + (size_t)v->run * (size_t)v->rules.n;
    verdict_level level = verdict_judge(f, &v->intake, summary);
    json_out sentence = {0};
    v->judged[v->run] = true;
    if (v->job->finds_depth) skip_others(v);
    study_sentence(&sentence, &v->rules, f, level);
    json_begin_object(text);
    json_string_member(text, "verdict", verdict_level_name(level));
    json_string_member(text, "sentence", sentence.text);
    json_end(text);
    json_deinit(&sentence);
    return level;
}

static const char *placement_of(const run_spec *spec)
{
    const registry *const *all = engine_for(spec->precision)->registries;
    for (; *all; all++)
        if (strcmp((*all)->kind, "placements") == 0)
            return (*all)->rows[spec->strategy.placement]->name;
    return NULL;
}

static void add_arms(run_verdict *v)
{
    const job *j = v->job;
    for (int i = 0, n; i < j->n_runs; i += n) {
        int judged = 0;
        n = runs_of_arm(j, i);
        for (int k = 0; k < n; k++) judged += v->judged[i + k];
        study_add(&v->study, *j->runs[i].arm ? j->runs[i].arm : "{}",
                  placement_of(&j->runs[i].spec), j->runs[i].spec.depth,
                  v->findings + (size_t)i * (size_t)v->rules.n, judged);
    }
}

err_code run_verdict_end(run_verdict *v, error *err)
{
    json_out differs = {0}, o = {0};
    add_arms(v);
    bool ok = study_end(&v->study);
    job_differs(&differs, v->job);
    json_begin_object(&o);
    if (ok) study_json(&o, &v->study, differs.text);
    json_end(&o);
    v->text = json_take(&o);
    json_deinit(&differs);
    return ok && v->text ? ERR_OK : no_memory(err);
}

void run_verdict_deinit(run_verdict *v)
{
    verdict_intake_deinit(&v->intake);
    study_deinit(&v->study);
    free(v->findings);
    free(v->judged);
    free(v->skipped);
    free(v->text);
    *v = (run_verdict){0};
}

int run_verdict_status(verdict_level level, bool strict)
{
    if (level == LEVEL_FAIL) return RUN_UNEXPECTED;
    return level == LEVEL_WARN && strict ? RUN_WARNED : 0;
}
