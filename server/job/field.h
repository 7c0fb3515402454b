/* The field table: what a job can say. One row per field (server/job/field.def) drives the reader, the
 * canonical text, the JSON Schema, /fields, `describe` and the dashboard's form.
 */
#ifndef SERVER_JOB_FIELD_H
#define SERVER_JOB_FIELD_H

#include "server/job/kind.h"

#include <stddef.h>

enum { SEEDS_MAX = 64 };

typedef struct field {
    const char *group; /* "" at top level */
    const char *name;
    field_type type;
    size_t offset, size; /* in run_spec; size 0: not stored there */
    size_t count;        /* where the length of a list is; 0: it has none */
    double min, max;
    bool open_min, open_max; /* the bound itself is not allowed */
    bool nullable;
    bool silent; /* left out of the canonical text at its default, as in jobs from before */
    bool free;   /* changes neither memory nor arithmetic nor rows of a run, so not its estimate */
    use_set use; /* bit of enum use: what the network must have; 0: nothing */
    use_set omitted;     /* left out of the canonical text where the network lacks this; 0: never */
    unsigned override;   /* enum spec_override_bit: may stand in strategy.overrides; 0: not */
    const char *choices; /* kind of registry */
    double number;       /* default of INTEGER, DEPTH, NUMBER, BOOL */
    const char *text;    /* default of the others */
    const char *rule;    /* instead, when it depends on other fields: how */
    const char *unit;    /* NULL: has none */
    const char *doc;
} field;

typedef struct field_group {
    const char *name;
    const char *shorthand; /* "" when a bare value is not allowed */
    const char *doc;
} field_group;

typedef enum field_id {
#define GROUP(name, shorthand, doc)
#define FIELD(group, name, type, ...) FIELD_##group##_##name,
#define TOP(name, type, ...) FIELD__##name,
#define EXTRA(group, name, type, ...) FIELD_##group##_##name,
#include "server/job/field.def"
#undef GROUP
#undef FIELD
#undef TOP
#undef EXTRA
    FIELD_COUNT
} field_id;

extern const field field_table[FIELD_COUNT];
extern const field_group field_groups[];
extern const int field_n_groups;

/* The row's number, or -1. group "" for the top level. */
int field_find(const char *group, const char *name);
int field_group_find(const char *name);
/* The shorthand field of a group, or -1. */
int field_shorthand(int group);
bool field_sweepable(const field *f);

/* Does it mean something in a network that has these uses? */
static inline bool field_means(const field *f, use_set uses)
{
    return !f->use || uses & f->use;
}

/* Is it left out of the canonical text of a network that has these uses? */
static inline bool field_omitted(const field *f, use_set uses)
{
    return f->omitted && !(uses & f->omitted);
}

/* "model.d_model" in out (at least FIELD_PATH bytes). */
enum { FIELD_PATH = 48 };
void field_path(char out[FIELD_PATH], const field *f);
/* The same as a JSON Pointer: "/model/d_model". */
enum { FIELD_POINTER = FIELD_PATH + 2 };
void field_pointer(char out[FIELD_POINTER], const field *f);

/* "integers 1 to 65536", "relu, gelu, …": what a value may be, for messages. depth_max:
 * limits.depth or 0. Always terminated, cut with an ellipsis. */
void field_allowed(char *out, size_t size, const field *f, int depth_max);

/* What the network must have for the field to mean anything, as a sentence; NULL: nothing. */
const char *field_needs(const field *f);

/* What it chooses from; NULL: it is no choice. */
const registry *field_choices(const field *f);

/* Where the value of a field is in a spec that stores it, and its length. */
const void *field_at(const run_spec *spec, const field *f);
int field_length(const run_spec *spec, const field *f);

/* The part of a spec that belongs to a field. */
void field_copy(run_spec *to, const run_spec *from, const field *f);
bool field_equal(const run_spec *a, const run_spec *b, const field *f);

#endif
