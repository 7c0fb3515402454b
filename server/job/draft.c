#include "server/job/draft.h"

#include "server/job/choice.h"
#include "server/job/override.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"
#include "server/text/json_out.h"
#include "server/text/utf8.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SHOWN = 40, ALLOWED_SHOWN = 200 };

/* --- messages --------------------------------------------------------------------------------- */

/* A text from outside in quotes, without control characters, at most NAME_SHOWN bytes of it. */
static void quote(char out[DRAFT_VALUE], const char *text)
{
    size_t n = 0, length = strlen(text);
    out[n++] = '"';
    size_t i = 0;
    while (i < length) {
        size_t c = utf8_length(text + i, length - i);
        if (c == 0 || i + c > NAME_SHOWN) break;
        bool printable =
            c > 1 ? !(c == 2 && (unsigned char)text[i] == 0xc2 && (unsigned char)text[i + 1] < 0xa0)
                  : (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
        if (printable)
            memcpy(out + n, text + i, c);
        else
            out[n] = '?', c = c > 1 ? c : 1;
        n += printable ? c : 1;
        i += c;
    }
    snprintf(out + n, DRAFT_VALUE - n, "%s\"", i < length ? "…" : "");
}

void draft_value_text(char out[DRAFT_VALUE], const cJSON *value)
{
    if (cJSON_IsString(value)) {
        quote(out, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        if (isfinite(value->valuedouble))
            json_number_text(out, value->valuedouble);
        else
            snprintf(out, DRAFT_VALUE, "too large a number");
    } else {
        snprintf(out, DRAFT_VALUE, "%s",
                 cJSON_IsTrue(value)     ? "true"
                 : cJSON_IsFalse(value)  ? "false"
                 : cJSON_IsArray(value)  ? "a list"
                 : cJSON_IsObject(value) ? "an object"
                                         : "null");
    }
}

err_code draft_refuse(error *err, err_code code, const field *f, const cJSON *value, int depth_max)
{
    char text[DRAFT_VALUE], allowed[ALLOWED_SHOWN];
    draft_value_text(text, value);
    field_allowed(allowed, sizeof allowed, f, depth_max);
    return error_set(err, code, "", "%s is %s; allowed: %s", f->name, text, allowed);
}

err_code
draft_unknown(error *err, err_code code, const char *what, const char *name, const registry *among)
{
    char quoted[DRAFT_VALUE], list[ALLOWED_SHOWN] = "";
    quote(quoted, name);
    size_t n = 0;
    for (int i = 0; i < among->n; i++) {
        const char *row = among->rows[i]->name;
        if (n + strlen(row) + 8 > sizeof list) {
            snprintf(list + n, sizeof list - n, ", …");
            break;
        }
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", row);
    }
    int near = registry_nearest(among, name);
    return error_set(err, code, "", "there is no %s %s; %s%s%sallowed: %s", what, quoted,
                     near >= 0 ? "did you mean " : "", near >= 0 ? among->rows[near]->name : "",
                     near >= 0 ? "? " : "", list);
}

static void add_name(draft_names *out, const char *name)
{
    int i = out->names.n++;
    out->entries[i] = (entry){.name = name};
    out->rows[i] = &out->entries[i];
}

void draft_field_names(draft_names *out, int group)
{
    const char *name = group < 0 ? "" : field_groups[group].name;
    out->names = (registry){.kind = "fields", .rows = out->rows};
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        bool first = i == 0 || strcmp(field_table[i - 1].group, f->group) != 0;
        if (strcmp(f->group, name) == 0)
            add_name(out, f->name);
        else if (group < 0 && first)
            add_name(out, f->group);
    }
}

/* --- single values ---------------------------------------------------------------------------- */

static err_code check_number(const field *f, const cJSON *v, double max, int depth_max, error *err)
{
    if (!cJSON_IsNumber(v)) return draft_refuse(err, ERR_TYPE, f, v, depth_max);
    double x = v->valuedouble;
    bool low = f->open_min ? x > f->min : x >= f->min;
    bool high = f->open_max ? x < max : x <= max;
    if (!isfinite(x) || !low || !high) return draft_refuse(err, ERR_RANGE, f, v, depth_max);
    bool any = f->type == FIELD_NUMBER || f->type == FIELD_SCALE;
    return any || x == floor(x) ? ERR_OK : draft_refuse(err, ERR_TYPE, f, v, depth_max);
}

static err_code read_choice(int *out, const field *f, const cJSON *v, error *err)
{
    const registry *r = choice_registry(f->choices);
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    if (!r) return error_set(err, ERR_INTERNAL, "", "there is no registry %s", f->choices);
    *out = registry_find(r, v->valuestring);
    if (*out < 0) return draft_unknown(err, ERR_UNKNOWN_NAME, f->name, v->valuestring, r);
    return ERR_OK;
}

static err_code read_corpus(char out[SPEC_CORPUS_NAME], const field *f, const cJSON *v, error *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    size_t n = strlen(v->valuestring);
    if (n == 0 || n >= SPEC_CORPUS_NAME || strspn(v->valuestring, letters) != n ||
        v->valuestring[0] == '.')
        return draft_refuse(err, ERR_RANGE, f, v, 0);
    memset(out, 0, SPEC_CORPUS_NAME);
    memcpy(out, v->valuestring, n);
    return ERR_OK;
}

static err_code read_preset(draft *d, const field *f, const cJSON *v, error *err)
{
    d->written = v;
    d->preset = DRAFT_WRITTEN_OUT;
    if (cJSON_IsObject(v)) return ERR_OK;
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    d->preset = registry_find(&preset_registry, v->valuestring);
    if (d->preset < 0)
        return draft_unknown(err, ERR_UNKNOWN_NAME, "preset", v->valuestring, &preset_registry);
    return ERR_OK;
}

/* What it says is read by server/job/base.c. */
static err_code read_hf_config(draft *d, const field *f, const cJSON *v, error *err)
{
    d->hf_config = v;
    return cJSON_IsObject(v) ? ERR_OK : draft_refuse(err, ERR_TYPE, f, v, 0);
}

static err_code read_strategy(draft *d, const field *f, const cJSON *v, error *err)
{
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    d->strategy = registry_find(&strategy_registry, v->valuestring);
    if (d->strategy < 0)
        return draft_unknown(err, ERR_UNKNOWN_NAME, "strategy", v->valuestring, &strategy_registry);
    const strategy *s = strategy_table[d->strategy];
    if (s->refused)
        return error_set(err, ERR_COMBINATION, "", "%s is known and not offered: %s", s->entry.name,
                         s->refused);
    return ERR_OK;
}

/* --- lists ------------------------------------------------------------------------------------ */

static err_code at_index(error *err, int index)
{
    char segment[16];
    snprintf(segment, sizeof segment, "%d", index);
    error_prefix(err, segment);
    return err ? err->code : ERR_RANGE;
}

err_code draft_read_integers(
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
        if (check_number(&of, item, max, 0, err)) return at_index(err, *n);
        out[(*n)++] = item->valuedouble + 0.0; /* -0 becomes 0 */
    }
    return ERR_OK;
}

