#include "server/job/canonical.h"

#include "server/job/preset.h"
#include "server/job/resolve.h"
#include "server/job/strategy.h"

#include <string.h>

void canonical_value(json_out *o, const field *f, const run_spec *spec)
{
    kind_table[f->type]->write(o, f, spec);
}

void canonical_draft_value(json_out *o, field_id id, const draft *d)
{
    const field *f = &field_table[id];
    const field_kind *k = kind_table[f->type];
    if (k->write)
        k->write(o, f, &d->spec);
    else if (k->write_draft)
        k->write_draft(o, d);
    else
        json_null(o);
}

static void write_seeds(json_out *o, const uint64_t *seeds, int n_seeds)
{
    json_array_member(o, "seeds");
    for (int i = 0; i < n_seeds; i++) json_unsigned(o, seeds[i]);
    json_end(o);
}

static bool is_named(int id, const canonical_names *names)
{
    return (id == FIELD_model_preset && names->preset) ||
           (id == FIELD_strategy_name && names->strategy) ||
           (id == FIELD_model_width_scale && names->width_scale > 0);
}

static void write_named(json_out *o, int id, const canonical_names *names)
{
    if (id == FIELD_model_preset)
        json_raw(o, names->preset);
    else if (id == FIELD_strategy_name)
        json_string(o, names->strategy);
    else
        json_double(o, names->width_scale);
}

/* usual: what the fields are when none is given, in the spec's family; uses: what it has. */
static bool
is_written(const field *f, const run_spec *spec, const run_spec *usual, use_set uses, bool included)
{
    bool left_out = (f->silent || field_omitted(f, uses)) && field_equal(spec, usual, f);
    return f->size && included && !left_out;
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
    run_spec usual;
    const use_set uses = engine_f32.uses(spec);
    resolve_defaults(&usual, spec->model.family,
                     NULL); /* a run has been resolved: it cannot fail */
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        if (*open && strcmp(open, f->group) != 0) {
            json_end(o);
            open = "";
        }
        if (i == FIELD__seeds && n_seeds) write_seeds(o, seeds, n_seeds);
        bool named = is_named(i, &names);
        if (!named && !is_written(f, spec, &usual, uses, include[i])) continue;
        if (strcmp(open, f->group) != 0) {
            json_object_member(o, f->group);
            open = f->group;
        }
        json_key(o, f->name);
        if (named)
            write_named(o, i, &names);
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
