#include "server/job/sweep.h"

#include "server/job/canonical.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a path names: a group (*id -1), or a field (*group -1). */
static bool find_path(const char *path, int *group, int *id)
{
    const char *dot = strchr(path, '.');
    *group = *id = -1;
    if (!dot) {
        *group = field_group_find(path);
        if (*group < 0) *id = field_find("", path);
        return *group >= 0 || (*id >= 0 && field_sweepable(&field_table[*id]));
    }
    char name[FIELD_PATH];
    size_t n = (size_t)(dot - path);
    if (n >= sizeof name) return false;
    memcpy(name, path, n);
    name[n] = '\0';
    if (n > 0) *id = field_find(name, dot + 1);
    return *id >= 0;
}

static err_code unknown_path(const char *path, error *err)
{
    enum { MOST = FIELD_COUNT + 16 };
    char texts[FIELD_COUNT][FIELD_PATH];
    entry entries[MOST];
    const entry *rows[MOST];
    registry paths = {.kind = "paths", .rows = rows};
    for (int i = 0; i < field_n_groups; i++)
        entries[paths.n++] = (entry){.name = field_groups[i].name};
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (!field_sweepable(&field_table[i])) continue;
        field_path(texts[i], &field_table[i]);
        entries[paths.n++] = (entry){.name = texts[i]};
    }
    for (int i = 0; i < paths.n; i++) rows[i] = &entries[i];
    return draft_unknown(err, ERR_UNKNOWN_FIELD, "field to sweep called", path, &paths);
}

/* What is written out has no short text to call an arm by. */
static err_code check_named(const draft *d, int group, error *err)
{
    bool written = d->given[FIELD_model_preset] && d->preset == DRAFT_WRITTEN_OUT;
    if (!written && !d->given[FIELD_model_hf_config]) return ERR_OK;
    return error_set(
        err, ERR_COMBINATION,
        group < 0 ? ""
        : written ? "/preset"
                  : "/hf_config",
        "a model is swept by the names of presets; make one job for each model that is "
        "written out");
}

static err_code
read_axis_value(axis_value *v, int group, int id, const cJSON *item, int depth_max, error *err)
{
    err_code code = group >= 0 ? draft_read_group(&v->given, group, item, depth_max, err)
                               : draft_read_field(&v->given, (field_id)id, item, depth_max, err);
    if (code) return code;
    if ((code = check_named(&v->given, group, err))) return code;
    v->is_object = cJSON_IsObject(item);
    json_out o = {0};
    if (group >= 0)
        canonical_group(&o, group, &v->given);
    else
        canonical_draft_value(&o, (field_id)id, &v->given);
    v->text = json_take(&o);
    return v->text ? ERR_OK : error_set(err, ERR_MEMORY, "", "not enough memory for the sweep");
}

static int by_text(const void *a, const void *b)
{
    const axis_value *x = *(const axis_value *const *)a, *y = *(const axis_value *const *)b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x > y) - (x < y);
}

static err_code check_distinct(const axis *a, error *err)
{
    const axis_value **sorted = malloc((size_t)a->n * sizeof(const axis_value *));
    if (!sorted) return error_set(err, ERR_MEMORY, "", "not enough memory for the sweep");
    for (int i = 0; i < a->n; i++) sorted[i] = &a->values[i];
    qsort(sorted, (size_t)a->n, sizeof(const axis_value *), by_text);
    err_code code = ERR_OK;
    for (int i = 1; i < a->n && !code; i++) {
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) != 0) continue;
        error_set(err, ERR_RANGE, "", "the value %.60s is given twice", sorted[i]->text);
        code = draft_at_index(err, (int)(sorted[i] - a->values));
    }
    free(sorted);
    return code;
}

