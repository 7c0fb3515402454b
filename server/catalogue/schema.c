#include "server/catalogue/schema.h"

#include "server/catalogue/tables.h"
#include "server/job/expect.h"
#include "server/job/find.h"
#include "server/job/job.h"
#include "server/job/override.h"

#include <string.h>

static void write_row_names(json_out *o, const registry *r)
{
    for (int i = 0; i < r->n; i++) json_string(o, r->rows[i]->name);
}

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
    const registry *r = tables_choices(f);
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
        tables_default(o, f);
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

char *schema_job(void)
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
