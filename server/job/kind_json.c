#include "server/job/kind_json.h"

#include <string.h>

void kind_default_name(json_out *o, const field *f)
{
    json_string(o, f->text);
}

void kind_default_json(json_out *o, const field *f)
{
    json_raw(o, f->text);
}

void kind_names(json_out *o, const registry *r)
{
    for (int i = 0; i < r->n; i++) json_string(o, r->rows[i]->name);
}

void kind_schema_name(json_out *o, const field *f)
{
    json_string_member(o, "type", "string");
    json_array_member(o, "enum");
    kind_names(o, field_choices(f));
    json_end(o);
}

void kind_schema_reference(json_out *o, const char *name)
{
    char reference[FIELD_PATH + 16] = "#/$defs/";
    strncat(reference, name, FIELD_PATH);
    json_begin_object(o);
    json_string_member(o, "$ref", reference);
    json_end(o);
}
