#include "server/catalogue/tables.h"

#include "server/job/choice.h"
#include "server/job/kind_json.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"
#include "server/verdict/rule.h"

#include <math.h>
#include <string.h>

void tables_default(json_out *o, const field *f)
{
    if (f->rule)
        json_null(o);
    else
        kind_table[f->type]->write_default(o, f);
}

/* --- fields ----------------------------------------------------------------------------------- */

void tables_write_field(json_out *o, const field *f)
{
    char path[FIELD_PATH];
    const registry *r = field_choices(f);
    const field_kind *k = kind_table[f->type];
    field_path(path, f);
    json_begin_object(o);
    json_string_member(o, "path", path);
    json_string_member(o, "group", f->group);
    json_string_member(o, "name", f->name);
    json_string_member(o, "type", k->name);
    json_string_member(o, "doc", f->doc);
    json_key(o, "default");
    tables_default(o, f);
    json_string_member(o, "rule", f->rule);
    json_string_member(o, "unit", f->unit);
    json_key(o, "min");
    if (k->is_number)
        json_double(o, f->min);
    else
        json_null(o);
    json_key(o, "max");
    if (k->is_number)
        json_double(o, f->max);
    else
        json_null(o);
    json_bool_member(o, "exclusive_min", f->open_min);
    json_bool_member(o, "exclusive_max", f->open_max);
    json_bool_member(o, "nullable", f->nullable);
    json_string_member(o, "choices", r ? r->kind : NULL);
    json_key(o, "values");
    if (r) {
        json_begin_array(o);
        kind_names(o, r);
        json_end(o);
    } else {
        json_null(o);
    }
    json_string_member(o, "needs", field_needs(f));
    json_bool_member(o, "sweepable", field_sweepable(f));
    json_end(o);
}

char *tables_fields(void)
{
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "groups");
    for (int i = 0; i < field_n_groups; i++) {
        const field_group *g = &field_groups[i];
        json_begin_object(&o);
        json_string_member(&o, "name", g->name);
        json_string_member(&o, "shorthand", *g->shorthand ? g->shorthand : NULL);
        json_string_member(&o, "doc", g->doc);
        json_end(&o);
    }
    json_end(&o);
    json_array_member(&o, "fields");
    for (int i = 0; i < FIELD_COUNT; i++) tables_write_field(&o, &field_table[i]);
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}

/* --- registries and presets ------------------------------------------------------------------- */

static void write_rule(json_out *o, const rule *r)
{
    json_string_member(o, "metric", *r->metric ? r->metric : NULL);
    json_string_member(o, "site", r->site < SITE_COUNT ? site_registry.rows[r->site]->name : NULL);
    json_string_member(o, "comparison", rule_comparison(r));
    json_double_member(o, "warn", rule_warns(r));
    json_double_member(o, "fail", rule_fails(r));
}

void tables_write_entry(json_out *o, const registry *r, int row)
{
    const entry *e = r->rows[row];
    bool has_default = strcmp(r->kind, "sites") == 0 || strcmp(r->kind, "metrics") == 0;
    json_begin_object(o);
    json_string_member(o, "name", e->name);
    json_string_member(o, "summary", e->summary);
    json_string_member(o, "source", e->source);
    if (e->predicts) json_string_member(o, "predicts", e->predicts);
    if (e->validity) json_string_member(o, "validity", e->validity);
    if (e->approximate) json_string_member(o, "approximate", e->approximate);
    if (has_default) json_bool_member(o, "default", e->is_default);
    if (catalog_use(r, row)) json_string_member(o, "needs", use_text(catalog_use(r, row)));
    if (e->group) {
        json_string_member(o, "group", e->group);
        json_string_member(o, "unit", e->unit);
        json_string_member(o, "direction", e->direction);
        json_string_member(o, "scale", e->scale);
        json_string_member(o, "usual_site",
                           site_registry.rows[metric_usual_site((metric)row)]->name);
    }
    if (r == &rule_registry) write_rule(o, &rule_table[row]);
    json_end(o);
}

static void write_registry(json_out *o, const registry *r)
{
    json_begin_object(o);
    json_string_member(o, "kind", r->kind);
    json_string_member(o, "summary", r->summary);
    json_array_member(o, "rows");
    for (int i = 0; i < r->n; i++) tables_write_entry(o, r, i);
    json_end(o);
    json_end(o);
}

char *tables_registry(const char *kind)
{
    json_out o = {0};
    const registry *r = strcmp(kind, "presets") == 0 ? &preset_registry : choice_registry(kind);
    if (!r) return NULL;
    write_registry(&o, r);
    return json_take(&o);
}

char *tables_registries(void)
{
    json_out o = {0};
    const registry *r;
    json_begin_object(&o);
    json_array_member(&o, "registries");
    for (int i = 0; (r = choice_registry_at(i)); i++) write_registry(&o, r);
    write_registry(&o, &preset_registry);
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}

void tables_write_preset(json_out *o, int row)
{
    const entry *e = preset_registry.rows[row];
    json_begin_object(o);
    json_string_member(o, "name", e->name);
    json_string_member(o, "summary", e->summary);
    json_string_member(o, "source", e->source);
    json_raw_member(o, "job", preset_text(row));
    json_end(o);
}

char *tables_presets(void)
{
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "presets");
    for (int i = 0; i < preset_registry.n; i++) tables_write_preset(&o, i);
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}
