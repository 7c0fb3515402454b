/* A row of a registry by its name, and the name of a corpus. */
#include "server/job/draft.h"
#include "server/job/kind_json.h"

#include <cJSON.h>
#include <string.h>

/* Appends at *n what fits; false when it did not. */
static bool append(char *out, size_t size, size_t *n, const char *text)
{
    static const char more[] = " …";
    size_t length = strlen(text);
    if (*n + length + sizeof more > size) {
        memcpy(out + *n, more, sizeof more);
        return false;
    }
    memcpy(out + *n, text, length + 1);
    *n += length;
    return true;
}

static void allow_names(char *out, size_t size, const field *f, int depth_max)
{
    const registry *r = field_choices(f);
    size_t n = 0;
    (void)depth_max;
    out[0] = '\0';
    for (int i = 0; r && i < r->n; i++) {
        if (i && !append(out, size, &n, ", ")) return;
        if (!append(out, size, &n, r->rows[i]->name)) return;
    }
}

static err_code read_choice(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    const registry *r = field_choices(f);
    (void)depth_max;
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    if (!r) return error_set(err, ERR_INTERNAL, "", "there is no registry %s", f->choices);
    int row = registry_find(r, v->valuestring);
    if (row < 0) return draft_unknown(err, ERR_UNKNOWN_NAME, f->name, v->valuestring, r);
    *(int *)draft_at(to, f) = row;
    return ERR_OK;
}

static void write_choice(json_out *o, const field *f, const run_spec *spec)
{
    const registry *r = field_choices(f);
    int row = *(const int *)field_at(spec, f);
    json_string(o, r && row >= 0 && row < r->n ? r->rows[row]->name : NULL);
}

static err_code set_choice(void *at, const field *f, error *err)
{
    if (f->rule) return ERR_OK; /* row 0 until then */
    const registry *r = field_choices(f);
    int row = r ? registry_find(r, f->text) : -1;
    if (row < 0) return error_set(err, ERR_INTERNAL, "", "%s has no row %s", f->choices, f->text);
    *(int *)at = row;
    return ERR_OK;
}

const field_kind kind_CHOICE = {
    .name = "choice",
    .allowed = allow_names,
    .read = read_choice,
    .write = write_choice,
    .set_default = set_choice,
    .write_default = kind_default_name,
    .schema = kind_schema_name,
};

/* --- a corpus --------------------------------------------------------------------------------- */

static err_code read_text(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    (void)depth_max;
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    size_t n = strlen(v->valuestring);
    if (n == 0 || n >= SPEC_CORPUS_NAME || strspn(v->valuestring, letters) != n ||
        v->valuestring[0] == '.')
        return draft_refuse(err, ERR_RANGE, f, v, 0);
    memset(draft_at(to, f), 0, SPEC_CORPUS_NAME);
    memcpy(draft_at(to, f), v->valuestring, n);
    return ERR_OK;
}

static void write_text(json_out *o, const field *f, const run_spec *spec)
{
    json_string(o, field_at(spec, f));
}

static void default_text(json_out *o, const field *f)
{
    (void)f;
    json_null(o);
}

static void schema_text(json_out *o, const field *f)
{
    (void)f;
    json_string_member(o, "type", "string");
    json_string_member(o, "pattern", "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$");
}

const field_kind kind_TEXT = {
    .name = "text",
    .is_optional = true,
    .allows = "1 to 63 letters, digits and . _ -",
    .read = read_text,
    .write = write_text,
    .write_default = default_text,
    .schema = schema_text,
};
