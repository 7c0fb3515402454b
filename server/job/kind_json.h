/* What several kinds of values share when they are told as JSON. */
#ifndef SERVER_JOB_KIND_JSON_H
#define SERVER_JOB_KIND_JSON_H

#include "server/job/field.h"

void kind_default_name(json_out *o, const field *f); /* field.text as a string */
void kind_default_json(json_out *o, const field *f); /* field.text as it is */
void kind_names(json_out *o, const registry *r);     /* as elements of a list */
/* JSON Schema: members that say one of the choices; {"$ref": "#/$defs/name"}. */
void kind_schema_name(json_out *o, const field *f);
void kind_schema_reference(json_out *o, const char *name);

#endif
