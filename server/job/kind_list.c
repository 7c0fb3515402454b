/* Lists: of steps, of numbers, and of names from a registry. */
#include "server/job/kind_list.h"

#include "server/job/kind_json.h"
#include "server/job/kind_number.h"

#include <cJSON.h>
#include <stdio.h>
#include <string.h>

err_code list_read_integers(
    double *out, int *n, int n_max, double max, const field *f, const cJSON *value, error *err)
{
    field of = *f;
    of.min = 0, of.max = max, of.type = FIELD_INTEGER;
    error local;
    if (!err) err = &local;
    if (!cJSON_IsArray(value)) return draft_refuse(err, ERR_TYPE, f, value, 0);
    const cJSON *item;
    *n = 0;
    cJSON_ArrayForEach(item, value)
    {
        if (*n == n_max)
            return error_set(err, ERR_RANGE, "",
                             "%s has more than %d values; that many are allowed", f->name, n_max);
        if (number_check(&of, item, max, 0, err)) return draft_at_index(err, *n);
        out[(*n)++] = item->valuedouble + 0.0; /* -0 becomes 0 */
    }
    return ERR_OK;
}

void list_schema_integers(json_out *o, int min_items, int max_items, double max)
{
    json_string_member(o, "type", "array");
    json_object_member(o, "items");
    json_string_member(o, "type", "integer");
    json_number_member(o, "minimum", 0);
    json_number_member(o, "maximum", max);
    json_end(o);
    if (min_items) json_number_member(o, "minItems", min_items);
    json_number_member(o, "maxItems", max_items);
    json_bool_member(o, "uniqueItems", true);
}

/* --- steps ------------------------------------------------------------------------------------ */

static err_code read_steps(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    double steps[SPEC_STEPS_MAX] = {0};
    int *at = draft_at(to, f), *n = draft_length(to, f);
    (void)depth_max;
    err_code code =
        list_read_integers(steps, n, SPEC_STEPS_MAX, field_table[FIELD_train_steps].max, f, v, err);
    if (code) return code;
    memset(at, 0, f->size);
    for (int i = 0; i < *n; i++) {
        at[i] = (int)steps[i];
        if (i == 0 || at[i] > at[i - 1]) continue;
        error_set(err, ERR_RANGE, "", "step %d follows step %d; steps must ascend", at[i],
                  at[i - 1]);
        return draft_at_index(err, i);
    }
    return ERR_OK;
}

static void write_steps(json_out *o, const field *f, const run_spec *spec)
{
    const int *at = field_at(spec, f);
    json_begin_array(o);
    for (int i = 0; i < field_length(spec, f); i++) json_integer(o, at[i]);
    json_end(o);
}

static void schema_steps(json_out *o, const field *f)
{
    (void)f;
    list_schema_integers(o, 0, SPEC_STEPS_MAX, field_table[FIELD_train_steps].max);
}

const field_kind kind_STEPS = {
    .name = "steps",
    .allows = "a list of up to 64 ascending integers from 0",
    .read = read_steps,
    .write = write_steps,
    .write_default = kind_default_json,
    .schema = schema_steps,
};

/* --- numbers ---------------------------------------------------------------------------------- */

static void allow_numbers(char *out, size_t size, const field *f, int depth_max)
{
    (void)depth_max;
    snprintf(out, size, "a list of up to %zu numbers", f->size / sizeof(double));
}

static err_code read_numbers(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    double *at = draft_at(to, f);
    int *n = draft_length(to, f), n_max = (int)(f->size / sizeof *at);
    (void)depth_max;
    if (!cJSON_IsArray(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    memset(at, 0, f->size);
    *n = 0;
    field of = *f;
    of.type = FIELD_NUMBER;
    const cJSON *item;
    cJSON_ArrayForEach(item, v)
    {
        if (*n == n_max)
            return error_set(err, ERR_RANGE, "", "%s has more than %d numbers", f->name, n_max);
        if (number_check(&of, item, f->max, 0, err)) return draft_at_index(err, *n);
        at[(*n)++] = item->valuedouble + 0.0;
    }
    return ERR_OK;
}

static void write_numbers(json_out *o, const field *f, const run_spec *spec)
{
    const double *at = field_at(spec, f);
    json_begin_array(o);
    for (int i = 0; i < field_length(spec, f); i++) json_double(o, at[i]);
    json_end(o);
}

static void schema_numbers(json_out *o, const field *f)
{
    json_string_member(o, "type", "array");
    json_object_member(o, "items");
    json_string_member(o, "type", "number");
    json_number_member(o, "minimum", f->min);
    json_number_member(o, "maximum", f->max);
    json_end(o);
    json_number_member(o, "maxItems", (double)(f->size / sizeof(double)));
}

const field_kind kind_NUMBERS = {
    .name = "numbers",
    .allowed = allow_numbers,
    .read = read_numbers,
    .write = write_numbers,
    .write_default = kind_default_json,
    .schema = schema_numbers,
};

/* --- names: rows of a registry, or groups of them --------------------------------------------- */

static bool select_group(bool *selected, const registry *r, const char *name)
{
    bool found = false;
    for (int i = 0; i < r->n; i++)
        if (r->rows[i]->group && strcmp(r->rows[i]->group, name) == 0) selected[i] = found = true;
    return found;
}

static err_code read_names(draft *to, const field *f, const cJSON *v, const char *what, error *err)
{
    const registry *r = field_choices(f);
    bool *selected = draft_at(to, f);
    if (!cJSON_IsArray(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    memset(selected, 0, f->size);
    int index = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, v)
    {
        int row = cJSON_IsString(item) ? registry_find(r, item->valuestring) : -1;
        if (row >= 0) {
            selected[row] = true;
        } else if (!cJSON_IsString(item)) {
            draft_refuse(err, ERR_TYPE, f, item, 0);
            return draft_at_index(err, index);
        } else if (!select_group(selected, r, item->valuestring)) {
            draft_unknown(err, ERR_UNKNOWN_NAME, what, item->valuestring, r);
            return draft_at_index(err, index);
        }
        index++;
    }
    return ERR_OK;
}

static err_code read_sites(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    (void)depth_max;
    return read_names(to, f, v, "site", err);
}

static err_code read_metrics(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    (void)depth_max;
    return read_names(to, f, v, "metric", err);
}

static void write_names(json_out *o, const field *f, const run_spec *spec)
{
    const registry *r = field_choices(f);
    const bool *selected = field_at(spec, f);
    json_begin_array(o);
    for (int i = 0; i < r->n; i++)
        if (selected[i]) json_string(o, r->rows[i]->name);
    json_end(o);
}

static void schema_names(json_out *o, const field *f)
{
    const registry *r = field_choices(f);
    json_string_member(o, "type", "array");
    json_object_member(o, "items");
    json_string_member(o, "type", "string");
    json_array_member(o, "enum");
    kind_names(o, r);
    for (int i = 0; i < r->n; i++) {
        const char *group = r->rows[i]->group;
        if (group && (i == 0 || strcmp(group, r->rows[i - 1]->group) != 0)) json_string(o, group);
    }
    json_end(o);
    json_end(o);
}

const field_kind kind_SITES = {
    .name = "sites",
    .allows = "a list of sites",
    .read = read_sites,
    .write = write_names,
    .write_default = kind_default_json,
    .schema = schema_names,
};

const field_kind kind_METRICS = {
    .name = "metrics",
    .allows = "a list of metrics and metric groups",
    .read = read_metrics,
    .write = write_names,
    .write_default = kind_default_json,
    .schema = schema_names,
};
