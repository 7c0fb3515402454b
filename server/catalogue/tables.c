/* The field table, the registries and the presets as JSON. */
#include "server/catalogue/tables.h"
#include "server/job/expect.h"
#include "server/job/field.h"
#include "server/job/find.h"
#include "server/job/override.h"
#include "server/job/preset.h"
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "server/text/json_out.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {
    [FIELD_INTEGER] = "integer",   [FIELD_DEPTH] = "integer",       [FIELD_NUMBER] = "number",
    [FIELD_BOOL] = "boolean",      [FIELD_CHOICE] = "choice",       [FIELD_TEXT] = "text",
    [FIELD_STEPS] = "steps",       [FIELD_SITES] = "sites",         [FIELD_METRICS] = "metrics",
    [FIELD_NAME] = "name",         [FIELD_PRESET] = "preset",       [FIELD_SEEDS] = "seeds",
    [FIELD_SWEEP] = "sweep",       [FIELD_NUMBERS] = "numbers",     [FIELD_OVERRIDES] = "overrides",
    [FIELD_STRATEGY] = "strategy", [FIELD_HF_CONFIG] = "hf_config", [FIELD_SCALE] = "number",
    [FIELD_EXPECT] = "expect",     [FIELD_FIND] = "find",
};

static bool is_numeric(const field *f)
{
    return f->type == FIELD_INTEGER || f->type == FIELD_DEPTH || f->type == FIELD_NUMBER ||
           f->type == FIELD_SCALE;
}

static void write_default(json_out *o, const field *f)
{
    if (f->rule || (f->type == FIELD_NUMBER && isnan(f->number)) || f->type == FIELD_TEXT)
        json_null(o);
    else if (is_numeric(f))
        json_double(o, f->number);
    else if (f->type == FIELD_BOOL)
        json_bool(o, f->number != 0);
    else if (f->type == FIELD_SEEDS || f->type == FIELD_SWEEP || f->type == FIELD_NUMBERS ||
             f->type == FIELD_OVERRIDES || f->type == FIELD_HF_CONFIG || f->type == FIELD_EXPECT ||
             f->type == FIELD_FIND)
        json_raw(o, f->text);
    else
        json_string(o, f->text);
}

static const registry *choices_of(const field *f)
{
    if (f->type == FIELD_PRESET) return &preset_registry;
    if (f->type == FIELD_STRATEGY) return &strategy_registry;
    return f->choices ? field_registry(f->choices) : NULL;
}

static void write_row_names(json_out *o, const registry *r)
{
    for (int i = 0; i < r->n; i++) json_string(o, r->rows[i]->name);
}

/* --- fields ----------------------------------------------------------------------------------- */

void reader_write_field(json_out *o, const field *f)
{
    char path[FIELD_PATH];
    const registry *r = choices_of(f);
    field_path(path, f);
    json_begin_object(o);
    json_string_member(o, "path", path);
    json_string_member(o, "group", f->group);
    json_string_member(o, "name", f->name);
    json_string_member(o, "type", type_names[f->type]);
    json_string_member(o, "doc", f->doc);
    json_key(o, "default");
    write_default(o, f);
    json_string_member(o, "rule", f->rule);
    json_string_member(o, "unit", f->unit);
    json_key(o, "min");
    if (is_numeric(f))
        json_double(o, f->min);
    else
        json_null(o);
    json_key(o, "max");
    if (is_numeric(f))
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
        write_row_names(o, r);
        json_end(o);
    } else {
        json_null(o);
    }
    json_string_member(o, "needs", field_needs(f));
    json_bool_member(o, "sweepable", field_sweepable(f));
    json_end(o);
}

char *reader_fields(void)
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
    for (int i = 0; i < FIELD_COUNT; i++) reader_write_field(&o, &field_table[i]);
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

void reader_write_entry(json_out *o, const registry *r, int row)
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
    if (e->group) {
        json_string_member(o, "group", e->group);
        json_string_member(o, "unit", e->unit);
        json_string_member(o, "direction", e->direction);
        json_string_member(o, "scale", e->scale);
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
    for (int i = 0; i < r->n; i++) reader_write_entry(o, r, i);
    json_end(o);
    json_end(o);
}

char *reader_registry(const char *kind)
{
    json_out o = {0};
    const registry *r = strcmp(kind, "presets") == 0 ? &preset_registry : field_registry(kind);
    if (!r) return NULL;
    write_registry(&o, r);
    return json_take(&o);
}

