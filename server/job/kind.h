/* Kinds of values: what may be said, how it is read, written, compared, and told as JSON Schema. What
 * is the same for all fields of a kind is here and in no other place. The simplest are in
 * kind_number.c; one starts from those.
 *
 * Required are name, allows or allowed, write_default and schema; of what run_spec stores read and
 * write; of what only a draft has read and copy_draft; of what the whole job has read_own.
 */
#ifndef SERVER_JOB_KIND_H
#define SERVER_JOB_KIND_H

#include "core/engine.h"
#include "server/text/json_out.h"

struct cJSON;
struct draft;
struct field;
struct job;
struct reading;

typedef enum field_type {
#define KIND(name) FIELD_##name,
#include "server/job/kind.def"
#undef KIND
    FIELD_TYPES
} field_type;

typedef struct field_kind {
    const char *name;        /* for programs that make a form: "integer", "choice" */
    bool is_number, whole;   /* it has min and max; integers only */
    bool is_one;             /* a job has it once, so that it cannot be swept */
    bool is_optional;        /* a job without it has nothing in its place */
    const registry *choices; /* where no field names it */

    const char *allows; /* what a value may be, for messages; or: */
    void (*allowed)(char *out, size_t size, const struct field *f, int depth_max);

    /* A value from outside. Error pointers are relative to it; depth_max: limits.depth. */
    err_code (*read)(struct draft *to,
                     const struct field *f,
                     const struct cJSON *value,
                     int depth_max,
                     error *err);
    err_code (*read_own)(struct reading *r, struct job *out, const struct cJSON *value, error *err);

    void (*write)(json_out *o, const struct field *f, const run_spec *spec);
    void (*write_draft)(json_out *o, const struct draft *from); /* NULL: null */
    void (*copy_draft)(struct draft *to, const struct draft *from);

    /* Values where they lie in a spec. NULL: by their bytes. */
    bool (*equal)(const void *a, const void *b);
    /* The default of a field without a rule; NULL: zero. */
    err_code (*set_default)(void *at, const struct field *f, error *err);

    void (*write_default)(json_out *o, const struct field *f); /* of a field without a rule */
    void (*schema)(json_out *o, const struct field *f);        /* members of an open object */
} field_kind;

#define KIND(name) extern const field_kind kind_##name;
#include "server/job/kind.def"
#undef KIND
extern const field_kind *const kind_table[FIELD_TYPES];

#endif
