#include "server/job/hf_config.h"

#include "server/job/canonical.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- looking things up ------------------------------------------------------------------------ */

static const hf_field *find_field(const char *name)
{
    for (int i = 0; i < hf_n_fields; i++)
        if (strcmp(hf_field_table[i].name, name) == 0) return &hf_field_table[i];
    return NULL;
}

static bool is_constant(const char *name)
{
    return *name == '(';
}

/* The common name of a field that this model calls otherwise: hidden_size of n_embd. */
static const hf_field *common_name(const hf_mapping *m, const hf_field *f)
{
    if (f->common || !f->to || !cJSON_GetObjectItemCaseSensitive(m->defaults, f->name)) return NULL;
    for (int i = 0; i < hf_n_fields; i++) {
        const hf_field *c = &hf_field_table[i];
        if (c->common && c->to == f->to && !cJSON_GetObjectItemCaseSensitive(m->defaults, c->name))
            return c;
    }
    return NULL;
}

/* Rows that hold for every model, whatever its code reads. */
static bool is_for_all(const hf_field *f)
{
    return f->map == hf_map_ignored || f->map == hf_map_neutral || f->map == hf_map_reported;
}

static bool applies(const hf_mapping *m, const hf_field *f)
{
    return is_for_all(f) || f->map == hf_map_identity ||
           cJSON_GetObjectItemCaseSensitive(m->defaults, f->name);
}

static const cJSON *own_value(const hf_mapping *m, const char *name)
{
    return is_constant(name) ? NULL : cJSON_GetObjectItemCaseSensitive(m->config, name);
}

const cJSON *hf_value(const hf_mapping *m, const char *name)
{
    const cJSON *own = own_value(m, name);
    return own ? own : cJSON_GetObjectItemCaseSensitive(m->defaults, name);
}

bool hf_is_true(const hf_mapping *m, const char *name)
{
    return cJSON_IsTrue(hf_value(m, name));
}

/* --- giving fields ---------------------------------------------------------------------------- */

err_code hf_give(hf_mapping *m, field_id id, const cJSON *value, error *err)
{
    char path[FIELD_PATH];
    draft *part = &m->out->part;
    err_code code = draft_read_field(part, id, value, m->depth_max, err);
    if (code) return code;
    m->out->origin[id] = m->field->name;
    field_path(path, &field_table[id]);
    json_key(&m->became, path);
    canonical_draft_value(&m->became, id, part);
    return ERR_OK;
}

err_code hf_give_number(hf_mapping *m, field_id id, double value, error *err)
{
    return hf_give(m, id, &(cJSON){.type = cJSON_Number, .valuedouble = value}, err);
}

err_code hf_give_bool(hf_mapping *m, field_id id, bool value, error *err)
{
    return hf_give(m, id, &(cJSON){.type = value ? cJSON_True : cJSON_False}, err);
}

/* cJSON has no const; nothing writes to the text. */
static cJSON name_value(const char *name)
{
    cJSON value = {.type = cJSON_String};
    memcpy(&value.valuestring, &name, sizeof name);
    return value;
}

err_code hf_give_name(hf_mapping *m, field_id id, const char *name, error *err)
{
    cJSON value = name_value(name);
    return hf_give(m, id, &value, err);
}

/* --- the report ------------------------------------------------------------------------------- */

enum { LIST_USED, LIST_DEFAULTED, LIST_IGNORED, LIST_UNSUPPORTED, N_LISTS };
static const char *const list_names[N_LISTS] = {"used", "defaulted", "ignored", "unsupported"};

typedef struct report {
    json_out lists[N_LISTS]; /* open arrays */
} report;

enum { VALUE_SHOWN = 160 };

