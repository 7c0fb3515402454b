#include "server/catalogue/schema.h"

#include "server/job/field.h"
#include "server/job/kind_json.h"

#include <string.h>

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
        kind_schema_reference(o, f->name);
    }
    for (int i = 0; i < field_n_groups; i++) {
        json_key(o, field_groups[i].name);
        kind_schema_reference(o, field_groups[i].name);
    }
    json_end(o);
    json_end(o);
}

static void schema_field(json_out *o, const field *f)
{
    const field_kind *k = kind_table[f->type];
    char path[FIELD_PATH];
    field_path(path, f);
    json_object_member(o, path);
    k->schema(o, f);
    json_string_member(o, "description", f->doc);
    if (f->rule) json_string_member(o, "x-default-rule", f->rule);
    if (f->unit) json_string_member(o, "x-unit", f->unit);
    if (!f->rule && !k->is_optional) {
        json_key(o, "default");
        k->write_default(o, f);
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
            kind_schema_reference(o, path);
        }
    }
    for (int i = 0; !*group && i < field_n_groups; i++) {
        json_key(o, field_groups[i].name);
        kind_schema_reference(o, field_groups[i].name);
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
        kind_schema_reference(o, path);
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
