#include "server/job/canonical.h"

#include "server/job/choice.h"
#include "server/job/override.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"

#include <math.h>
#include <string.h>

static void write_names(json_out *o, const registry *r, const bool *selected)
{
    json_begin_array(o);
    for (int i = 0; i < r->n; i++)
        if (selected[i]) json_string(o, r->rows[i]->name);
    json_end(o);
}

static void write_steps(json_out *o, const spec_measure *m)
{
    json_begin_array(o);
    for (int i = 0; i < m->n_steps; i++) json_integer(o, m->steps[i]);
    json_end(o);
}

static void write_numbers(json_out *o, const double *v, int n)
{
    json_begin_array(o);
    for (int i = 0; i < n; i++) json_double(o, v[i]);
    json_end(o);
}

void canonical_value(json_out *o, const field *f, const run_spec *spec)
{
    const void *at = (const char *)spec + f->offset;
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_DEPTH:
        json_integer(o, *(const int *)at);
        break;
    case FIELD_NUMBER:
        if (isnan(*(const double *)at))
            json_null(o);
        else
            json_double(o, *(const double *)at);
        break;
    case FIELD_BOOL:
        json_bool(o, *(const bool *)at);
        break;
    case FIELD_CHOICE: {
        const registry *r = choice_registry(f->choices);
        int row = *(const int *)at;
        json_string(o, r && row >= 0 && row < r->n ? r->rows[row]->name : NULL);
        break;
    }
    case FIELD_TEXT:
        json_string(o, at);
        break;
    case FIELD_STEPS:
        write_steps(o, &spec->measure);
        break;
    case FIELD_SITES:
        write_names(o, &site_registry, at);
        break;
    case FIELD_METRICS:
        write_names(o, &metric_registry, at);
        break;
    case FIELD_NUMBERS:
        write_numbers(o, spec->strategy.residual_scales, spec->strategy.n_residual_scales);
        break;
    case FIELD_OVERRIDES:
        override_write(o, &spec->strategy);
        break;
    default:
        json_null(o);
        break;
    }
}

void canonical_draft_value(json_out *o, field_id id, const draft *d)
{
    if (id == FIELD_model_preset && d->preset >= 0)
        json_string(o, preset_registry.rows[d->preset]->name);
    else if (id == FIELD_strategy_name)
        json_string(o, strategy_registry.rows[d->strategy]->name);
    else if (id == FIELD_model_width_scale)
        json_double(o, d->width_scale);
    else
        canonical_value(o, &field_table[id], &d->spec);
}

static void write_seeds(json_out *o, const uint64_t *seeds, int n_seeds)
{
    json_array_member(o, "seeds");
    for (int i = 0; i < n_seeds; i++) json_unsigned(o, seeds[i]);
    json_end(o);
}

static bool is_named(const field *f, const canonical_names *names)
{
    return (f->type == FIELD_PRESET && names->preset) ||
           (f->type == FIELD_STRATEGY && names->strategy) ||
           (f->type == FIELD_SCALE && names->width_scale > 0);
}

static void write_named(json_out *o, const field *f, const canonical_names *names)
{
    if (f->type == FIELD_PRESET)
        json_raw(o, names->preset);
    else if (f->type == FIELD_STRATEGY)
        json_string(o, names->strategy);
    else
        json_double(o, names->width_scale);
}

static bool is_default_choice(const field *f, const run_spec *spec)
{
    const registry *r = choice_registry(f->choices);
    return *(const int *)((const char *)spec + f->offset) == registry_find(r, f->text);
}

static bool is_written(const field *f, const run_spec *spec, bool included)
{
    if (f->type == FIELD_TEXT && !*((const char *)spec + f->offset)) return false;
    if (f->silent && is_default_choice(f, spec)) return false;
    return f->size && included;
}

/* n_seeds 0: none are written. */
static void write_fields(json_out *o,
                         const run_spec *spec,
                         const bool include[FIELD_COUNT],
                         canonical_names names,
                         const uint64_t *seeds,
                         int n_seeds)
{
    const char *open = "";
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        if (*open && strcmp(open, f->group) != 0) {
            json_end(o);
            open = "";
        }
        if (f->type == FIELD_SEEDS && n_seeds) write_seeds(o, seeds, n_seeds);
        bool named = is_named(f, &names);
        if (!named && !is_written(f, spec, include[i])) continue;
        if (strcmp(open, f->group) != 0) {
            json_object_member(o, f->group);
            open = f->group;
        }
        json_key(o, f->name);
        if (named)
            write_named(o, f, &names);
        else
            canonical_value(o, f, spec);
    }
    if (*open) json_end(o);
}

void canonical_members(json_out *o,
                       const run_spec *spec,
                       const bool include[FIELD_COUNT],
                       canonical_names names,
                       const uint64_t *seeds,
                       int n_seeds,
                       const char *sweep)
{
    write_fields(o, spec, include, names, seeds, n_seeds);
    if (sweep) json_raw_member(o, "sweep", sweep);
}

static int count_given(int group, const draft *d)
{
    int n = 0;
    for (int i = 0; i < FIELD_COUNT; i++)
        n += d->given[i] && strcmp(field_table[i].group, field_groups[group].name) == 0;
    return n;
}

void canonical_group(json_out *o, int group, const draft *d)
{
    int shorthand = field_shorthand(group);
    if (shorthand >= 0 && d->given[shorthand] && count_given(group, d) == 1) {
        canonical_draft_value(o, (field_id)shorthand, d);
        return;
    }
    json_begin_object(o);
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (!d->given[i] || strcmp(field_table[i].group, field_groups[group].name) != 0) continue;
        json_key(o, field_table[i].name);
        canonical_draft_value(o, (field_id)i, d);
    }
    json_end(o);
}

void canonical_part(json_out *o, const draft *d, const bool keep[FIELD_COUNT], bool with_strategy)
{
    canonical_names names = {0};
    if (with_strategy && d->given[FIELD_strategy_name])
        names.strategy = strategy_registry.rows[d->strategy]->name;
    json_begin_object(o);
    write_fields(o, &d->spec, keep, names, NULL, 0);
    json_end(o);
}
