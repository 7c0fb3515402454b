#include "server/job/expand.h"

#include "server/job/canonical.h"
#include "server/job/cost.h"
#include "server/job/preset.h"
#include "server/job/resolve.h"
#include "server/job/strategy.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool expand_read_member(draft *d, const cJSON *member, int depth_max, err_code *code, error *err)
{
    int group = field_group_find(member->string);
    int id = group < 0 ? field_find("", member->string) : -1;
    if (group < 0 && (id < 0 || !field_table[id].size)) return false;
    *code = group >= 0 ? draft_read_group(d, group, member, depth_max, err)
                       : draft_read_field(d, (field_id)id, member, depth_max, err);
    if (*code) error_prefix(err, member->string);
    return true;
}

/* --- one arm ---------------------------------------------------------------------------------- */

/* The row that an arm names in a field (model.preset, strategy.name): the last axis that gives it,
 * else the job, else none. */
static int named_row(const reading *r, const sweep_arm *arm, field_id id, int none)
{
    int row = none;
    for (int a = -1; a < r->sweep.n; a++) {
        const draft *d = a < 0 ? &r->base : &r->sweep.axes[a].values[arm->value[a]].given;
        if (d->given[id]) row = id == FIELD_model_preset ? d->preset : d->strategy;
    }
    return row;
}

/* The strategy of an arm: what it names, else what its preset names, else -1. */
static int strategy_row(const reading *r, const sweep_arm *arm, const draft *preset)
{
    int of_preset = preset->given[FIELD_strategy_name] ? preset->strategy : -1;
    return named_row(r, arm, FIELD_strategy_name, of_preset);
}

static void note_own(draft *out, const reading *r, const sweep_arm *arm)
{
    memset(out->own, 0, sizeof out->own);
    for (int a = -1; a < r->sweep.n; a++) {
        const draft *d = a < 0 ? &r->base : &r->sweep.axes[a].values[arm->value[a]].given;
        for (int i = 0; i < FIELD_COUNT; i++) out->own[i] |= d->given[i];
    }
}

static err_code merge(draft *out, reading *r, const sweep_arm *arm, error *err)
{
    const draft *preset, *row_fields;
    err_code code = base_preset(&r->under, named_row(r, arm, FIELD_model_preset, 0), &preset, err);
    if (code) return code;
    int row = strategy_row(r, arm, preset);
    if (row >= 0 && (code = base_strategy(&r->under, row, &row_fields, err))) return code;
    *out = *preset;
    if (row >= 0) draft_overlay(out, row_fields);
    draft_overlay(out, &r->base);
    sweep_overlay(out, &r->sweep, arm);
    note_own(out, r, arm);
    return ERR_OK;
}

/* --- whom an error blames --------------------------------------------------------------------- */

/* The field that "/model/n_heads/…" names, or -1; *rest is what follows it. */
static int field_at(const char *pointer, const char **rest)
{
    char first[FIELD_PATH], second[FIELD_PATH];
    int n = 0, m = 0;
    if (sscanf(pointer, "/%47[^/]%n", first, &n) != 1) return -1;
    *rest = pointer + n;
    if (field_group_find(first) < 0) return field_find("", first);
    if (sscanf(*rest, "/%47[^/]%n", second, &m) != 1) return -1;
    *rest += m;
    return field_find(first, second);
}

static bool is_own(const reading *r, const sweep_arm *arm, int id)
{
    bool own = r->base.given[id];
    for (int a = 0; a < r->sweep.n; a++)
        own |= r->sweep.axes[a].values[arm->value[a]].given.given[id];
    return own;
}

/* Where the document says what the field of this arm is: not necessarily by its own name. */
static field_id said_by(const reading *r, const sweep_arm *arm, field_id id)
{
    int row = named_row(r, arm, FIELD_strategy_name, -1);
    bool by_strategy = row >= 0 && r->under.strategies[row].given[id];
    if (is_own(r, arm, id)) return id;
    if (by_strategy) return FIELD_strategy_name;
    return r->under.hf && r->under.hf->origin[id] ? FIELD_model_hf_config : id;
}

