#include "server/job/expect.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { METRIC, SITE, LAYER, STEP, MIN, MAX, VERDICT, MEMBERS };
static const char *const member_names[MEMBERS] = {"metric", "site", "layer",  "step",
                                                  "min",    "max",  "verdict"};

static const char bad_layer[] = "{metric} at {site} is {value} in block {worst}, expected {bound}",
                  bad_run[] = "{metric} is {value}, expected {bound}",
                  good_layer[] = "{metric} at {site} is {value}, as expected",
                  good_run[] = "{metric} is {value}, as expected";

/* --- one member ------------------------------------------------------------------------------- */

static err_code
refuse(err_code code, const char *name, const cJSON *v, const char *allowed, error *err)
{
    char text[DRAFT_VALUE];
    draft_value_text(text, v);
    return error_set(err, code, "", "%s is %s; allowed: %s", name, text, allowed);
}

static err_code read_row(int *out, const registry *r, const char *what, const cJSON *v, error *err)
{
    if (!cJSON_IsString(v)) return refuse(ERR_TYPE, what, v, "a name", err);
    *out = registry_find(r, v->valuestring);
    return *out < 0 ? draft_unknown(err, ERR_UNKNOWN_NAME, what, v->valuestring, r) : ERR_OK;
}

static err_code
read_integer(int *out, const char *name, const cJSON *v, double min, double max, error *err)
{
    char allowed[64];
    snprintf(allowed, sizeof allowed, "integers %.0f to %.0f", min, max);
    if (!cJSON_IsNumber(v)) return refuse(ERR_TYPE, name, v, allowed, err);
    double n = v->valuedouble;
    if (!(n >= min && n <= max) || n != floor(n)) return refuse(ERR_RANGE, name, v, allowed, err);
    *out = (int)n;
    return ERR_OK;
}

static err_code read_bound(double *out, const char *name, const cJSON *v, error *err)
{
    if (!cJSON_IsNumber(v)) return refuse(ERR_TYPE, name, v, "a number", err);
    *out = v->valuedouble;
    return ERR_OK;
}

static err_code read_level(verdict_level *out, const cJSON *v, error *err)
{
    if (cJSON_IsString(v)) *out = verdict_level_find(v->valuestring, strlen(v->valuestring));
    if (!cJSON_IsString(v)) return refuse(ERR_TYPE, "verdict", v, "fail, warn", err);
    return *out >= LEVEL_WARN ? ERR_OK : refuse(ERR_RANGE, "verdict", v, "fail, warn", err);
}

static err_code unknown_member(const char *name, error *err)
{
    entry entries[MEMBERS];
    const entry *rows[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        entries[i] = (entry){.name = member_names[i]};
        rows[i] = &entries[i];
    }
    const registry members = {.kind = "members", .rows = rows, .n = MEMBERS};
    return draft_unknown(err, ERR_UNKNOWN_FIELD, "member of an expectation called", name, &members);
}

/* What was read of one item. */
typedef struct item {
    bool given[MEMBERS];
    int metric, site, layer, step;
    double min, max;
    verdict_level level;
} item;

static err_code read_member(item *out, const cJSON *v, int depth_max, error *err)
{
    int i = 0;
    while (i < MEMBERS && strcmp(member_names[i], v->string) != 0) i++;
    if (i == MEMBERS) return unknown_member(v->string, err);
    out->given[i] = true;
    switch (i) {
    case METRIC:
        return read_row(&out->metric, &metric_registry, "metric", v, err);
    case SITE:
        return read_row(&out->site, &site_registry, "site", v, err);
    case LAYER:
        return read_integer(&out->layer, "layer", v, 0, depth_max + 1.0, err);
    case STEP:
        return read_integer(&out->step, "step", v, 0, field_table[FIELD_train_steps].max, err);
    case MIN:
        return read_bound(&out->min, "min", v, err);
    case MAX:
        return read_bound(&out->max, "max", v, err);
    default:
        return read_level(&out->level, v, err);
    }
}

/* --- one item --------------------------------------------------------------------------------- */

static err_code check_item(const item *t, error *err)
{
    if (!t->given[METRIC])
        return error_set(err, ERR_MISSING_FIELD, "/metric", "an expectation names a metric");
    if (!t->given[MIN] && !t->given[MAX])
        return error_set(err, ERR_MISSING_FIELD, "/max", "an expectation has min or max");
    if (t->min > t->max)
        return error_set(err, ERR_RANGE, "/min", "min is %g, above max, which is %g", t->min,
                         t->max);
    if (t->site == SITE_run && t->given[LAYER])
        return error_set(err, ERR_COMBINATION, "/layer", "the site run has no layers");
    return ERR_OK;
}

static rule make_rule(const item *t, const char *name)
{
    const rule_bounds inside = {t->min, t->max}, open = {-INFINITY, INFINITY};
    const entry *of = metric_registry.rows[t->metric];
    bool scalar = t->site == SITE_run;
    return (rule){
        .entry = {.name = name, .summary = "an expectation of the job", .source = "the job"},
        .kind = scalar                  ? RULE_SCALAR
                : t->site == SITE_param ? RULE_WEIGHTS
                                        : RULE_LAYERS,
        .metric = of->name,
        .site = t->site,
        .step = STEP_EACH,
        .at_layer = t->given[LAYER] ? t->layer : RULE_ANY_LAYER,
        .at_step = t->given[STEP] ? t->step : RULE_ANY_STEP,
        .own = true,
        .log = strcmp(of->scale, "log") == 0,
        .warn = t->level == LEVEL_WARN ? inside : open,
        .fail = t->level == LEVEL_WARN ? open : inside,
        .bad = scalar ? bad_run : bad_layer,
        .good = scalar ? good_run : good_layer};
}

