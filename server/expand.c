#include "server/expand.h"

#include "server/canonical.h"
#include "server/cost.h"
#include "server/preset.h"
#include "server/resolve.h"
#include "server/strategy.h"

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

err_code expand_part(draft *out, const char *text, error *err)
{
    cJSON *tree = cJSON_Parse(text);
    if (!tree) return error_set(err, ERR_MEMORY, "", "not enough memory to read the job");
    err_code code = ERR_OK;
    const cJSON *member;
    cJSON_ArrayForEach(member, tree)
    {
        if (!code && !expand_read_member(out, member, 0, &code, err))
            code = error_set(err, ERR_INTERNAL, "", "a preset has a field %s", member->string);
    }
    cJSON_Delete(tree);
    return code;
}

static err_code read_part(draft *out, bool *is_read, const char *text, error *err)
{
    if (*is_read) return ERR_OK;
    err_code code = expand_part(out, text, err);
    *is_read = !code;
    return code;
}

static err_code read_preset(reading *r, int row, error *err)
{
    return read_part(&r->presets[row], &r->preset_read[row], preset_text(row), err);
}

static err_code read_strategy(reading *r, int row, error *err)
{
    return read_part(&r->strategies[row], &r->strategy_read[row], strategy_table[row]->job, err);
}

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
    int preset = named_row(r, arm, FIELD_model_preset, 0),
        strategy_row = named_row(r, arm, FIELD_strategy_name, -1);
    err_code code = read_preset(r, preset, err);
    if (!code && strategy_row >= 0) code = read_strategy(r, strategy_row, err);
    if (code) return code;
    *out = r->presets[preset];
    if (strategy_row >= 0) draft_overlay(out, &r->strategies[strategy_row]);
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