static void locate_in_config(const hf_config *c, field_id id, error *err)
{
    err->pointer[0] = '\0';
    error_prefix(err, c->origin[id]);
    if (c->inside) error_prefix(err, c->inside);
    error_prefix(err, "hf_config");
    error_prefix(err, "model");
}

/* The pointer to what the document itself says about a field: its sweep, its shorthand, itself. */
static void locate(const reading *r, const sweep_arm *arm, error *err)
{
    char rest[FIELD_PATH];
    const char *tail = "";
    int found = field_at(err->pointer, &tail);
    if (found < 0) return;
    field_id id = said_by(r, arm, (field_id)found);
    if (id == FIELD_model_hf_config) {
        locate_in_config(r->under.hf, (field_id)found, err);
        return;
    }
    if ((int)id != found) tail = "";
    const field *f = &field_table[id];
    snprintf(rest, sizeof rest, "%s", tail);
    for (int a = r->sweep.n - 1; a >= 0; a--) {
        const axis *x = &r->sweep.axes[a];
        const axis_value *v = &x->values[arm->value[a]];
        if (!v->given.given[id]) continue;
        if (x->hidden)
            snprintf(err->pointer, sizeof err->pointer, "/find/max_depth");
        else
            snprintf(err->pointer, sizeof err->pointer, "/sweep/%s/%d%s%s%s", x->path,
                     arm->value[a], v->is_object ? "/" : "", v->is_object ? f->name : "", rest);
        return;
    }
    if (!*f->group || !r->base.given[id]) return;
    const cJSON *member;
    cJSON_ArrayForEach(member, r->document)
    {
        if (strcmp(member->string, f->group) == 0 && !cJSON_IsObject(member))
            snprintf(err->pointer, sizeof err->pointer, "/%s%s", f->group, rest);
    }
}

static err_code blame(const reading *r, const sweep_arm *arm, error *err)
{
    locate(r, arm, err);
    if (r->n_arms == 1) return err->code;
    json_out text = {0};
    sweep_arm_text(&text, &r->sweep, arm);
    size_t n = strlen(err->message);
    if (!text.failed && n + text.n + 8 < sizeof err->message)
        snprintf(err->message + n, sizeof err->message - n, " (in %s)", text.text);
    json_deinit(&text);
    return err->code;
}

/* --- all arms --------------------------------------------------------------------------------- */

static bool any_axis_gives(const sweep *s, int id)
{
    for (int a = 0; a < s->n; a++)
        for (int i = 0; i < s->axes[a].n; i++)
            if (s->axes[a].values[i].given.given[id]) return true;
    return false;
}

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
    if (!r->under.hf || !any_axis_gives(&r->sweep, FIELD_model_preset)) return ERR_OK;
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
    if (!code) code = give_echo(r, out, err);
    if (!code) code = cost_check_job(out, r->lim, err);
    if (!code) code = check_corpus(r, out, err);
    cost_memo_deinit(&memo);
    free(merged);
    return code;
}

/* --- the canonical text ----------------------------------------------------------------------- */

/* Is the field given by every value of some axis? */
static bool is_swept(const sweep *s, int id)
{
    for (int a = 0; a < s->n; a++) {
        bool all = true;
        for (int i = 0; i < s->axes[a].n && all; i++) all = s->axes[a].values[i].given.given[id];
        if (all) return true;
    }
    return false;
}

static bool is_equal_in_all_runs(const reading *r, const job *j, const field *f)
{
    for (int i = r->n_seeds; i < j->n_runs; i += r->n_seeds)
        if (!field_equal(&j->runs[0].spec, &j->runs[i].spec, f)) return false;
    return true;
}