/* A value from outside: as it is when it is short, else what it is. */
static void write_value(json_out *o, const cJSON *value)
{
    bool nested = cJSON_IsArray(value) || cJSON_IsObject(value);
    bool is_long = cJSON_IsString(value) && strlen(value->valuestring) > VALUE_SHOWN;
    char *text = nested ? cJSON_PrintUnformatted(value) : NULL;
    if (nested && !text) o->failed = true;
    if (text && strlen(text) <= VALUE_SHOWN) {
        json_raw(o, text);
    } else if (nested || is_long) {
        char what[64];
        size_t n = nested ? (size_t)cJSON_GetArraySize(value) : strlen(value->valuestring);
        snprintf(what, sizeof what,
                 cJSON_IsArray(value)    ? "a list of %zu values"
                 : cJSON_IsObject(value) ? "an object of %zu members"
                                         : "a text of %zu bytes",
                 n);
        json_string(o, what);
    } else if (cJSON_IsString(value)) {
        json_string(o, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        json_double(o, value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        json_bool(o, cJSON_IsTrue(value));
    } else {
        json_null(o);
    }
    cJSON_free(text);
}

/* One entry: why NULL: what it became. */
static void note(json_out *list,
                 const char *inside,
                 const char *name,
                 const cJSON *value,
                 const char *became,
                 const char *why)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s%s", inside ? inside : "", inside ? "." : "", name);
    json_begin_object(list);
    json_string_member(list, "field", path);
    json_key(list, "value");
    write_value(list, value);
    json_key(list, why ? "why" : "became");
    if (why)
        json_string(list, why);
    else
        json_raw(list, became);
    json_end(list);
}

static char *write_report(const hf_model *model, report *r)
{
    json_out o = {0};
    json_begin_object(&o);
    json_string_member(&o, "model_type", model->entry.name);
    json_string_member(&o, "summary", model->entry.summary);
    json_raw_member(&o, "always", model->job);
    for (int i = 0; i < N_LISTS; i++) {
        json_end(&r->lists[i]);
        o.failed = o.failed || r->lists[i].failed;
        json_raw_member(&o, list_names[i], r->lists[i].text);
    }
    json_end(&o);
    return json_take(&o);
}

/* --- one field -------------------------------------------------------------------------------- */

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "not enough memory to read the config");
}

/* Maps a value and notes what came of it. Errors have no segment for the field yet. */
static err_code
map_value(hf_mapping *m, report *r, const hf_field *f, const cJSON *value, bool own, error *err)
{
    const char *shown = own && !own_value(m, f->name) ? common_name(m, f)->name : f->name;
    m->field = f;
    m->outcome = HF_USED;
    json_reset(&m->became);
    json_begin_object(&m->became);
    err_code code = f->map(m, value, err);
    if (code) return code;
    json_end(&m->became);
    if (m->became.failed) return no_memory(err);
    bool nothing = strcmp(m->became.text, "{}") == 0;
    if (own && m->outcome == HF_USED)
        note(&r->lists[LIST_USED], m->out->inside, shown, value, m->became.text, NULL);
    else if (own)
        note(&r->lists[m->outcome == HF_IGNORED ? LIST_IGNORED : LIST_UNSUPPORTED], m->out->inside,
             shown, value, NULL, m->why);
    else if (!nothing)
        note(&r->lists[LIST_DEFAULTED], m->out->inside, shown, value, m->became.text, NULL);
    return ERR_OK;
}

/* A row of the table: from the config, by its own name or the common one, or from the defaults. */
static err_code map_field(hf_mapping *m, report *r, const hf_field *f, error *err)
{
    const cJSON *own = own_value(m, f->name),
                *fallback = cJSON_GetObjectItemCaseSensitive(m->defaults, f->name);
    const hf_field *common = common_name(m, f);
    const cJSON *by_common = common ? own_value(m, common->name) : NULL;
    if (own && by_common) {
        err_code code = error_set(err, ERR_COMBINATION, "", "%s and %s are one field, given twice",
                                  common->name, f->name);
        error_prefix(err, common->name);
        return code;
    }
    const cJSON *value = own ? own : by_common ? by_common : fallback;
    if (!value || !applies(m, f)) return ERR_OK;
    err_code code = map_value(m, r, f, value, own || by_common, err);
    if (code) error_prefix(err, by_common ? common->name : f->name);
    return code;
}

