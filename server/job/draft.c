#include "server/job/draft.h"

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

/* --- fields and groups ------------------------------------------------------------------------ */

err_code draft_at_index(error *err, int index)
{
    char segment[16];
    snprintf(segment, sizeof segment, "%d", index);
    error_prefix(err, segment);
    return err ? err->code : ERR_RANGE;
}

void *draft_at(draft *d, const field *f)
{
    return (char *)&d->spec + f->offset;
}

int *draft_length(draft *d, const field *f)
{
    return (int *)((char *)&d->spec + f->count);
}

err_code draft_read_field(draft *d, field_id id, const cJSON *value, int depth_max, error *err)
{
    const field *f = &field_table[id];
    const field_kind *k = kind_table[f->type];
    if (!k->read) return error_set(err, ERR_INTERNAL, "", "%s is no field of a run", f->name);
    err_code code = k->read(d, f, value, depth_max, err);
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
        const field *f = &field_table[i];
        if (!from->given[i]) continue;
        if (f->size)
            field_copy(&to->spec, &from->spec, f);
        else
            kind_table[f->type]->copy_draft(to, from);
        to->given[i] = true;
    }
}