static err_code read_steps(spec_measure *m, const field *f, const cJSON *v, error *err)
{
    double steps[SPEC_STEPS_MAX] = {0};
    err_code code = draft_read_integers(steps, &m->n_steps, SPEC_STEPS_MAX,
                                        field_table[FIELD_train_steps].max, f, v, err);
    if (code) return code;
    memset(m->steps, 0, sizeof m->steps);
    for (int i = 0; i < m->n_steps; i++) {
        m->steps[i] = (int)steps[i];
        if (i == 0 || m->steps[i] > m->steps[i - 1]) continue;
        error_set(err, ERR_RANGE, "", "step %d follows step %d; steps must ascend", m->steps[i],
                  m->steps[i - 1]);
        return at_index(err, i);
    }
    return ERR_OK;
}

static err_code read_scales(spec_strategy *s, const field *f, const cJSON *v, error *err)
{
    if (!cJSON_IsArray(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    memset(s->residual_scales, 0, sizeof s->residual_scales);
    s->n_residual_scales = 0;
    field of = *f;
    of.type = FIELD_NUMBER;
    const cJSON *item;
    cJSON_ArrayForEach(item, v)
    {
        if (s->n_residual_scales == SPEC_SCALES_MAX)
            return error_set(err, ERR_RANGE, "", "%s has more than %d numbers", f->name,
                             SPEC_SCALES_MAX);
        if (check_number(&of, item, f->max, 0, err)) return at_index(err, s->n_residual_scales);
        s->residual_scales[s->n_residual_scales++] = item->valuedouble + 0.0;
    }
    return ERR_OK;
}

static bool select_group(bool *selected, const registry *r, const char *name)
{
    bool found = false;
    for (int i = 0; i < r->n; i++)
        if (r->rows[i]->group && strcmp(r->rows[i]->group, name) == 0) selected[i] = found = true;
    return found;
}

static err_code read_names(bool *selected, const field *f, const cJSON *v, error *err)
{
    const registry *r = f->type == FIELD_SITES ? &site_registry : &metric_registry;
    if (!cJSON_IsArray(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    memset(selected, 0, (size_t)r->n * sizeof *selected);
    int index = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, v)
    {
        int row = cJSON_IsString(item) ? registry_find(r, item->valuestring) : -1;
        if (row >= 0) {
            selected[row] = true;
        } else if (!cJSON_IsString(item)) {
            draft_refuse(err, ERR_TYPE, f, item, 0);
            return at_index(err, index);
        } else if (!select_group(selected, r, item->valuestring)) {
            const char *what = f->type == FIELD_SITES ? "site" : "metric";
            draft_unknown(err, ERR_UNKNOWN_NAME, what, item->valuestring, r);
            return at_index(err, index);
        }
        index++;
    }
    return ERR_OK;
}

/* --- fields and groups ------------------------------------------------------------------------ */

static err_code read_number(void *at, const field *f, const cJSON *v, int depth_max, error *err)
{
    if (f->nullable && cJSON_IsNull(v)) {
        *(double *)at = NAN;
        return ERR_OK;
    }
    double max = f->type == FIELD_DEPTH && depth_max ? depth_max : f->max;
    err_code code = check_number(f, v, max, depth_max, err);
    if (code) return code;
    if (f->type == FIELD_NUMBER)
        *(double *)at = v->valuedouble + 0.0; /* -0 becomes 0 */
    else
        *(int *)at = (int)v->valuedouble;
    return ERR_OK;
}

static err_code read_value(draft *d, const field *f, const cJSON *v, int depth_max, error *err)
{
    void *at = (char *)&d->spec + f->offset;
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_DEPTH:
    case FIELD_NUMBER:
        return read_number(at, f, v, depth_max, err);
    case FIELD_BOOL:
        if (!cJSON_IsBool(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
        *(bool *)at = cJSON_IsTrue(v);
        return ERR_OK;
    case FIELD_CHOICE:
        return read_choice(at, f, v, err);
    case FIELD_TEXT:
        return read_corpus(at, f, v, err);
    case FIELD_STEPS:
        return read_steps(&d->spec.measure, f, v, err);
    case FIELD_SITES:
    case FIELD_METRICS:
        return read_names(at, f, v, err);
    case FIELD_NUMBERS:
        return read_scales(&d->spec.strategy, f, v, err);
    case FIELD_OVERRIDES:
        return override_read(&d->spec.strategy, f, v, err);
    case FIELD_PRESET:
        return read_preset(d, f, v, err);
    case FIELD_STRATEGY:
        return read_strategy(d, f, v, err);
    case FIELD_SCALE:
        d->width_scale = v->valuedouble;
        return check_number(f, v, f->max, depth_max, err);
    case FIELD_HF_CONFIG:
        return read_hf_config(d, f, v, err);
    default:
        return error_set(err, ERR_INTERNAL, "", "%s is no field of a run", f->name);
    }
}

err_code draft_read_field(draft *d, field_id id, const cJSON *value, int depth_max, error *err)
{
    err_code code = read_value(d, &field_table[id], value, depth_max, err);
    if (!code) d->given[id] = true;
    return code;
}

static err_code read_members(draft *d, int group, const cJSON *object, int depth_max, error *err)
{
    const char *name = field_groups[group].name;
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        int id = field_find(name, member->string);
        err_code code;
        if (id < 0) {
            draft_names names;
            char what[32];
            draft_field_names(&names, group);
            snprintf(what, sizeof what, "field of %s called", name);
            code = draft_unknown(err, ERR_UNKNOWN_FIELD, what, member->string, &names.names);
        } else {
            code = draft_read_field(d, (field_id)id, member, depth_max, err);
        }
        if (code) {
            error_prefix(err, member->string);
            return code;
        }
    }
    return ERR_OK;
}

err_code draft_read_group(draft *d, int group, const cJSON *value, int depth_max, error *err)
{
    if (cJSON_IsObject(value)) return read_members(d, group, value, depth_max, err);
    int id = field_shorthand(group);
    if (id >= 0 && !cJSON_IsArray(value))
        return draft_read_field(d, (field_id)id, value, depth_max, err);
    char text[DRAFT_VALUE];
    draft_value_text(text, value);
    return error_set(err, ERR_TYPE, "", "%s is %s; allowed: an object%s%s",
                     field_groups[group].name, text, id >= 0 ? ", or the value of its field " : "",
                     id >= 0 ? field_table[id].name : "");
}

bool draft_read_member(draft *d, const cJSON *member, int depth_max, err_code *code, error *err)
{
    int group = field_group_find(member->string);
    int id = group < 0 ? field_find("", member->string) : -1;
    if (group < 0 && (id < 0 || !field_table[id].size)) return false;
    *code = group >= 0 ? draft_read_group(d, group, member, depth_max, err)
                       : draft_read_field(d, (field_id)id, member, depth_max, err);
    if (*code) error_prefix(err, member->string);
    return true;
}

void draft_overlay(draft *to, const draft *from)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (!from->given[i]) continue;
        if (field_table[i].size) field_copy(&to->spec, &from->spec, &field_table[i]);
        to->given[i] = true;
    }
    if (from->given[FIELD_model_preset]) to->preset = from->preset, to->written = from->written;
    if (from->given[FIELD_model_width_scale]) to->width_scale = from->width_scale;
    if (from->given[FIELD_model_hf_config]) to->hf_config = from->hf_config;
    if (from->given[FIELD_strategy_name]) to->strategy = from->strategy;
}
