#include "server/job/resolved.h"

#include "server/job/canonical.h"
#include "server/job/preset.h"
#include "server/job/resolve.h"
#include "server/job/strategy.h"

#include <stdlib.h>

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
    if (!sweep_gives(&r->sweep, FIELD_strategy_name)) return false;
    for (int i = 0; i < strategy_registry.n; i++)
        if (r->under.strategy_read[i] && r->under.strategies[i].given[id]) return true;
    return false;
}

/* Fields that differ between arms because of the names these give: strategies set them, or a field
 * of a preset means nothing to some. */
static bool left_to_names(const reading *r, int id)
{
    const field *f = &field_table[id];
    return !r->base.given[id] && (strategy_gives(r, id) || (f->use && !f->omitted));
}

/* What the job is laid over where the sweep does not say: the preset, NULL while arms name others
 * and none is named here. */
static const draft *preset_below(reading *r)
{
    const draft *preset = NULL;
    bool named = r->base.given[FIELD_model_preset];
    if (named || !sweep_gives(&r->sweep, FIELD_model_preset))
        base_preset(&r->under, named ? r->base.preset : 0, &preset, NULL);
    return preset;
}

/* The strategy likewise, -1 when there is none. */
static int strategy_below(const reading *r, const draft *preset)
{
    if (r->base.given[FIELD_strategy_name]) return r->base.strategy;
    bool by_preset = preset && preset->given[FIELD_strategy_name];
    return by_preset && !sweep_gives(&r->sweep, FIELD_model_preset) ? preset->strategy : -1;
}

/* Does the text keep model.width_scale: does the sweep give it, or one of the fields that it sets,
 * or do these differ between arms? Then they are written as they were before, else scaled. */
static bool keeps_scale(const reading *r)
{
    bool any = sweep_gives(&r->sweep, FIELD_model_width_scale);
    for (int id = 0; id < FIELD_COUNT && r->base.given[FIELD_model_width_scale]; id++)
        any |= width_sets((field_id)id) && (r->varies[id] || sweep_gives(&r->sweep, id));
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
    bool preset_varies = sweep_gives(&r->sweep, FIELD_model_preset),
         strategy_varies = sweep_gives(&r->sweep, FIELD_strategy_name);
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
        int row = reading_strategy_row(r, &arm, preset);
        if (!reading_is_own(r, &arm, id) && (row < 0 || !r->under.strategies[row].given[id]))
            return true;
    }
    return false;
}

/* The preset that the text needs, as JSON; text stays empty when it needs none. One that only some
 * arms replace is kept whole; else those fields are, written out, that the strategies of some arms
 * replace. */
static void write_preset(json_out *text, reading *r)
{
    bool varies = sweep_gives(&r->sweep, FIELD_model_preset), keep[FIELD_COUNT], any = false;
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
        row >= 0 && (sweep_gives(&r->sweep, FIELD_strategy_name) || gives_what_varies(r, row));
    return needed ? strategy_registry.rows[row]->name : NULL;
}

char *resolved_text(reading *r, const job *j)
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
