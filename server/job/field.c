#include "server/job/field.h"

#include "server/job/choice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MEMBER(member) .offset = offsetof(run_spec, member), .size = sizeof(((run_spec *)0)->member)
#define COUNT(member) .count = offsetof(run_spec, member)

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

void field_path(char out[FIELD_PATH], const field *f)
{
    snprintf(out, FIELD_PATH, "%s%s%s", f->group, *f->group ? "." : "", f->name);
}

void field_pointer(char out[FIELD_POINTER], const field *f)
{
    snprintf(out, FIELD_POINTER, "/%s%s%s", f->group, *f->group ? "/" : "", f->name);
}

/* --- its kind --------------------------------------------------------------------------------- */

bool field_sweepable(const field *f)
{
    return !kind_table[f->type]->is_one;
}

const registry *field_choices(const field *f)
{
    const field_kind *k = kind_table[f->type];
    return k->choices ? k->choices : f->choices ? choice_registry(f->choices) : NULL;
}

void field_allowed(char *out, size_t size, const field *f, int depth_max)
{
    const field_kind *k = kind_table[f->type];
    if (k->allowed)
        k->allowed(out, size, f, depth_max);
    else
        snprintf(out, size, "%s", k->allows);
}

const char *field_needs(const field *f)
{
    return use_text(f->use);
}

/* --- the part of a spec ----------------------------------------------------------------------- */

const void *field_at(const run_spec *spec, const field *f)
{
    return (const char *)spec + f->offset;
}

int field_length(const run_spec *spec, const field *f)
{
    return f->count ? *(const int *)((const char *)spec + f->count) : 0;
}

void field_copy(run_spec *to, const run_spec *from, const field *f)
{
    memcpy((char *)to + f->offset, field_at(from, f), f->size);
    if (f->count) *(int *)((char *)to + f->count) = field_length(from, f);
}

bool field_equal(const run_spec *a, const run_spec *b, const field *f)
{
    const field_kind *k = kind_table[f->type];
    const void *x = field_at(a, f), *y = field_at(b, f);
    if (field_length(a, f) != field_length(b, f)) return false;
    return k->equal ? k->equal(x, y) : memcmp(x, y, f->size) == 0;
}
