#include "server/job/field.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/job/choice.h"
#include "server/text/json_out.h"
#include "server/verdict/rule.h"

#define MEMBER(member) .offset = offsetof(run_spec, member), .size = sizeof(((run_spec *)0)->member)

const field field_table[FIELD_COUNT] = {
#define GROUP(name_, shorthand_, doc_)
#define FIELD(group_, name_, type_, ...)                                                           \
    {.group = #group_, .name = #name_, .type = FIELD_##type_, MEMBER(group_.name_), __VA_ARGS__},
#define TOP(name_, type_, ...)                                                                     \
    {.group = "", .name = #name_, .type = FIELD_##type_, MEMBER(name_), __VA_ARGS__},
#define EXTRA(group_, name_, type_, ...)                                                           \
    {.group = #group_, .name = #name_, .type = FIELD_##type_, __VA_ARGS__},
#include "server/job/field.def"
#undef GROUP
#undef FIELD
#undef TOP
#undef EXTRA
};

const field_group field_groups[] = {
#define GROUP(name, shorthand, doc) {#name, #shorthand, doc},
#define FIELD(group, name, type, ...)
#define TOP(name, type, ...)
#define EXTRA(group, name, type, ...)
#include "server/job/field.def"
#undef GROUP
#undef FIELD
#undef TOP
#undef EXTRA
};
const int field_n_groups = sizeof field_groups / sizeof *field_groups;

/* --- lookup ----------------------------------------------------------------------------------- */

int field_find(const char *group, const char *name)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(field_table[i].group, group) == 0 && strcmp(field_table[i].name, name) == 0)
            return i;
    return -1;
}

int field_group_find(const char *name)
{
    for (int i = 0; i < field_n_groups; i++)
        if (strcmp(field_groups[i].name, name) == 0) return i;
    return -1;
}

int field_shorthand(int group)
{
    const field_group *g = &field_groups[group];
    return *g->shorthand ? field_find(g->name, g->shorthand) : -1;
}

bool field_sweepable(const field *f)
{
    return f->type != FIELD_NAME && f->type != FIELD_HF_CONFIG && f->type != FIELD_SEEDS &&
           f->type != FIELD_SWEEP && f->type != FIELD_EXPECT && f->type != FIELD_FIND;
}

void field_path(char out[FIELD_PATH], const field *f)
{
    snprintf(out, FIELD_PATH, "%s%s%s", f->group, *f->group ? "." : "", f->name);
}

/* --- what is allowed -------------------------------------------------------------------------- */

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

static void allowed_names(char *out, size_t size, const field *f)
{
    const registry *r = choice_registry(f->choices);
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; r && i < r->n; i++) {
        if (i && !append(out, size, &n, ", ")) return;
        if (!append(out, size, &n, r->rows[i]->name)) return;
    }
}

static void allowed_numbers(char *out, size_t size, const field *f, double max)
{
    char low[JSON_NUMBER], high[JSON_NUMBER];
    bool whole = f->type != FIELD_NUMBER && f->type != FIELD_SCALE;
    json_number_text(low, f->min);
    json_number_text(high, max);
    snprintf(out, size, "%s %s%s %s%s%s", whole ? "integers" : "numbers",
             f->open_min ? "above " : "", low, f->open_max ? "to below " : "to ", high,
             f->nullable ? ", or null" : "");
}

void field_allowed(char *out, size_t size, const field *f, int depth_max)
{
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_NUMBER:
    case FIELD_SCALE:
        allowed_numbers(out, size, f, f->max);
        break;
    case FIELD_DEPTH:
        allowed_numbers(out, size, f, depth_max ? depth_max : f->max);
        break;
    case FIELD_BOOL:
        snprintf(out, size, "true, false");
        break;
    case FIELD_CHOICE:
        allowed_names(out, size, f);
        break;
    case FIELD_TEXT:
        snprintf(out, size, "1 to 63 letters, digits and . _ -");
        break;
    case FIELD_STEPS:
        snprintf(out, size, "a list of up to 64 ascending integers from 0");
        break;
    case FIELD_SITES:
        snprintf(out, size, "a list of sites");
        break;
    case FIELD_METRICS:
        snprintf(out, size, "a list of metrics and metric groups");
        break;
    case FIELD_NUMBERS:
        snprintf(out, size, "a list of up to %d numbers", SPEC_SCALES_MAX);
        break;
    case FIELD_OVERRIDES:
        snprintf(out, size, "a list of up to %d objects", SPEC_OVERRIDES_MAX);
        break;
    case FIELD_STRATEGY:
        snprintf(out, size, "a strategy's name");
        break;
    case FIELD_NAME:
        snprintf(out, size, "a text of at most 120 characters");
        break;
    case FIELD_PRESET:
        snprintf(out, size, "a preset's name, or what it would stand for: a part of a job");
        break;
    case FIELD_HF_CONFIG:
        snprintf(out, size, "the object of a config.json");
        break;
    case FIELD_SEEDS:
        snprintf(out, size, "a list of 1 to 64 different integers from 0 to 2^53-1");
        break;
    case FIELD_SWEEP:
        snprintf(out, size, "an object of field paths and lists of values");
        break;
    case FIELD_EXPECT:
        snprintf(out, size, "a list of up to %d objects", RULE_EXPECT_MAX);
        break;
    case FIELD_FIND:
        snprintf(out, size, "\"max_depth\", or an object with max_depth and min_depth");
        break;
    }
}

const char *field_needs(const field *f)
{
    for (int u = 0; u < USE_COUNT; u++)
        if (f->use & (use_set)1 << u) return use_sentence((use)u);
    return NULL;
}

/* --- the part of a spec ----------------------------------------------------------------------- */

void field_copy(run_spec *to, const run_spec *from, const field *f)
{
    memcpy((char *)to + f->offset, (const char *)from + f->offset, f->size);
    if (f->type == FIELD_STEPS) to->measure.n_steps = from->measure.n_steps;
    if (f->type == FIELD_NUMBERS) to->strategy.n_residual_scales = from->strategy.n_residual_scales;
    if (f->type == FIELD_OVERRIDES) to->strategy.n_overrides = from->strategy.n_overrides;
}

bool field_equal(const run_spec *a, const run_spec *b, const field *f)
{
    const spec_strategy *s = &a->strategy, *t = &b->strategy;
    if (f->type == FIELD_STEPS && a->measure.n_steps != b->measure.n_steps) return false;
    if (f->type == FIELD_NUMBERS && s->n_residual_scales != t->n_residual_scales) return false;
    if (f->type == FIELD_OVERRIDES && s->n_overrides != t->n_overrides) return false;
    if (f->type == FIELD_NUMBER) {
        double x = *(const double *)((const char *)a + f->offset),
               y = *(const double *)((const char *)b + f->offset);
        return x == y || (isnan(x) && isnan(y));
    }
    return memcmp((const char *)a + f->offset, (const char *)b + f->offset, f->size) == 0;
}
