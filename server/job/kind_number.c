/* One number, or true and false. */
#include "server/job/kind_number.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>

err_code number_check(const field *f, const cJSON *v, double max, int depth_max, error *err)
{
    if (!cJSON_IsNumber(v)) return draft_refuse(err, ERR_TYPE, f, v, depth_max);
    double x = v->valuedouble;
    bool low = f->open_min ? x > f->min : x >= f->min;
    bool high = f->open_max ? x < max : x <= max;
    if (!isfinite(x) || !low || !high) return draft_refuse(err, ERR_RANGE, f, v, depth_max);
    bool fits = !kind_table[f->type]->whole || x == floor(x);
    return fits ? ERR_OK : draft_refuse(err, ERR_TYPE, f, v, depth_max);
}

static void allow(char *out, size_t size, const field *f, double max)
{
    char low[JSON_NUMBER], high[JSON_NUMBER];
    json_number_text(low, f->min);
    json_number_text(high, max);
    snprintf(out, size, "%s %s%s %s%s%s", kind_table[f->type]->whole ? "integers" : "numbers",
             f->open_min ? "above " : "", low, f->open_max ? "to below " : "to ", high,
             f->nullable ? ", or null" : "");
}

void number_allowed(char *out, size_t size, const field *f, int depth_max)
{
    (void)depth_max;
    allow(out, size, f, f->max);
}

void number_default(json_out *o, const field *f)
{
    json_double_member(o, NULL, f->number);
}

void number_schema(json_out *o, const field *f)
{
    const char *type = kind_table[f->type]->whole ? "integer" : "number";
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

/* --- integers --------------------------------------------------------------------------------- */

static err_code read_integer(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    err_code code = number_check(f, v, f->max, depth_max, err);
    if (!code) *(int *)draft_at(to, f) = (int)v->valuedouble;
    return code;
}

static void write_integer(json_out *o, const field *f, const run_spec *spec)
{
    json_integer(o, *(const int *)field_at(spec, f));
}

static err_code set_integer(void *at, const field *f, error *err)
{
    (void)err;
    *(int *)at = (int)f->number;
    return ERR_OK;
}

const field_kind kind_INTEGER = {
    .name = "integer",
    .is_number = true,
    .whole = true,
    .allowed = number_allowed,
    .read = read_integer,
    .write = write_integer,
    .set_default = set_integer,
    .write_default = number_default,
    .schema = number_schema,
};

/* --- the depth -------------------------------------------------------------------------------- */

static void allow_depth(char *out, size_t size, const field *f, int depth_max)
{
    allow(out, size, f, depth_max ? depth_max : f->max);
}

static err_code read_depth(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    err_code code = number_check(f, v, depth_max ? depth_max : f->max, depth_max, err);
    if (!code) *(int *)draft_at(to, f) = (int)v->valuedouble;
    return code;
}

const field_kind kind_DEPTH = {
    .name = "integer",
    .is_number = true,
    .whole = true,
    .allowed = allow_depth,
    .read = read_depth,
    .write = write_integer,
    .set_default = set_integer,
    .write_default = number_default,
    .schema = number_schema,
};

/* --- numbers ---------------------------------------------------------------------------------- */

static err_code read_number(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    double *at = draft_at(to, f);
    if (f->nullable && cJSON_IsNull(v)) {
        *at = NAN;
        return ERR_OK;
    }
    err_code code = number_check(f, v, f->max, depth_max, err);
    if (!code) *at = v->valuedouble + 0.0; /* -0 becomes 0 */
    return code;
}

static void write_number(json_out *o, const field *f, const run_spec *spec)
{
    json_double_member(o, NULL, *(const double *)field_at(spec, f));
}

static bool equal_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x == y || (isnan(x) && isnan(y));
}

static err_code set_number(void *at, const field *f, error *err)
{
    (void)err;
    *(double *)at = f->number;
    return ERR_OK;
}

const field_kind kind_NUMBER = {
    .name = "number",
    .is_number = true,
    .allowed = number_allowed,
    .read = read_number,
    .write = write_number,
    .equal = equal_numbers,
    .set_default = set_number,
    .write_default = number_default,
    .schema = number_schema,
};

/* --- true and false --------------------------------------------------------------------------- */

static err_code read_bool(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    (void)depth_max;
    if (!cJSON_IsBool(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    *(bool *)draft_at(to, f) = cJSON_IsTrue(v);
    return ERR_OK;
}

static void write_bool(json_out *o, const field *f, const run_spec *spec)
{
    json_bool(o, *(const bool *)field_at(spec, f));
}

static err_code set_bool(void *at, const field *f, error *err)
{
    (void)err;
    *(bool *)at = f->number != 0;
    return ERR_OK;
}

static void default_bool(json_out *o, const field *f)
{
    json_bool(o, f->number != 0);
}

static void schema_bool(json_out *o, const field *f)
{
    (void)f;
    json_string_member(o, "type", "boolean");
}

const field_kind kind_BOOL = {
    .name = "boolean",
    .allows = "true, false",
    .read = read_bool,
    .write = write_bool,
    .set_default = set_bool,
    .write_default = default_bool,
    .schema = schema_bool,
};
