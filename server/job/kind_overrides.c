/* strategy.overrides: other values in some blocks. */
#include "server/job/draft.h"
#include "server/job/kind_json.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {[LAYERS_ALL] = "all",
                                    [LAYERS_EARLY] = "early",
                                    [LAYERS_MIDDLE] = "middle",
                                    [LAYERS_LATER] = "later"};
enum { N_NAMES = sizeof names / sizeof *names };

static err_code refuse_layers(const cJSON *v, error *err)
{
    char text[DRAFT_VALUE];
    draft_value_text(text, v);
    return error_set(err, ERR_RANGE, "",
                     "layers is %s; allowed: early, middle, later, all, a block from 1, or two "
                     "blocks [first, last]",
                     text);
}

static bool is_block(const cJSON *v)
{
    double n = cJSON_IsNumber(v) ? v->valuedouble : 0;
    return n >= 1 && n <= field_table[FIELD__depth].max && n == floor(n);
}

static err_code read_layers(spec_override *out, const cJSON *v, error *err)
{
    for (int i = LAYERS_ALL; i < N_NAMES && cJSON_IsString(v); i++)
        if (strcmp(v->valuestring, names[i]) == 0) {
            out->layers = i;
            return ERR_OK;
        }
    const cJSON *first = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, 0) : v,
                *last = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, 1) : v;
    bool two = cJSON_IsArray(v) && cJSON_GetArraySize(v) == 2;
    if (!(two || cJSON_IsNumber(v)) || !is_block(first) || !is_block(last) ||
        first->valuedouble > last->valuedouble)
        return refuse_layers(v, err);
    out->first = (int)first->valuedouble, out->last = (int)last->valuedouble;
    return ERR_OK;
}

static int find_member(const char *name)
{
    int id = field_find("strategy", name);
    return id >= 0 && field_table[id].override ? id : -1;
}

static err_code unknown_member(const cJSON *member, error *err)
{
    entry entries[FIELD_COUNT + 1];
    const entry *rows[FIELD_COUNT + 1];
    registry members = {.kind = "members", .rows = rows};
    entries[members.n++] = (entry){.name = "layers"};
    for (int i = 0; i < FIELD_COUNT; i++)
        if (field_table[i].override) entries[members.n++] = (entry){.name = field_table[i].name};
    for (int i = 0; i < members.n; i++) rows[i] = &entries[i];
    return draft_unknown(err, ERR_UNKNOWN_FIELD, "member of an override called", member->string,
                         &members);
}

/* Where a member of an override lies in spec_layer. */
static size_t offset_of(const field *f)
{
    return f->offset - offsetof(run_spec, strategy.layer);
}

static err_code read_member(spec_override *out, draft *scratch, const cJSON *member, error *err)
{
    if (strcmp(member->string, "layers") == 0) return read_layers(out, member, err);
    int id = find_member(member->string);
    if (id < 0) return unknown_member(member, err);
    const field *f = &field_table[id];
    err_code code = draft_read_field(scratch, (field_id)id, member, 0, err);
    if (code) return code;
    memcpy((char *)&out->layer + offset_of(f), (const char *)&scratch->spec + f->offset, f->size);
    out->given |= f->override;
    return ERR_OK;
}

static err_code read_override(spec_override *out, draft *scratch, const cJSON *v, error *err)
{
    char text[DRAFT_VALUE];
    draft_value_text(text, v);
    if (!cJSON_IsObject(v))
        return error_set(err, ERR_TYPE, "", "an override is %s; allowed: an object", text);
    if (!cJSON_GetObjectItemCaseSensitive(v, "layers"))
        return error_set(err, ERR_MISSING_FIELD, "/layers", "an override needs layers");
    const cJSON *member;
    cJSON_ArrayForEach(member, v)
    {
        err_code code = read_member(out, scratch, member, err);
        if (!code) continue;
        error_prefix(err, member->string);
        return code;
    }
    if (!out->given)
        return error_set(err, ERR_MISSING_FIELD, "", "an override changes nothing but layers");
    return ERR_OK;
}

