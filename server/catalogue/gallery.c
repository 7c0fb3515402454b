#include "server/catalogue/gallery.h"

#include "server/text/wrap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
/* The words of gallery.def. */
#define AT(m, s, ...) {.metric = METRIC_##m, .site = SITE_##s, .layer = __VA_ARGS__}
#define PARAM(m, role, ...) {.metric = METRIC_##m, .site = SITE_param, .param = role, .layer = __VA_ARGS__}
#define EXPECT(text, least, most, ...) {.says = text, .min = least, .max = most, .of = __VA_ARGS__},
#define RATIO(text, least, most, a, ...) \
    {.says = text, .min = least, .max = most, .is_ratio = true, .of = a, .over = __VA_ARGS__},
#define ANY INFINITY
#define VERDICTS(...) __VA_ARGS__
#define OF(words, is, by) {.arm = words, .level = is, .rule = by},
#define IS(is) {.level = is},

const gallery gallery_table[] = {
#define GALLERY(text, about, origin, verdict_list, expectations, ...) \
    {.entry = {.name = text, .summary = about, .source = origin}, .verdicts = {verdict_list}, .expect = {expectations}, .job = #__VA_ARGS__},
#include "server/catalogue/gallery.def"
#undef GALLERY
};

static const entry *const rows[] = {
#define GALLERY(text, about, origin, verdict_list, expectations, ...) \
    &(const entry){.name = text, .summary = about, .source = origin},
#include "server/catalogue/gallery.def"
#undef GALLERY
};
/* clang-format on */

const registry gallery_registry = {
    "gallery", "whole jobs to begin with, each with the outcome that is expected of it", rows,
    sizeof rows / sizeof *rows};

int gallery_count(const gallery *g)
{
    int n = 0;
    while (n < GALLERY_EXPECTATIONS && g->expect[n].says) n++;
    return n;
}

int gallery_layer(const gallery_value *v, int depth)
{
    switch (v->layer) {
    case LAYER_LAST:
        return depth;
    case LAYER_HALF:
        return depth / 2;
    case LAYER_QUARTER:
        return depth / 4;
    default:
        return v->layer;
    }
}

int gallery_named(const char *text)
{
    static const char prefix[] = "gallery:";
    if (strncmp(text, prefix, sizeof prefix - 1) != 0) return -1;
    int row = registry_find(&gallery_registry, text + sizeof prefix - 1);
    return row < 0 ? -2 : row;
}

/* --- texts ------------------------------------------------------------------------------------ */

static const char *layer_name(int layer)
{
    return layer == LAYER_LAST      ? "last"
           : layer == LAYER_HALF    ? "half"
           : layer == LAYER_QUARTER ? "quarter"
                                    : NULL;
}

void gallery_value_text(json_out *o, const gallery_value *v)
{
    char text[64];
    const char *name = layer_name(v->layer);
    json_text(o, metric_registry.rows[v->metric]->name);
    if (v->site != SITE_run) {
        json_text(o, " at ");
        json_text(o, v->param ? v->param : site_registry.rows[v->site]->name);
        if (name)
            snprintf(text, sizeof text, ", block %s",
                     v->layer == LAYER_LAST   ? "L"
                     : v->layer == LAYER_HALF ? "L/2"
                                              : "L/4");
        else
            snprintf(text, sizeof text, ", block %d", v->layer);
        json_text(o, text);
    }
    if (v->step) {
        snprintf(text, sizeof text, ", after %d update%s", v->step, v->step == 1 ? "" : "s");
        json_text(o, text);
    }
    if (v->arm) {
        json_text(o, ", of ");
        json_text(o, v->arm);
    }
}

void gallery_range_text(json_out *o, const gallery_expectation *e)
{
    char text[96];
    if (e->min == e->max)
        snprintf(text, sizeof text, "exactly %.6g", e->min);
    else if (isinf(e->max))
        snprintf(text, sizeof text, "at least %.6g", e->min);
    else if (isinf(e->min))
        snprintf(text, sizeof text, "at most %.6g", e->max);
    else
        snprintf(text, sizeof text, "%.6g to %.6g", e->min, e->max);
    json_text(o, text);
}

static void describe_expectation(json_out *o, const gallery_expectation *e)
{
    json_out line = {0};
    json_text(&line, e->says);
    json_text(&line, ": ");
    gallery_value_text(&line, &e->of);
    if (e->is_ratio) {
        json_text(&line, " / ");
        gallery_value_text(&line, &e->over);
    }
    json_text(&line, " is ");
    gallery_range_text(&line, e);
    json_text(o, "  - ");
    wrap_text(o, line.text ? line.text : "", 4, 100);
    json_deinit(&line);
}

char *gallery_row_text(int row)
{
    const gallery *g = &gallery_table[row];
    json_out o = {0};
    json_text(&o, g->entry.name);
    json_text(&o, "\n  ");
    wrap_text(&o, g->entry.summary, 2, 100);
    json_text(&o, "  source: ");
    wrap_text(&o, g->entry.source, 10, 100);
    json_text(&o, "\nexpected (means over the seeds):\n");
    for (int i = 0; i < gallery_count(g); i++) describe_expectation(&o, &g->expect[i]);
    for (int i = 0; i < GALLERY_EXPECTATIONS && g->verdicts[i].level; i++) {
        const gallery_verdict *v = &g->verdicts[i];
        json_text(&o, "  - verdict ");
        json_text(&o, v->arm ? "of " : i ? "of the others" : "");
        json_text(&o, v->arm ? v->arm : "");
        json_text(&o, v->arm || i ? ": " : "");
        json_text(&o, v->level);
        json_text(&o, v->rule ? " by " : "");
        json_text(&o, v->rule ? v->rule : "");
        json_text(&o, "\n");
    }
    json_text(&o, "\nnormscope run gallery:");
    json_text(&o, g->entry.name);
    json_text(&o, " runs and checks\n");
    json_text(&o, g->job);
    json_text(&o, "\n");
    return json_take(&o);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void write_value(json_out *o, const gallery_value *v)
{
    const char *name = layer_name(v->layer);
    json_begin_object(o);
    json_string_member(o, "metric", metric_registry.rows[v->metric]->name);
    json_string_member(o, "site", site_registry.rows[v->site]->name);
    json_string_member(o, "param", v->param);
    json_key(o, "layer");
    if (name)
        json_string(o, name);
    else
        json_integer(o, v->layer);
    json_integer_member(o, "step", v->step);
    json_string_member(o, "arm", v->arm);
    json_end(o);
}

static void write_bound(json_out *o, const char *key, double value)
{
    json_key(o, key);
    if (isinf(value))
        json_null(o);
    else
        json_double(o, value);
}

void gallery_expectation_members(json_out *o, const gallery_expectation *e)
{
    json_string_member(o, "says", e->says);
    json_key(o, "of");
    write_value(o, &e->of);
    json_key(o, "over");
    if (e->is_ratio)
        write_value(o, &e->over);
    else
        json_null(o);
    write_bound(o, "min", e->min);
    write_bound(o, "max", e->max);
}

static void write_verdicts(json_out *o, const gallery *g)
{
    json_begin_array(o);
    for (int i = 0; i < GALLERY_EXPECTATIONS && g->verdicts[i].level; i++) {
        json_begin_object(o);
        json_string_member(o, "arm", g->verdicts[i].arm);
        json_string_member(o, "verdict", g->verdicts[i].level);
        json_string_member(o, "rule", g->verdicts[i].rule);
        json_end(o);
    }
    json_end(o);
}

static void write_row(json_out *o, const gallery *g)
{
    json_begin_object(o);
    json_string_member(o, "name", g->entry.name);
    json_string_member(o, "summary", g->entry.summary);
    json_string_member(o, "source", g->entry.source);
    json_array_member(o, "expect");
    for (int i = 0; i < gallery_count(g); i++) {
        json_begin_object(o);
        gallery_expectation_members(o, &g->expect[i]);
        json_end(o);
    }
    json_end(o);
    json_key(o, "verdicts");
    write_verdicts(o, g);
    json_raw_member(o, "job", g->job);
    json_end(o);
}

char *gallery_row_json(int row)
{
    json_out o = {0};
    write_row(&o, &gallery_table[row]);
    return json_take(&o);
}

char *gallery_json(void)
{
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "gallery");
    for (int i = 0; i < gallery_registry.n; i++) write_row(&o, &gallery_table[i]);
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}
