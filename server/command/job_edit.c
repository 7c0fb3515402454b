#include "server/command/job_edit.h"

#include "server/job/field.h"
#include "server/text/json_scan.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "not enough memory to put the job together");
}

err_code job_edit_parse(cJSON **out, const char *text, size_t n, error *err)
{
    *out = NULL;
    err_code code = json_scan(text, n, &json_scan_job, err);
    if (code) return code;
    char *copy = malloc(n + 1);
    if (!copy) return no_memory(err);
    memcpy(copy, text, n);
    copy[n] = '\0';
    *out = cJSON_ParseWithLengthOpts(copy, n + 1, NULL, true);
    free(copy);
    return *out ? ERR_OK : no_memory(err);
}

/* The member `group` as an object, made of what it is when it is written short; NULL when it is
 * something else, or without memory. */
static cJSON *open_group(cJSON *job, const char *group)
{
    cJSON *old = cJSON_GetObjectItemCaseSensitive(job, group);
    if (cJSON_IsObject(old)) return old;
    int number = field_group_find(group), id = number < 0 ? -1 : field_shorthand(number);
    if (old && (id < 0 || cJSON_IsArray(old))) return NULL;
    cJSON *object = cJSON_CreateObject(), *value = old ? cJSON_Duplicate(old, true) : NULL;
    bool failed = !object || (old && !value) ||
                  (value && !cJSON_AddItemToObject(object, field_table[id].name, value));
    if (failed) {
        cJSON_Delete(object);
        return NULL;
    }
    if (old) cJSON_DeleteItemFromObjectCaseSensitive(job, group);
    cJSON_AddItemToObject(job, group, object);
    return object;
}

static err_code put(cJSON *object, const char *name, cJSON *value, error *err)
{
    if (!value) return no_memory(err);
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    if (cJSON_AddItemToObject(object, name, value)) return ERR_OK;
    cJSON_Delete(value);
    return no_memory(err);
}

/* A field at top level, or a group; written short beside fields that it already has, its shorthand.
 */
static err_code put_top(cJSON *job, const char *name, cJSON *value, error *err)
{
    cJSON *old = cJSON_GetObjectItemCaseSensitive(job, name);
    int group = field_group_find(name), id = group < 0 ? -1 : field_shorthand(group);
    bool beside = id >= 0 && cJSON_IsObject(old) && value && !cJSON_IsObject(value);
    return beside ? put(old, field_table[id].name, value, err) : put(job, name, value, err);
}

/* Takes ownership of value. */
static err_code put_at(cJSON *job, const char *path, cJSON *value, error *err)
{
    char group[FIELD_PATH];
    const char *dot = strchr(path, '.');
    if (!dot) return put_top(job, path, value, err);
    snprintf(group, sizeof group, "%.*s", (int)(dot - path), path);
    cJSON *object = (size_t)(dot - path) < sizeof group ? open_group(job, group) : NULL;
    if (object) return put(object, dot + 1, value, err);
    cJSON_Delete(value);
    return error_set(err, ERR_TYPE, "", "%.60s cannot be set: %.40s has no fields", path, group);
}

/* JSON where it is, else a text: pre_ln needs no quotes. */
static cJSON *value_of(const char *text)
{
    cJSON *value = NULL;
    error unwanted;
    if (job_edit_parse(&value, text, strlen(text), &unwanted)) value = NULL;
    return value ? value : cJSON_CreateString(text);
}

err_code job_edit_set_to(cJSON *job, const char *path, const char *value, error *err)
{
    return put_at(job, path, value_of(value), err);
}

err_code job_edit_set(cJSON *job, const char *setting, error *err)
{
    const char *equals = strchr(setting, '=');
    char path[2 * FIELD_PATH];
    size_t n = equals ? (size_t)(equals - setting) : 0;
    if (n == 0 || n >= sizeof path || !equals[1])
        return error_set(err, ERR_TYPE, "", "--set is %.60s; allowed: FIELD=VALUE", setting);
    memcpy(path, setting, n);
    path[n] = '\0';
    return job_edit_set_to(job, path, equals + 1, err);
}

static err_code put_config(cJSON *job, const char *config, size_t n, error *err)
{
    cJSON *tree;
    err_code code = job_edit_parse(&tree, config, n, err);
    if (code) return code;
    return put_at(job, "model.hf_config", tree, err);
}

err_code job_edit_begin(
    cJSON **out, const char *job, size_t n_job, const char *config, size_t n_config, error *err)
{
    *out = NULL;
    err_code code = job ? job_edit_parse(out, job, n_job, err) : ERR_OK;
    if (!code && !job && !(*out = cJSON_CreateObject())) code = no_memory(err);
    if (!code && !cJSON_IsObject(*out))
        code = error_set(err, ERR_TYPE, "", "the job is no object; allowed: an object");
    if (!code && config && (code = put_config(*out, config, n_config, err))) {
        error_prefix(err, "hf_config");
        error_prefix(err, "model");
    }
    if (!code) return ERR_OK;
    cJSON_Delete(*out);
    *out = NULL;
    return code;
}

char *job_edit_end(cJSON *job)
{
    char *text = cJSON_PrintUnformatted(job);
    cJSON_Delete(job);
    return text;
}