static err_code
read_overrides(draft *to, const field *f, const cJSON *value, int depth_max, error *err)
{
    static const draft empty;
    draft scratch = empty;
    spec_strategy *out = &to->spec.strategy;
    (void)depth_max;
    if (!cJSON_IsArray(value)) return draft_refuse(err, ERR_TYPE, f, value, 0);
    memset(out->overrides, 0, sizeof out->overrides);
    out->n_overrides = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        if (out->n_overrides == SPEC_OVERRIDES_MAX)
            return error_set(err, ERR_RANGE, "", "overrides has more than %d entries",
                             SPEC_OVERRIDES_MAX);
        int i = out->n_overrides++;
        err_code code = read_override(&out->overrides[i], &scratch, item, err);
        if (!code) continue;
        draft_at_index(err, i);
        return code;
    }
    return ERR_OK;
}

static void write_layers(json_out *o, const spec_override *r)
{
    json_key(o, "layers");
    if (r->layers != LAYERS_RANGE) {
        json_string(o, names[r->layers]);
    } else if (r->first == r->last) {
        json_integer(o, r->first);
    } else {
        json_begin_array(o);
        json_integer(o, r->first);
        json_integer(o, r->last);
        json_end(o);
    }
}

static void write_overrides(json_out *o, const field *f, const run_spec *spec)
{
    const spec_strategy *s = &spec->strategy;
    (void)f;
    run_spec scratch = {0};
    json_begin_array(o);
    for (int i = 0; i < s->n_overrides; i++) {
        const spec_override *r = &s->overrides[i];
        json_begin_object(o);
        write_layers(o, r);
        scratch.strategy.layer = r->layer;
        for (int id = 0; id < FIELD_COUNT; id++) {
            if (!(field_table[id].override & r->given)) continue;
            json_key(o, field_table[id].name);
            kind_table[field_table[id].type]->write(o, &field_table[id], &scratch);
        }
        json_end(o);
    }
    json_end(o);
}

static void schema_layers(json_out *o)
{
    json_object_member(o, "layers");
    json_array_member(o, "oneOf");
    json_begin_object(o);
    json_array_member(o, "enum");
    for (int i = LAYERS_ALL; i < N_NAMES; i++) json_string(o, names[i]);
    json_end(o);
    json_end(o);
    json_raw(o, "{\"type\":\"integer\",\"minimum\":1}");
    json_raw(o, "{\"type\":\"array\",\"minItems\":2,\"maxItems\":2,"
                "\"items\":{\"type\":\"integer\",\"minimum\":1}}");
    json_end(o);
    json_end(o);
}

/* Of one entry of the list. */
static void schema_entry(json_out *o)
{
    json_begin_object(o);
    json_string_member(o, "type", "object");
    json_bool_member(o, "additionalProperties", false);
    json_raw_member(o, "required", "[\"layers\"]");
    json_integer_member(o, "minProperties", 2);
    json_object_member(o, "properties");
    schema_layers(o);
    for (int id = 0; id < FIELD_COUNT; id++) {
        if (!field_table[id].override) continue;
        char path[FIELD_PATH];
        field_path(path, &field_table[id]);
        json_key(o, field_table[id].name);
        kind_schema_reference(o, path);
    }
    json_end(o);
    json_end(o);
}

static void schema_overrides(json_out *o, const field *f)
{
    (void)f;
    json_string_member(o, "type", "array");
    json_key(o, "items");
    schema_entry(o);
    json_number_member(o, "maxItems", SPEC_OVERRIDES_MAX);
}

static void allow_overrides(char *out, size_t size, const field *f, int depth_max)
{
    (void)f, (void)depth_max;
    snprintf(out, size, "a list of up to %d objects", SPEC_OVERRIDES_MAX);
}

const field_kind kind_OVERRIDES = {
    .name = "overrides",
    .allowed = allow_overrides,
    .read = read_overrides,
    .write = write_overrides,
    .write_default = kind_default_json,
    .schema = schema_overrides,
};