/* Is the field given by a strategy that some arm names? Only those rows have been read. */
static bool strategy_gives(const reading *r, int id)
{
    if (!any_axis_gives(&r->sweep, FIELD_strategy_name)) return false;
    for (int i = 0; i < strategy_registry.n; i++)
        if (r->under.strategy_read[i] && r->under.strategies[i].given[id]) return true;
    return false;
}

/* Fields that differ between arms because of the names these give: strategies set them, or a field
 * of a preset means nothing to some. */
static bool left_to_names(const reading *r, int id)
{
    return !r->base.given[id] && (strategy_gives(r, id) || field_table[id].use);
}

/* What the job is laid over where the sweep does not say: the preset, NULL while arms name others
 * and none is named here. */
static const draft *preset_below(reading *r)
{
    const draft *preset = NULL;
    bool named = r->base.given[FIELD_model_preset];
    if (named || !any_axis_gives(&r->sweep, FIELD_model_preset))
        base_preset(&r->under, named ? r->base.preset : 0, &preset, NULL);
    return preset;
}

/* The strategy likewise, -1 when there is none. */
static int strategy_below(const reading *r, const draft *preset)
{
    if (r->base.given[FIELD_strategy_name]) return r->base.strategy;
    bool by_preset = preset && preset->given[FIELD_strategy_name];
    return by_preset && !any_axis_gives(&r->sweep, FIELD_model_preset) ? preset->strategy : -1;
}

/* Does the text keep model.width_scale: does the sweep give it, or one of the fields that it sets,
 * or do these differ between arms? Then they are written as they were before, else scaled. */
static bool keeps_scale(const reading *r)
{
    bool any = any_axis_gives(&r->sweep, FIELD_model_width_scale);
    for (int id = 0; id < FIELD_COUNT && r->base.given[FIELD_model_width_scale]; id++)
        any |= width_sets((field_id)id) && (r->varies[id] || any_axis_gives(&r->sweep, id));
    return any;
}

/* Which fields have no one value that the text can give them for all runs. */
static void find_varying(reading *r, const job *j)
{
    for (int id = 0; id < FIELD_COUNT; id++)
        r->varies[id] = field_table[id].size && !is_equal_in_all_runs(r, j, &field_table[id]);
    bool keeps = keeps_scale(r), given = r->base.given[FIELD_model_width_scale] &&
                                         !is_swept(&r->sweep, FIELD_model_width_scale);
    r->kept_scale = keeps && given ? r->base.width_scale : 0;
    for (int id = 0; id < FIELD_COUNT && keeps; id++) r->varies[id] |= width_sets((field_id)id);
}

/* The base that, with the sweep, says the same as the job. A field with one value in all runs is
 * written; one that every value of an axis gives is not; of the others, what an arm has that does
 * not give it, where that is one value: a rule depends on the arm, and so does a preset that is
 * swept. */
static bool make_base(run_spec *base, bool include[FIELD_COUNT], reading *r, const job *j)
{
    bool preset_varies = any_axis_gives(&r->sweep, FIELD_model_preset),
         strategy_varies = any_axis_gives(&r->sweep, FIELD_strategy_name);
    const draft *preset = preset_below(r), *row_fields;
    int row = strategy_below(r, preset);
    draft *plain = calloc(1, sizeof *plain);
    if (!plain) return false;
    if (!preset_varies) *plain = *preset;
    if (!strategy_varies && row >= 0) {
        base_strategy(&r->under, row, &row_fields, NULL);
        draft_overlay(plain, row_fields);
    }
    draft_overlay(plain, &r->base);
    resolve_fixed(base, plain, NULL); /* the runs have been resolved: it cannot fail */
    for (int id = 0; id < FIELD_COUNT; id++) {
        const field *f = &field_table[id];
        bool fixed = plain->given[id] || (!f->rule && !preset_varies);
        if (left_to_names(r, id)) fixed = false;
        include[id] = f->size && fixed && !is_swept(&r->sweep, id);
        if (!f->size || r->varies[id]) continue;
        include[id] = true;
        field_copy(base, &j->runs[0].spec, f);
    }
    if (r->find.wanted) include[FIELD__depth] = false; /* find says it, be it one depth only */
    free(plain);
    return true;
}

