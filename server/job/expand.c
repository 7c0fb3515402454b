#include "server/job/expand.h"

#include "server/job/blame.h"
#include "server/job/cost.h"
#include "server/job/resolve.h"

#include <stdlib.h>
#include <string.h>

/* --- one arm ---------------------------------------------------------------------------------- */

/* What this arm must have a use for. Of a job with a sweep that is what the sweep gives it: a field
 * beside the sweep needs one arm that it means something to (check_used). */
static void note_own(draft *out, const reading *r, const sweep_arm *arm)
{
    memset(out->own, 0, sizeof out->own);
    if (r->lim->stored) return;
    for (int a = r->sweep.n ? 0 : -1; a < r->sweep.n; a++) {
        const draft *d = a < 0 ? &r->base : &r->sweep.axes[a].values[arm->value[a]].given;
        for (int i = 0; i < FIELD_COUNT; i++) out->own[i] |= d->given[i];
    }
}

static err_code merge(draft *out, reading *r, const sweep_arm *arm, error *err)
{
    const draft *preset, *row_fields;
    err_code code =
        base_preset(&r->under, reading_named_row(r, arm, FIELD_model_preset, 0), &preset, err);
    if (code) return code;
    int row = reading_strategy_row(r, arm, preset);
    if (row >= 0 && (code = base_strategy(&r->under, row, &row_fields, err))) return code;
    *out = *preset;
    if (row >= 0) draft_overlay(out, row_fields);
    draft_overlay(out, &r->base);
    sweep_overlay(out, &r->sweep, arm);
    note_own(out, r, arm);
    return ERR_OK;
}

/* --- all arms --------------------------------------------------------------------------------- */

/* A corpus that no run reads is a mistake, not something to ignore. */
static err_code check_corpus(const reading *r, const job *j, error *err)
{
    bool given = r->base.given[FIELD_data_corpus];
    for (int a = 0; a < r->sweep.n; a++)
        given = given || r->sweep.axes[a].values[0].given.given[FIELD_data_corpus];
    for (int i = 0; i < j->n_runs && given; i += r->n_seeds)
        given = !resolve_needs_corpus(&j->runs[i].spec);
    if (!given) return ERR_OK;
    return error_set(err, ERR_COMBINATION, "/data/corpus",
                     "a corpus is named but data.source is not text");
}

/* A field beside the sweep that means something to no arm is refused, as without a sweep. */
static err_code check_used(reading *r, draft *merged, error *err)
{
    sweep_arm arm;
    run_spec spec;
    width_change width;
    if (!r->sweep.n || r->lim->stored) return ERR_OK;
    sweep_find_arm(&arm, &r->sweep, 0);
    err_code code = merge(merged, r, &arm, err);
    for (int i = 0; i < FIELD_COUNT; i++)
        merged->own[i] |= r->base.given[i] && !(r->uses & field_table[i].use);
    if (!code && resolve_run(&spec, merged, &width, err)) code = blame(r, &arm, err);
    return code;
}

static void note_width(reading *r, const width_change *w)
{
    if (w->scale <= 0 || r->n_noted == NOTES_MAX) return;
    for (int i = 0; i < r->n_noted; i++)
        if (r->noted[i].scale == w->scale && r->noted[i].from.d_model == w->from.d_model) return;
    r->noted[r->n_noted++] = *w;
    width_note(&r->notes, w);
}