static err_code read_item(rule *out, const char *name, const cJSON *v, int depth_max, error *err)
{
    item t = {.site = -1, .min = -INFINITY, .max = INFINITY, .level = LEVEL_FAIL};
    if (!cJSON_IsObject(v)) return refuse(ERR_TYPE, "an expectation", v, "an object", err);
    const cJSON *member;
    cJSON_ArrayForEach(member, v)
    {
        err_code code = read_member(&t, member, depth_max, err);
        if (!code) continue;
        error_prefix(err, member->string);
        return code;
    }
    if (t.given[METRIC] && t.site < 0) t.site = (int)metric_usual_site((metric)t.metric);
    err_code code = check_item(&t, err);
    if (!code) *out = make_rule(&t, name);
    return code;
}

/* --- the list --------------------------------------------------------------------------------- */

err_code expect_read(expectations *out, const cJSON *list, int depth_max, error *err)
{
    out->n = 0;
    if (!cJSON_IsArray(list))
        return draft_refuse(err, ERR_TYPE, &field_table[FIELD__expect], list, 0);
    if (cJSON_GetArraySize(list) > RULE_EXPECT_MAX)
        return error_set(err, ERR_RANGE, "", "expect has %d items; the limit is %d",
                         cJSON_GetArraySize(list), RULE_EXPECT_MAX);
    const cJSON *v;
    cJSON_ArrayForEach(v, list)
    {
        char *name = out->names[out->n], segment[16];
        snprintf(segment, sizeof segment, "%d", out->n);
        snprintf(name, sizeof out->names[0], "expect/%d", out->n);
        err_code code = read_item(&out->rules[out->n], name, v, depth_max, err);
        if (code) error_prefix(err, segment);
        if (code) return code;
        out->n++;
    }
    return ERR_OK;
}

static bool is_probed(const spec_measure *m, int step)
{
    for (int i = 0; i < m->n_steps; i++)
        if (m->steps[i] == step) return true;
    return step == RULE_ANY_STEP;
}

err_code expect_check(const expectations *e, const run_spec *spec, error *err)
{
    const spec_measure *m = &spec->measure;
    char pointer[48];
    for (int i = 0; i < e->n; i++) {
        const rule *r = &e->rules[i];
        int row = registry_find(&metric_registry, r->metric);
        const char *what = row < 0 || !m->metrics[row] ? "metric"
                           : !m->sites[r->site]        ? "site"
                           : !is_probed(m, r->at_step) ? "step"
                                                       : NULL;
        if (!what) continue;
        snprintf(pointer, sizeof pointer, "/expect/%d/%s", i, what);
        return error_set(err, ERR_COMBINATION, pointer,
                         "%s is expected of %s, and measure.%ss does not have this %s", r->metric,
                         site_registry.rows[r->site]->name, what, what);
    }
    return ERR_OK;
}

static void number(json_out *o, const char *key, double value)
{
    if (!isfinite(value)) return;
    json_number_member(o, key, value);
}

void expect_write(json_out *o, const expectations *e)
{
    json_begin_array(o);
    for (int i = 0; i < e->n; i++) {
        const rule *r = &e->rules[i];
        bool warns = isfinite(r->warn.min) || isfinite(r->warn.max);
        const rule_bounds *b = warns ? &r->warn : &r->fail;
        json_begin_object(o);
        json_string_member(o, "metric", r->metric);
        json_string_member(o, "site", site_registry.rows[r->site]->name);
        if (r->at_layer != RULE_ANY_LAYER) number(o, "layer", r->at_layer);
        if (r->at_step != RULE_ANY_STEP) number(o, "step", r->at_step);
        number(o, "min", b->min);
        number(o, "max", b->max);
        json_string_member(o, "verdict", warns ? "warn" : "fail");
        json_end(o);
    }
    json_end(o);
}

/* --- schema ----------------------------------------------------------------------------------- */

static void names_of(json_out *o, const char *key, const registry *r)
{
    json_object_member(o, key);
    json_array_member(o, "enum");
    for (int i = 0; i < r->n; i++) json_string(o, r->rows[i]->name);
    json_end(o);
    json_end(o);
}

void expect_schema(json_out *o)
{
    json_begin_object(o);
    json_string_member(o, "type", "object");
    json_bool_member(o, "additionalProperties", false);
    json_raw_member(o, "required", "[\"metric\"]");
    json_raw_member(o, "anyOf", "[{\"required\":[\"min\"]},{\"required\":[\"max\"]}]");
    json_object_member(o, "properties");
    names_of(o, "metric", &metric_registry);
    names_of(o, "site", &site_registry);
    json_raw_member(o, "layer", "{\"type\":\"integer\",\"minimum\":0}");
    json_raw_member(o, "step", "{\"type\":\"integer\",\"minimum\":0}");
    json_raw_member(o, "min", "{\"type\":\"number\"}");
    json_raw_member(o, "max", "{\"type\":\"number\"}");
    json_raw_member(o, "verdict", "{\"enum\":[\"fail\",\"warn\"],\"default\":\"fail\"}");
    json_end(o);
    json_end(o);
}