/* Does some arm have the field from its preset: no axis and no strategy gives it? */
static bool reaches_an_arm(const reading *r, const draft *preset, int id)
{
    for (int number = 0; number < r->n_arms; number++) {
        sweep_arm arm;
        sweep_find_arm(&arm, &r->sweep, number);
        int row = strategy_row(r, &arm, preset);
        if (!is_own(r, &arm, id) && (row < 0 || !r->under.strategies[row].given[id])) return true;
    }
    return false;
}

/* The preset that the text needs, as JSON; text stays empty when it needs none. One that only some
 * arms replace is kept whole; else those fields are, written out, that the strategies of some arms
 * replace. */
static void write_preset(json_out *text, reading *r)
{
    bool varies = any_axis_gives(&r->sweep, FIELD_model_preset), keep[FIELD_COUNT], any = false;
    const draft *preset = preset_below(r);
    if (!preset || (varies && is_swept(&r->sweep, FIELD_model_preset))) return;
    if (varies && r->base.preset != DRAFT_WRITTEN_OUT) {
        json_string(text, preset_registry.rows[r->base.preset]->name);
        return;
    }
    for (int id = 0; id < FIELD_COUNT; id++) {
        const field *f = &field_table[id];
        keep[id] = preset->given[id] && f->size;
        if (!varies)
            keep[id] =
                keep[id] && left_to_names(r, id) && r->varies[id] && reaches_an_arm(r, preset, id);
        any |= keep[id];
    }
    if (any || varies) canonical_part(text, preset, keep, varies);
}

/* Does a strategy give fields that differ between arms though all have them from it? */
static bool gives_what_varies(const reading *r, int row)
{
    const draft *row_fields = &r->under.strategies[row];
    for (int id = 0; id < FIELD_COUNT; id++)
        if (row_fields->given[id] && left_to_names(r, id) && r->varies[id]) return true;
    return false;
}

/* A strategy that some arms replace and others leave to the base has to be named, and one whose
 * fields mean nothing to some. */
static const char *kept_strategy(reading *r)
{
    if (is_swept(&r->sweep, FIELD_strategy_name)) return NULL;
    int row = strategy_below(r, preset_below(r));
    bool needed =
        row >= 0 && (any_axis_gives(&r->sweep, FIELD_strategy_name) || gives_what_varies(r, row));
    return needed ? strategy_registry.rows[row]->name : NULL;
}

char *expand_resolved(reading *r, const job *j)
{
    bool include[FIELD_COUNT];
    run_spec base;
    json_out axes = {0}, text = {0}, preset = {0};
    find_varying(r, j);
    if (!make_base(&base, include, r, j)) return NULL;
    if (sweep_shown(&r->sweep)) sweep_text(&axes, &r->sweep);
    write_preset(&preset, r);
    json_begin_object(&text);
    canonical_names names = {preset.text, kept_strategy(r), r->kept_scale};
    canonical_members(&text, &base, include, names, r->seeds, r->n_seeds, axes.text);
    if (j->expect && j->expect->n) {
        json_key(&text, "expect");
        expect_write(&text, j->expect);
    }
    if (r->find.wanted) {
        json_key(&text, "find");
        find_write(&text, &r->find);
    }
    json_end(&text);
    text.failed = text.failed || axes.failed || preset.failed;
    json_deinit(&axes);
    json_deinit(&preset);
    return json_take(&text);
}

void expand_deinit(reading *r)
{
    json_deinit(&r->notes);
    base_deinit(&r->under);
    sweep_deinit(&r->sweep);
}
