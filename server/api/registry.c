/* What a job can choose from, and the schemas. All of it is made of the program's own tables. */
#include "server/api/api.h"

#include "server/api/openapi.h"
#include "server/catalogue/catalogue.h"
#include "server/catalogue/schema.h"
#include "server/catalogue/tables.h"
#include "server/job/strategy.h"
#include "server/machine/embed.h"

#include <stdio.h>
#include <string.h>

static void tagged(reply *out, const char *type, char *text)
{
    out->tagged = true;
    reply_text(out, MHD_HTTP_OK, type, text);
}

void api_registries(request *r, reply *out)
{
    (void)r;
    tagged(out, "application/json", tables_registries());
}

static void no_such(reply *out, const char *what, const char *name)
{
    error e;
    error_set(&e, ERR_NOT_FOUND, "", "there is no %s \"%.60s\"", what, name);
    reply_error(out, &e);
}

void api_registries_kind(request *r, reply *out)
{
    char *text = tables_registry(r->capture[0]);
    if (text)
        tagged(out, "application/json", text);
    else
        no_such(out, "registry", r->capture[0]);
}

void api_presets(request *r, reply *out)
{
    (void)r;
    tagged(out, "application/json", tables_presets());
}

void api_strategies(request *r, reply *out)
{
    (void)r;
    tagged(out, "application/json", catalogue_strategies());
}

void api_strategies_get(request *r, reply *out)
{
    if (registry_find(&strategy_registry, r->capture[0]) < 0)
        no_such(out, "strategy", r->capture[0]);
    else
        tagged(out, "application/json", catalogue_strategy(r->capture[0]));
}

void api_fields(request *r, reply *out)
{
    (void)r;
    tagged(out, "application/json", tables_fields());
}

void api_openapi(request *r, reply *out)
{
    (void)r;
    tagged(out, "application/json", openapi_text());
}

/* "schema/run.json" is the schema "run". */
static bool schema_name(const char *path, char name[64])
{
    size_t n = strlen(path);
    if (strncmp(path, "schema/", 7) != 0 || n < 13 || n - 12 >= 64 ||
        strcmp(path + n - 5, ".json") != 0)
        return false;
    memcpy(name, path + 7, n - 12);
    name[n - 12] = '\0';
    return strcmp(name, "openapi") != 0 && strcmp(name, "job") != 0;
}

static void list_item(json_out *o, const char *name)
{
    char link[96];
    snprintf(link, sizeof link, "/api/v1/schema/%s", name);
    json_begin_object(o);
    json_string_member(o, "name", name);
    json_string_member(o, "href", link);
    json_end(o);
}

void api_schema_list(request *r, reply *out)
{
    (void)r;
    char name[64];
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "schemas");
    list_item(&o, "job");
    for (const embed *e = embed_files; e->path; e++)
        if (schema_name(e->path, name)) list_item(&o, name);
    json_end(&o);
    json_end(&o);
    out->tagged = true;
    reply_json(out, MHD_HTTP_OK, &o);
}

void api_schema(request *r, reply *out)
{
    char name[64];
    if (strcmp(r->capture[0], "job") == 0) {
        tagged(out, "application/schema+json", schema_job());
        return;
    }
    for (const embed *e = embed_files; e->path; e++) {
        if (!schema_name(e->path, name) || strcmp(name, r->capture[0]) != 0) continue;
        out->status = MHD_HTTP_OK;
        out->type = "application/schema+json";
        out->body = (char *)e->bytes;
        out->n = e->size;
        out->tagged = true;
        return;
    }
    no_such(out, "schema", r->capture[0]);
}