/* --- members that no row has taken ------------------------------------------------------------ */

static bool is_alias(const hf_mapping *m, const hf_field *f)
{
    if (!f->common) return false;
    for (int i = 0; i < hf_n_fields; i++)
        if (common_name(m, &hf_field_table[i]) == f) return true;
    return false;
}

static void note_rest(hf_mapping *m, report *r)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, m->config)
    {
        char why[120];
        const hf_field *f = is_constant(member->string) ? NULL : find_field(member->string);
        if (f && (applies(m, f) || is_alias(m, f))) continue;
        snprintf(why, sizeof why,
                 f ? "the code of %s does not read it"
                   : "not known here; it may be a setting of %s that changes the network",
                 m->model->entry.name);
        note(&r->lists[f ? LIST_IGNORED : LIST_UNSUPPORTED], m->out->inside, member->string, member,
             NULL, why);
    }
}

/* Members beside text_config: those that concern any model, and the rest. */
static err_code map_outside(hf_mapping *m, report *r, const cJSON *outer, error *err)
{
    const cJSON *member;
    hf_mapping around = *m;
    const char *inside = m->out->inside;
    around.config = outer;
    m->out->inside = NULL;
    err_code code = ERR_OK;
    cJSON_ArrayForEach(member, outer)
    {
        const hf_field *f = is_constant(member->string) ? NULL : find_field(member->string);
        if (f && is_for_all(f)) {
            code = map_value(&around, r, f, member, true, err);
        } else if (f || member == m->config) {
            note(&r->lists[LIST_IGNORED], NULL, member->string, member, NULL,
                 "the language model in text_config is what is built");
        } else {
            note(&r->lists[LIST_UNSUPPORTED], NULL, member->string, member, NULL,
                 "only the language model is built");
        }
        if (!code) continue;
        error_prefix(err, member->string);
        break;
    }
    m->became = around.became;
    m->out->inside = inside;
    return code;
}

/* --- which model ------------------------------------------------------------------------------ */

static const hf_model *find_model(const char *type)
{
    int row = registry_find(&hf_model_registry, type);
    return row < 0 ? NULL : hf_model_table[row];
}

/* The row whose class name the first architecture begins with, the longest one. */
static const hf_model *find_class(const cJSON *architectures)
{
    const cJSON *first = cJSON_GetArrayItem(architectures, 0);
    const hf_model *best = NULL;
    for (int i = 0; i < hf_model_registry.n && cJSON_IsString(first); i++) {
        const hf_model *m = hf_model_table[i];
        size_t n = strlen(m->class);
        if (strncmp(first->valuestring, m->class, n) == 0 && (!best || n > strlen(best->class)))
            best = m;
    }
    return best;
}

static err_code unknown_model(const cJSON *type, const cJSON *architectures, error *err)
{
    if (cJSON_IsString(type)) {
        draft_unknown(err, ERR_UNKNOWN_NAME, "model_type", type->valuestring, &hf_model_registry);
        error_prefix(err, "model_type");
    } else if (architectures) {
        char text[DRAFT_VALUE];
        const cJSON *first = cJSON_GetArrayItem(architectures, 0);
        draft_value_text(text, first ? first : architectures);
        error_set(err, ERR_UNKNOWN_NAME, "/architectures",
                  "no model is known whose class is %s; normscope describe hf_models lists them",
                  text);
    } else {
        error_set(err, ERR_MISSING_FIELD, "/model_type",
                  "a config says in model_type, or in architectures, what it configures");
    }
    return err->code;
}

static err_code check_offered(const hf_model *model, const cJSON *config, error *err)
{
    if (!model->refused) return ERR_OK;
    const char *at = cJSON_GetObjectItemCaseSensitive(config, model->refused_at) ? model->refused_at
                                                                                 : "model_type";
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/%s", at);
    return error_set(err, ERR_COMBINATION, pointer, "%s is known and not offered: %s",
                     model->entry.name, model->refused);
}

