#include "server/api/openapi.h"

#include "server/http/route.h"
#include "server/machine/version.h"
#include "server/text/json_out.h"

#include <stdio.h>
#include <string.h>

#define PROBLEM_SCHEMA "/api/v1/schema/problem"

static const struct {
    const char *name, *schema, *summary;
} query_table[] = {
#define QUERY(name, schema, summary) {#name, schema, summary},
#include "server/http/query.def"
#undef QUERY
};

static void ref_n(json_out *o, const char *name, size_t n)
{
    char text[96];
    snprintf(text, sizeof text, "/api/v1/schema/%.*s", (int)n, name);
    json_begin_object(o);
    json_string_member(o, "$ref", text);
    json_end(o);
}

/* "/a/{path*}" is "/a/{path}" here. */
static void path_key(json_out *o, const char *pattern)
{
    char text[96];
    size_t n = 0;
    for (; *pattern && n < sizeof text - 1; pattern++)
        if (*pattern != '*') text[n++] = *pattern;
    text[n] = '\0';
    json_key(o, text);
}

static void path_parameters(json_out *o, const char *pattern)
{
    for (const char *p = strchr(pattern, '{'); p; p = strchr(p + 1, '{')) {
        size_t n = strcspn(p + 1, "*}");
        bool id = n == 2 && strncmp(p + 1, "id", 2) == 0;
        json_begin_object(o);
        json_key(o, "name");
        json_string_n(o, p + 1, n);
        json_string_member(o, "in", "path");
        json_bool_member(o, "required", true);
        json_raw_member(o, "schema",
                        id ? "{\"type\":\"integer\",\"minimum\":1}" : "{\"type\":\"string\"}");
        json_end(o);
    }
}

static void query_parameters(json_out *o, const route *r)
{
    if (strcmp(r->params, "*") == 0) return;
    for (size_t i = 0; i < sizeof query_table / sizeof query_table[0]; i++) {
        if (!route_has_param(r, query_table[i].name)) continue;
        json_begin_object(o);
        json_string_member(o, "name", query_table[i].name);
        json_string_member(o, "in", "query");
        json_string_member(o, "description", query_table[i].summary);
        json_raw_member(o, "schema", query_table[i].schema);
        json_end(o);
    }
}

static void request_body(json_out *o, route_body body)
{
    if (body == BODY_NONE) return;
    json_object_member(o, "requestBody");
    json_bool_member(o, "required", body == BODY_JOB);
    json_object_member(o, "content");
    if (body == BODY_BYTES) {
        json_raw_member(o, "application/octet-stream", "{}");
        json_raw_member(o, "text/plain", "{}");
    } else {
        json_object_member(o, "application/json");
        json_key(o, "schema");
        if (body == BODY_JOB)
            ref_n(o, "job", 3);
        else
            json_raw(o, "{\"type\":\"object\",\"maxProperties\":0}");
        json_end(o);
    }
    json_end(o);
    json_end(o);
}

/* One "200 series" of the column replies: a schema name, a media type, or nothing. */
static void content(json_out *o, const char *what, size_t n)
{
    bool media = memchr(what, '/', n) != NULL;
    if (media) {
        char type[64];
        snprintf(type, sizeof type, "%.*s", (int)n, what);
        json_raw_member(o, type, "{}");
        return;
    }
    json_object_member(o, "application/json");
    json_key(o, "schema");
    ref_n(o, what, n);
    json_end(o);
}

/* Rows of one status stand side by side in the table. */
static void replies(json_out *o, const char *text)
{
    char open[4] = "";
    json_object_member(o, "responses");
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ",");
        char status[4] = {p[0], p[1], p[2], '\0'};
        const char *what = p + 3 + strspn(p + 3, " ");
        size_t what_n = (size_t)(p + n - what);
        if (strcmp(status, open) != 0) {
            if (open[0]) json_end(o), json_end(o);
            memcpy(open, status, sizeof open);
            json_object_member(o, status);
            json_string_member(o, "description", status[0] == '2' ? "as asked" : "see the body");
            json_object_member(o, "content");
        }
        if (what_n) content(o, what, what_n);
        p += n;
        p += strspn(p, ", ");
    }
    json_end(o);
    json_end(o);
    json_key(o, "default");
    json_raw(o,
             "{\"description\":\"a problem (RFC 9457)\",\"content\":{\"application/problem+json\":"
             "{\"schema\":{\"$ref\":\"" PROBLEM_SCHEMA "\"}}}}");
    json_end(o);
}

static void operation(json_out *o, const route *r, const char *name)
{
    char method[8] = "";
    for (size_t i = 0; r->method[i] && i < sizeof method - 1; i++)
        method[i] = (char)(r->method[i] - 'A' + 'a');
    json_object_member(o, method);
    json_string_member(o, "operationId", name);
    json_string_member(o, "summary", r->summary);
    json_array_member(o, "parameters");
    path_parameters(o, r->pattern);
    query_parameters(o, r);
    json_end(o);
    request_body(o, r->body);
    replies(o, r->replies);
    if (strncmp(r->pattern, "/api", 4) != 0) json_raw_member(o, "security", "[]");
    json_end(o);
}

static bool is_first(int at)
{
    for (int i = 0; i < at; i++)
        if (strcmp(route_table[i].pattern, route_table[at].pattern) == 0) return false;
    return true;
}

static const char *const operation_names[] = {
#define ROUTE(method, pattern, handler, body, params, replies, summary) #handler,
#include "server/http/route.def"
#undef ROUTE
};

static void info(json_out *o)
{
    json_string_member(o, "openapi", "3.1.0");
    json_object_member(o, "info");
    json_string_member(o, "title", "Normscope");
    json_string_member(o, "version", NORMSCOPE_VERSION);
    json_string_member(
        o, "summary",
        "Will this network, with this normalization, at this depth, carry signal and gradient?");
    json_object_member(o, "license");
    json_string_member(o, "name", NORMSCOPE_LICENCE);
    json_string_member(o, "identifier", NORMSCOPE_LICENCE);
    json_end(o);
    json_end(o);
    json_raw_member(o, "security", "[{},{\"token\":[]}]");
    json_raw_member(o, "components",
                    "{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}}");
}

char *openapi_text(void)
{
    json_out o = {0};
    json_begin_object(&o);
    info(&o);
    json_object_member(&o, "paths");
    for (int i = 0; i < route_count; i++) {
        if (!is_first(i)) continue;
        path_key(&o, route_table[i].pattern);
        json_begin_object(&o);
        for (int k = i; k < route_count; k++)
            if (strcmp(route_table[k].pattern, route_table[i].pattern) == 0)
                operation(&o, &route_table[k], operation_names[k]);
        json_end(&o);
    }
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}