char *reader_registries(void)
{
    json_out o = {0};
    const registry *r;
    json_begin_object(&o);
    json_array_member(&o, "registries");
    for (int i = 0; (r = field_registry_at(i)); i++) write_registry(&o, r);
    write_registry(&o, &preset_registry);
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}

void reader_write_preset(json_out *o, int row)
{
    const entry *e = preset_registry.rows[row];
    json_begin_object(o);
    json_string_member(o, "name", e->name);
    json_string_member(o, "summary", e->summary);
    json_string_member(o, "source", e->source);
    json_raw_member(o, "job", preset_text(row));
    json_end(o);
}

char *reader_presets(void)
{
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "presets");
    for (int i = 0; i < preset_registry.n; i++) reader_write_preset(&o, i);
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}

/* --- JSON Schema ------------------------------------------------------------------------------ */

static void schema_number(json_out *o, const field *f)
{
    bool any = f->type == FIELD_NUMBER || f->type == FIELD_SCALE;
    const char *type = any ? "number" : "integer";
    json_key(o, "type");
    if (f->nullable) {
        json_begin_array(o);
        json_string(o, type);
        json_string(o, "null");
        json_end(o);
    } else {
        json_string(o, type);
    }
    json_number_member(o, f->open_min ? "exclusiveMinimum" : "minimum", f->min);
    json_number_member(o, f->open_max ? "exclusiveMaximum" : "maximum", f->max);
}

static void schema_enum(json_out *o, const field *f)
{
    const registry *r = choices_of(f);
    json_string_member(o, "type", "string");
    json_array_member(o, "enum");
    if (r) write_row_names(o, r);
    for (int i = 0; r && f->type == FIELD_METRICS && i < r->n; i++)
        if (i == 0 || strcmp(r->rows[i]->group, r->rows[i - 1]->group) != 0)
            json_string(o, r->rows[i]->group);
    json_end(o);
}

static void schema_list(json_out *o, const field *f, int min_items, int max_items, double max)
{
    json_string_member(o, "type", "array");
    json_object_member(o, "items");
    if (max > 0) {
        json_string_member(o, "type", "integer");
        json_number_member(o, "minimum", 0);
        json_number_member(o, "maximum", max);
    } else {
        schema_enum(o, f);
    }
    json_end(o);
    if (min_items) json_number_member(o, "minItems", min_items);
    if (max_items) json_number_member(o, "maxItems", max_items);
    if (max > 0) json_bool_member(o, "uniqueItems", true);
}

static void schema_reference(json_out *o, const char *name)
{
    char reference[FIELD_PATH + 16] = "#/$defs/";
    strncat(reference, name, FIELD_PATH);
    json_begin_object(o);
    json_string_member(o, "$ref", reference);
    json_end(o);
}

static void schema_axis(json_out *o, const char *path)
{
    json_object_member(o, path);
    json_string_member(o, "type", "array");
    json_number_member(o, "minItems", 1);
    json_bool_member(o, "uniqueItems", true);
    json_key(o, "items");
    schema_reference(o, path);
    json_end(o);
}

static void schema_sweep(json_out *o)
{
    json_string_member(o, "type", "object");
    json_bool_member(o, "additionalProperties", false);
    json_object_member(o, "properties");
    for (int i = 0; i < field_n_groups; i++) schema_axis(o, field_groups[i].name);
    for (int i = 0; i < FIELD_COUNT; i++) {
        char path[FIELD_PATH];
        field_path(path, &field_table[i]);
        if (field_sweepable(&field_table[i])) schema_axis(o, path);
    }
    json_end(o);
}

/* A name, or a part of a job in its place. */
static void schema_preset(json_out *o, const field *f)
{
    json_array_member(o, "oneOf");
    json_begin_object(o);
    schema_enum(o, f);
    json_end(o);
    schema_reference(o, "part");
    json_end(o);
}

/* The groups and those top-level fields that belong to a run. */
static void schema_part(json_out *o)
{
    json_object_member(o, "part");
    json_string_member(o, "type", "object");
    json_bool_member(o, "additionalProperties", false);
    json_object_member(o, "properties");
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        if (*f->group || !f->size) continue;
        json_key(o, f->name);
        schema_reference(o, f->name);
    }
    for (int i = 0; i < field_n_groups; i++) {
        json_key(o, field_groups[i].name);
        schema_reference(o, field_groups[i].name);
    }
    json_end(o);
    json_end(o);
}