/* The pointer to what the document itself says about a field: its sweep, its shorthand, itself. */
static void locate(const reading *r, const sweep_arm *arm, error *err)
{
    char rest[FIELD_PATH];
    const char *tail = "";
    int id = field_at(err->pointer, &tail);
    if (id < 0) return;
    const draft *named = NULL;
    int row = named_row(r, arm, FIELD_strategy_name, -1);
    if (row >= 0) named = &r->strategies[row];
    if (named && named->given[id] && !is_own(r, arm, id)) id = FIELD_strategy_name, tail = "";
    const field *f = &field_table[id];
    snprintf(rest, sizeof rest, "%s", tail);
    for (int a = r->sweep.n - 1; a >= 0; a--) {
        const axis *x = &r->sweep.axes[a];
        const axis_value *v = &x->values[arm->value[a]];
        if (!v->given.given[id]) continue;
        snprintf(err->pointer, sizeof err->pointer, "/sweep/%s/%d%s%s%s", x->path, arm->value[a],
                 v->is_object ? "/" : "", v->is_object ? f->name : "", rest);
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

static err_code
expand_arm(reading *r, int number, draft *merged, cost_memo *memo, job *out, error *err)
{
    sweep_arm arm;
    job_run *runs = &out->runs[(size_t)number * (size_t)r->n_seeds];
    sweep_find_arm(&arm, &r->sweep, number);
    err_code code = merge(merged, r, &arm, err);
    if (code) return code;
    if (resolve_run(&runs[0].spec, merged, err) || cost_run(memo, out, number * r->n_seeds, err))
        return blame(r, &arm, err);
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

err_code expand_runs(reading *r, job *out, error *err)
{
    err_code code = sweep_count(&r->sweep, r->n_seeds, r->lim->runs, &r->n_arms, err);
    if (code) {
        error_prefix(err, r->sweep.n ? "sweep" : "seeds");
        return code;
    }
    cost_memo memo = {0};
    draft *merged = malloc(sizeof *merged);
    r->presets = calloc((size_t)preset_registry.n, sizeof *r->presets);
    r->preset_read = calloc((size_t)preset_registry.n, sizeof *r->preset_read);
    r->strategies = calloc((size_t)strategy_registry.n, sizeof *r->strategies);
    r->strategy_read = calloc((size_t)strategy_registry.n, sizeof *r->strategy_read);
    out->runs = calloc((size_t)r->n_arms * (size_t)r->n_seeds, sizeof *out->runs);
    if (!merged || !r->presets || !r->preset_read || !r->strategies || !r->strategy_read ||
        !out->runs) {
        free(merged);
        return error_set(err, ERR_MEMORY, "", "not enough memory for %d runs",
                         r->n_arms * r->n_seeds);
    }
    code = cost_memo_init(&memo, r->lim, r->n_arms, err);
    for (int arm = 0; arm < r->n_arms && !code; arm++) {
        code = expand_arm(r, arm, merged, &memo, out, err);
        out->n_runs = (arm + 1) * r->n_seeds;
    }
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

static bool any_axis_gives(const sweep *s, int id)
{
    for (int a = 0; a < s->n; a++)
        for (int i = 0; i < s->axes[a].n; i++)
            if (s->axes[a].values[i].given.given[id]) return true;
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
        if (r->strategy_read[i] && r->strategies[i].given[id]) return true;
    return false;
}

/* Fields that differ between arms because of the names these give: strategies set them, or a field
 * of a preset means nothing to some. */
static bool left_to_names(const reading *r, int id)
{
    return !r->base.given[id] && (strategy_gives(r, id) || field_table[id].use);
}

/* The base that, with the sweep, says the same as the job. A field with one value in all runs is
 * written; one that every value of an axis gives is not; of the others, what an arm has that does
 * not give it, where that is one value: a rule depends on the arm, and so does a preset that is
 * swept. */
static bool make_base(run_spec *base, bool include[FIELD_COUNT], const reading *r, const job *j)
{
    bool preset_varies = any_axis_gives(&r->sweep, FIELD_model_preset),
         strategy_varies = any_axis_gives(&r->sweep, FIELD_strategy_name);
    int preset = r->base.given[FIELD_model_preset] ? r->base.preset : 0;
    draft *plain = calloc(1, sizeof *plain);
    if (!plain) return false;
    if (!preset_varies) *plain = r->presets[preset];
    if (!strategy_varies && r->base.given[FIELD_strategy_name])
        draft_overlay(plain, &r->strategies[r->base.strategy]);
    draft_overlay(plain, &r->base);
    resolve_fixed(base, plain, NULL); /* the runs have been resolved: it cannot fail */
    for (int id = 0; id < FIELD_COUNT; id++) {
        const field *f = &field_table[id];
        bool fixed = plain->given[id] || (!f->rule && !preset_varies);
        if (left_to_names(r, id)) fixed = false;
        include[id] = f->size && fixed && !is_swept(&r->sweep, id);
        if (!f->size || !is_equal_in_all_runs(r, j, f)) continue;
        include[id] = true;
        field_copy(base, &j->runs[0].spec, f);
    }
    free(plain);
    return true;
}

/* A preset that some arms name and others leave to the base has to be kept, and one whose fields
 * the strategies of some arms replace. */
static const char *kept_preset(const reading *r, const job *j)
{
    bool needed =
        any_axis_gives(&r->sweep, FIELD_model_preset) && !is_swept(&r->sweep, FIELD_model_preset);
    if (!any_axis_gives(&r->sweep, FIELD_model_preset) && r->base.given[FIELD_model_preset])
        for (int id = 0; id < FIELD_COUNT; id++)
            needed |= r->presets[r->base.preset].given[id] && left_to_names(r, id) &&
                      !is_equal_in_all_runs(r, j, &field_table[id]);
    return needed && r->base.given[FIELD_model_preset] ? preset_registry.rows[r->base.preset]->name
                                                       : NULL;
}

/* Likewise a strategy that some arms name and others leave to the base. */
static const char *kept_strategy(const reading *r)
{
    bool needed =
        any_axis_gives(&r->sweep, FIELD_strategy_name) && !is_swept(&r->sweep, FIELD_strategy_name);
    return needed && r->base.given[FIELD_strategy_name]
               ? strategy_registry.rows[r->base.strategy]->name
               : NULL;
}

char *expand_resolved(const reading *r, const job *j)
{
    bool include[FIELD_COUNT];
    run_spec base;
    json_out axes = {0}, text = {0};
    if (!make_base(&base, include, r, j)) return NULL;
    if (r->sweep.n) sweep_text(&axes, &r->sweep);
    json_begin_object(&text);
    canonical_names names = {kept_preset(r, j), kept_strategy(r)};
    canonical_members(&text, &base, include, names, r->seeds, r->n_seeds, axes.text);
    json_end(&text);
    text.failed = text.failed || axes.failed;
    json_deinit(&axes);
    return json_take(&text);
}

void expand_deinit(reading *r)
{
    free(r->presets);
    free(r->preset_read);
    free(r->strategies);
    free(r->strategy_read);
    sweep_deinit(&r->sweep);
}
