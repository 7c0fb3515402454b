/* What is said of the whole job: none of it belongs to one run. */
#include "server/job/kind_json.h"
#include "server/job/kind_list.h"
#include "server/job/reading.h"

#include <cJSON.h>
#include <stdio.h>
#include <string.h>

/* --- its name --------------------------------------------------------------------------------- */

static err_code read_name(reading *r, job *out, const cJSON *v, error *err)
{
    const field *f = &field_table[FIELD__name];
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    size_t n = strlen(v->valuestring), characters = 0;
    (void)r;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)v->valuestring[i];
        characters += (c & 0xc0) != 0x80;
        if (c < 0x20 || c == 0x7f)
            return error_set(err, ERR_RANGE, "",
                             "name has the control character U+%04X; allowed is text", c);
    }
    if (characters > JOB_NAME_CHARACTERS)
        return error_set(err, ERR_RANGE, "", "name has %zu characters; allowed are %d", characters,
                         JOB_NAME_CHARACTERS);
    memcpy(out->name, v->valuestring, n + 1);
    return ERR_OK;
}

static void schema_name(json_out *o, const field *f)
{
    (void)f;
    json_string_member(o, "type", "string");
    json_number_member(o, "maxLength", JOB_NAME_CHARACTERS);
    json_string_member(o, "pattern", "^[^\\u0000-\\u001f\\u007f]*$");
}

const field_kind kind_NAME = {
    .name = "name",
    .is_one = true,
    .allows = "a text of at most 120 characters",
    .read_own = read_name,
    .write_default = kind_default_name,
    .schema = schema_name,
};

/* --- seeds ------------------------------------------------------------------------------------ */

static err_code read_seeds(reading *r, job *out, const cJSON *v, error *err)
{
    const field *f = &field_table[FIELD__seeds];
    double seeds[SEEDS_MAX];
    (void)out;
    err_code code = list_read_integers(seeds, &r->n_seeds, SEEDS_MAX, f->max, f, v, err);
    if (code) return code;
    if (r->n_seeds == 0)
        return error_set(err, ERR_RANGE, "", "seeds is an empty list; at least one is needed");
    for (int i = 0; i < r->n_seeds; i++) {
        r->seeds[i] = (uint64_t)seeds[i];
        for (int k = 0; k < i; k++) {
            if (seeds[k] != seeds[i]) continue;
            char pointer[16];
            snprintf(pointer, sizeof pointer, "/%d", i);
            return error_set(err, ERR_RANGE, pointer, "seed %llu is given twice; seeds must differ",
                             (unsigned long long)r->seeds[i]);
        }
    }
    return ERR_OK;
}

static void schema_seeds(json_out *o, const field *f)
{
    list_schema_integers(o, 1, SEEDS_MAX, f->max);
}

const field_kind kind_SEEDS = {
    .name = "seeds",
    .is_one = true,
    .allows = "a list of 1 to 64 different integers from 0 to 2^53-1",
    .read_own = read_seeds,
    .write_default = kind_default_json,
    .schema = schema_seeds,
};

/* --- the sweep -------------------------------------------------------------------------------- */

static err_code read_sweep(reading *r, job *out, const cJSON *v, error *err)
{
    (void)out;
    return sweep_read(&r->sweep, v, r->lim->depth, err);
}

static void schema_axis(json_out *o, const char *path)
{
    json_object_member(o, path);
    json_string_member(o, "type", "array");
    json_number_member(o, "minItems", 1);
    json_bool_member(o, "uniqueItems", true);
    json_key(o, "items");
    kind_schema_reference(o, path);
    json_end(o);
}

static void schema_sweep(json_out *o, const field *f)
{
    (void)f;
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

const field_kind kind_SWEEP = {
    .name = "sweep",
    .is_one = true,
    .allows = "an object of field paths and lists of values",
    .read_own = read_sweep,
    .write_default = kind_default_json,
    .schema = schema_sweep,
};

/* --- rules of its own ------------------------------------------------------------------------- */

static void allow_expectations(char *out, size_t size, const field *f, int depth_max)
{
    (void)f, (void)depth_max;
    snprintf(out, size, "a list of up to %d objects", RULE_EXPECT_MAX);
}

static err_code read_expectations(reading *r, job *out, const cJSON *v, error *err)
{
    return expect_read(out->expect, v, r->lim->depth, err);
}

static void schema_expectations(json_out *o, const field *f)
{
    (void)f;
    json_string_member(o, "type", "array");
    json_key(o, "items");
    expect_schema(o);
    json_number_member(o, "maxItems", RULE_EXPECT_MAX);
}

const field_kind kind_EXPECT = {
    .name = "expect",
    .is_one = true,
    .allowed = allow_expectations,
    .read_own = read_expectations,
    .write_default = kind_default_json,
    .schema = schema_expectations,
};

/* --- looking for a depth ---------------------------------------------------------------------- */

static err_code read_find(reading *r, job *out, const cJSON *v, error *err)
{
    (void)out;
    return find_read(&r->find, v, r->lim->depth, err);
}

static void schema_find(json_out *o, const field *f)
{
    (void)f;
    find_schema(o);
}

const field_kind kind_FIND = {
    .name = "find",
    .is_one = true,
    .is_optional = true,
    .allows = "\"max_depth\", or an object with max_depth and min_depth",
    .read_own = read_find,
    .write_default = kind_default_json,
    .schema = schema_find,
};