/* Also decides whether the members are those of text_config. */
static err_code choose_model(hf_mapping *m, const cJSON *outer, error *err)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(outer, "model_type"),
                *classes = cJSON_GetObjectItemCaseSensitive(outer, "architectures"),
                *inner = cJSON_GetObjectItemCaseSensitive(outer, "text_config");
    m->config = outer;
    m->model = cJSON_IsString(type) ? find_model(type->valuestring) : find_class(classes);
    if (!m->model && cJSON_IsObject(inner)) {
        const cJSON *inner_type = cJSON_GetObjectItemCaseSensitive(inner, "model_type");
        char text[64] = "";
        if (cJSON_IsString(inner_type))
            snprintf(text, sizeof text, "%s", inner_type->valuestring);
        else if (cJSON_IsString(type))
            snprintf(text, sizeof text, "%.50s_text", type->valuestring);
        if ((m->model = find_model(text))) m->config = inner, m->out->inside = "text_config";
    }
    if (!m->model) return unknown_model(type, classes, err);
    err_code code = check_offered(m->model, m->config, err);
    if (code && m->out->inside) error_prefix(err, m->out->inside);
    return code;
}

/* --- all of it -------------------------------------------------------------------------------- */

static err_code read_always(hf_mapping *m, error *err)
{
    cJSON *tree = cJSON_Parse(m->model->job);
    if (!tree) return no_memory(err);
    err_code code = ERR_OK;
    const cJSON *member;
    cJSON_ArrayForEach(member, tree)
    {
        if (!code && !draft_read_member(&m->out->part, member, 0, &code, err))
            code = error_set(err, ERR_INTERNAL, "", "a part of a job has %s", member->string);
    }
    cJSON_Delete(tree);
    return code;
}

static err_code map_all(hf_mapping *m, report *r, const cJSON *outer, error *err)
{
    err_code code = read_always(m, err);
    for (int i = 0; i < hf_n_fields && !code; i++) {
        code = map_field(m, r, &hf_field_table[i], err);
        if (code && m->out->inside) error_prefix(err, m->out->inside);
    }
    if (code) return code;
    note_rest(m, r);
    if (m->config != outer && (code = map_outside(m, r, outer, err))) return code;
    if (*m->model->lacks) {
        cJSON type = name_value(m->model->entry.name);
        char why[240];
        snprintf(why, sizeof why, "not built: %s", m->model->lacks);
        note(&r->lists[LIST_UNSUPPORTED], m->out->inside, "model_type", &type, NULL, why);
    }
    return ERR_OK;
}

err_code hf_config_read(hf_config *out, const cJSON *config, int depth_max, error *err)
{
    hf_mapping m = {.depth_max = depth_max, .out = out};
    report r = {0};
    memset(out, 0, sizeof *out);
    if (!cJSON_IsObject(config)) {
        char text[DRAFT_VALUE];
        draft_value_text(text, config);
        return error_set(err, ERR_TYPE, "", "hf_config is %s; allowed: the object of a config.json",
                         text);
    }
    err_code code = choose_model(&m, config, err);
    if (code) return code;
    cJSON *defaults = cJSON_Parse(m.model->defaults);
    m.defaults = defaults;
    for (int i = 0; i < N_LISTS; i++) json_begin_array(&r.lists[i]);
    code = defaults ? map_all(&m, &r, config, err) : no_memory(err);
    if (!code && !(out->report = write_report(m.model, &r))) code = no_memory(err);
    for (int i = 0; i < N_LISTS; i++) json_deinit(&r.lists[i]);
    json_deinit(&m.became);
    cJSON_Delete(defaults);
    return code;
}

void hf_config_deinit(hf_config *c)
{
    free(c->report);
    c->report = NULL;
}