static err_code
expand_arm(reading *r, int number, draft *merged, cost_memo *memo, job *out, error *err)
{
    sweep_arm arm;
    job_run *runs = &out->runs[(size_t)number * (size_t)r->n_seeds];
    sweep_find_arm(&arm, &r->sweep, number);
    err_code code = merge(merged, r, &arm, err);
    if (code) return code;
    width_change width;
    if (resolve_run(&runs[0].spec, merged, &width, err) ||
        expect_check(out->expect, &runs[0].spec, err) ||
        cost_run(memo, out, number * r->n_seeds, err))
        return blame(r, &arm, err);
    r->uses |= engine_f32.uses(&runs[0].spec);
    note_width(r, &width);
    json_out text = {0};
    sweep_arm_text(&text, &r->sweep, &arm);
    if (text.failed) {
        code = error_set(err, ERR_MEMORY, "", "not enough memory for the job");
    } else if (text.n >= JOB_ARM) {
        code = error_set(err, ERR_LIMIT, "/sweep",
                         "the swept values of one run take %zu bytes; the limit is %d", text.n,
                         JOB_ARM - 1);
    } else {
        memcpy(runs[0].arm, text.text, text.n + 1);
    }
    json_deinit(&text);
    for (int i = r->n_seeds - 1; i >= 0 && !code; i--) {
        if (i > 0) runs[i] = runs[0];
        runs[i].spec.seed = r->seeds[i];
    }
    return code;
}

/* A config is the model of all arms. */
static err_code check_config(const reading *r, error *err)
{
    if (!r->under.hf || !sweep_gives(&r->sweep, FIELD_model_preset)) return ERR_OK;
    return error_set(err, ERR_COMBINATION, "/model/hf_config",
                     "hf_config takes the place of a preset; the sweep names presets too");
}

/* What is needed before the first arm. */
static err_code begin(reading *r, error *err)
{
    err_code code = sweep_count(&r->sweep, r->n_seeds, r->lim->runs, &r->n_arms, err);
    if (code) {
        error_prefix(err, r->sweep.n ? "sweep" : "seeds");
        return code;
    }
    json_begin_array(&r->notes);
    code = base_init(&r->under, &r->base, r->lim->depth, err);
    return code ? code : check_config(r, err);
}

/* The report on the config and the notes, which the reading has collected, become the job's. */
static err_code give_echo(reading *r, job *out, error *err)
{
    json_end(&r->notes);
    out->notes = json_take(&r->notes);
    if (r->under.hf) out->coverage = r->under.hf->report, r->under.hf->report = NULL;
    return out->notes ? ERR_OK : error_set(err, ERR_MEMORY, "", "not enough memory for the job");
}

err_code expand_echo(reading *r, job *out, error *err)
{
    run_spec spec;
    width_change width;
    err_code code = begin(r, err);
    draft *merged = malloc(sizeof *merged);
    if (!code && !merged) {
        error_set(err, ERR_MEMORY, "", "not enough memory for the job");
        code = ERR_MEMORY;
    }
    for (int number = 0; number < r->n_arms && !code; number++) {
        sweep_arm arm;
        sweep_find_arm(&arm, &r->sweep, number);
        code = merge(merged, r, &arm, err);
        if (!code) code = resolve_run(&spec, merged, &width, err);
        if (!code) note_width(r, &width);
    }
    free(merged);
    return code ? code : give_echo(r, out, err);
}

err_code expand_runs(reading *r, job *out, error *err)
{
    err_code code = begin(r, err);
    if (code) return code;
    cost_memo memo = {0};
    draft *merged = malloc(sizeof *merged);
    for (int i = 0; i < FIELD_COUNT; i++)
        out->beside[i] = r->sweep.n && r->base.given[i] && !sweep_gives(&r->sweep, i);
    out->runs = calloc((size_t)r->n_arms * (size_t)r->n_seeds, sizeof *out->runs);
    if (!merged || !out->runs) {
        free(merged);
        return error_set(err, ERR_MEMORY, "", "not enough memory for %d runs",
                         r->n_arms * r->n_seeds);
    }
    code = cost_memo_init(&memo, r->lim, r->n_arms, err);
    for (int arm = 0; arm < r->n_arms && !code; arm++) {
        code = expand_arm(r, arm, merged, &memo, out, err);
        out->n_runs = (arm + 1) * r->n_seeds;
    }
    if (!code) code = check_used(r, merged, err);
    if (!code) code = give_echo(r, out, err);
    if (!code) code = cost_check_job(out, r->lim, err);
    if (!code) code = check_corpus(r, out, err);
    cost_memo_deinit(&memo);
    free(merged);
    return code;
}