static void schema_type(json_out *o, const field *f)
{
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_DEPTH:
    case FIELD_NUMBER:
    case FIELD_SCALE:
        schema_number(o, f);
        break;
    case FIELD_BOOL:
        json_string_member(o, "type", "boolean");
        break;
    case FIELD_CHOICE:
    case FIELD_STRATEGY:
        schema_enum(o, f);
        break;
    case FIELD_PRESET:
        schema_preset(o, f);
        break;
    case FIELD_HF_CONFIG:
        json_string_member(o, "type", "object");
        break;
    case FIELD_TEXT:
        json_string_member(o, "type", "string");
        json_string_member(o, "pattern", "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$");
        break;
    case FIELD_NAME:
        json_string_member(o, "type", "string");
        json_number_member(o, "maxLength", JOB_NAME_CHARACTERS);
        json_string_member(o, "pattern", "^[^\\u0000-\\u001f\\u007f]*$");
        break;
    case FIELD_STEPS:
        schema_list(o, f, 0, SPEC_STEPS_MAX, field_table[FIELD_train_steps].max);
        break;
    case FIELD_SITES:
    case FIELD_METRICS:
        schema_list(o, f, 0, 0, 0);
        break;
    case FIELD_NUMBERS:
        json_string_member(o, "type", "array");
        json_object_member(o, "items");
        json_string_member(o, "type", "number");
        json_number_member(o, "minimum", f->min);
        json_number_member(o, "maximum", f->max);
        json_end(o);
        json_number_member(o, "maxItems", SPEC_SCALES_MAX);
        break;
    case FIELD_OVERRIDES:
        json_string_member(o, "type", "array");
        json_key(o, "items");
        override_schema(o);
        json_number_member(o, "maxItems", SPEC_OVERRIDES_MAX);
        break;
    case FIELD_SEEDS:
        schema_list(o, f, 1, SEEDS_MAX, f->max);
        break;
    case FIELD_SWEEP:
        schema_sweep(o);
        break;
    case FIELD_EXPECT:
        json_string_member(o, "type", "array");
        json_key(o, "items");
        expect_schema(o);
        json_number_member(o, "maxItems", RULE_EXPECT_MAX);
        break;
    case FIELD_FIND:
        find_schema(o);
        break;
    }
}

static void schema_field(json_out *o, const field *f)
{
    char path[FIELD_PATH];
    field_path(path, f);
    json_object_member(o, path);
    schema_type(o, f);
    json_string_member(o, "description", f->doc);
    if (f->rule) json_string_member(o, "x-default-rule", f->rule);
    if (f->unit) json_string_member(o, "x-unit", f->unit);
    bool has_default =
        !f->rule && f->type != FIELD_TEXT && f->type != FIELD_HF_CONFIG && f->type != FIELD_FIND;
    if (has_default) {
        json_key(o, "default");
        write_default(o, f);
    }
    json_end(o);
}

static void schema_members(json_out *o, const char *group)
{
    json_string_member(o, "type", "object");
    json_bool_member(o, "additionalProperties", false);
    json_object_member(o, "properties");
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        char path[FIELD_PATH];
        field_path(path, f);
        if (strcmp(f->group, group) == 0) {
            json_key(o, f->name);
            schema_reference(o, path);
        }
    }
    for (int i = 0; !*group && i < field_n_groups; i++) {
        json_key(o, field_groups[i].name);
        schema_reference(o, field_groups[i].name);
    }
    json_end(o);
}

static void schema_group(json_out *o, int group)
{
    const field_group *g = &field_groups[group];
    int shorthand = field_shorthand(group);
    json_object_member(o, g->name);
    json_string_member(o, "description", g->doc);
    if (shorthand < 0) {
        schema_members(o, g->name);
    } else {
        char path[FIELD_PATH];
        field_path(path, &field_table[shorthand]);
        json_array_member(o, "oneOf");
        schema_reference(o, path);
        json_begin_object(o);
        schema_members(o, g->name);
        json_end(o);
        json_end(o);
    }
    json_end(o);
}

char *reader_job_schema(void)
{
    json_out o = {0};
    json_begin_object(&o);
    json_string_member(&o, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_string_member(&o, "title", "Normscope job");
    json_string_member(
        &o, "description",
        "A network, a normalization strategy, a depth. Every field has a default; {} is a job.");
    schema_members(&o, "");
    json_object_member(&o, "$defs");
    for (int i = 0; i < field_n_groups; i++) schema_group(&o, i);
    schema_part(&o);
    for (int i = 0; i < FIELD_COUNT; i++) schema_field(&o, &field_table[i]);
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}