static err_code read_axis(axis *a, const cJSON *list, int depth_max, error *err)
{
    int group, id;
    if (!find_path(list->string, &group, &id)) return unknown_path(list->string, err);
    snprintf(a->path, sizeof a->path, "%s", list->string);
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (n == 0) {
        char text[DRAFT_VALUE];
        draft_value_text(text, list);
        return error_set(err, cJSON_IsArray(list) ? ERR_RANGE : ERR_TYPE, "",
                         "%s is %s; allowed: a list of at least one value", a->path,
                         cJSON_IsArray(list) ? "an empty list" : text);
    }
    if (!(a->values = calloc((size_t)n, sizeof *a->values)))
        return error_set(err, ERR_MEMORY, "", "not enough memory for the sweep");
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        axis_value *v = &a->values[a->n++];
        if (read_axis_value(v, group, id, item, depth_max, err))
            return draft_at_index(err, a->n - 1);
    }
    return check_distinct(a, err);
}

err_code sweep_read(sweep *s, const cJSON *value, int depth_max, error *err)
{
    *s = (sweep){0};
    if (!cJSON_IsObject(value))
        return draft_refuse(err, ERR_TYPE, &field_table[FIELD__sweep], value, 0);
    int n = cJSON_GetArraySize(value), n_values = 0;
    if (n && !(s->axes = calloc((size_t)n, sizeof *s->axes)))
        return error_set(err, ERR_MEMORY, "", "not enough memory for the sweep");
    const cJSON *list;
    cJSON_ArrayForEach(list, value) n_values += cJSON_GetArraySize(list);
    if (n_values > SWEEP_VALUES)
        return error_set(err, ERR_LIMIT, "", "the sweep has %d values; the limit is %d", n_values,
                         SWEEP_VALUES);
    cJSON_ArrayForEach(list, value)
    {
        err_code code = read_axis(&s->axes[s->n++], list, depth_max, err);
        if (!code) continue;
        error_prefix(err, list->string);
        return code;
    }
    return ERR_OK;
}

void sweep_deinit(sweep *s)
{
    for (int a = 0; a < s->n; a++) {
        for (int i = 0; i < s->axes[a].n; i++) free(s->axes[a].values[i].text);
        free(s->axes[a].values);
    }
    free(s->axes);
    *s = (sweep){0};
}

err_code sweep_count(const sweep *s, int n_seeds, int limit, int *n_arms, error *err)
{
    double runs = n_seeds; /* a double: the product of many lists does not fit an integer */
    *n_arms = 1;
    for (int a = 0; a < s->n; a++) runs *= s->axes[a].n;
    if (runs > limit)
        return error_set(err, ERR_LIMIT, "",
                         "the job has %.6g runs (%.6g combinations, %d seeds); the limit is %d",
                         runs, runs / n_seeds, n_seeds, limit);
    for (int a = 0; a < s->n; a++) *n_arms *= s->axes[a].n;
    return ERR_OK;
}

void sweep_find_arm(sweep_arm *out, const sweep *s, int number)
{
    for (int a = s->n - 1; a >= 0; a--) {
        out->value[a] = number % s->axes[a].n;
        number /= s->axes[a].n;
    }
}

void sweep_overlay(draft *to, const sweep *s, const sweep_arm *arm)
{
    for (int a = 0; a < s->n; a++) draft_overlay(to, &s->axes[a].values[arm->value[a]].given);
}

bool sweep_gives(const sweep *s, int id)
{
    for (int a = 0; a < s->n; a++)
        for (int i = 0; i < s->axes[a].n; i++)
            if (s->axes[a].values[i].given.given[id]) return true;
    return false;
}

void sweep_arm_text(json_out *o, const sweep *s, const sweep_arm *arm)
{
    json_begin_object(o);
    for (int a = 0; a < s->n; a++)
        json_raw_member(o, s->axes[a].path, s->axes[a].values[arm->value[a]].text);
    json_end(o);
}

int sweep_shown(const sweep *s)
{
    int n = 0;
    for (int a = 0; a < s->n; a++) n += !s->axes[a].hidden;
    return n;
}

void sweep_text(json_out *o, const sweep *s)
{
    json_begin_object(o);
    for (int a = 0; a < s->n; a++) {
        if (s->axes[a].hidden) continue;
        json_array_member(o, s->axes[a].path);
        for (int i = 0; i < s->axes[a].n; i++) json_raw(o, s->axes[a].values[i].text);
        json_end(o);
    }
    json_end(o);
}
