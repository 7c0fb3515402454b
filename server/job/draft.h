/* Drafts: some fields of a run, with a note which were given. The reader's own, between cJSON's
 * tree and run_spec: a preset, the job's explicit fields and each value of a sweep axis become one
 * draft each, and are laid over one another.
 *
 * Errors carry a pointer relative to the value that was read. Any thread; allocates nothing.
 */
#ifndef SERVER_JOB_DRAFT_H
#define SERVER_JOB_DRAFT_H

#include "server/job/field.h"

struct cJSON;

enum { DRAFT_WRITTEN_OUT = -1 };

typedef struct draft {
    run_spec spec; /* fields that were not given are zero */
    bool given[FIELD_COUNT];
    bool own[FIELD_COUNT]; /* of a merged draft: given by the job, not by a preset or strategy */
    int preset; /* row of preset_registry, or DRAFT_WRITTEN_OUT, where given[FIELD_model_preset] */
    int strategy;                  /* row of strategy_registry, where given[FIELD_strategy_name] */
    const struct cJSON *written;   /* the preset that is written out; borrowed */
    double width_scale;            /* where given[FIELD_model_width_scale] */
    const struct cJSON *hf_config; /* where given[FIELD_model_hf_config]; borrowed */
} draft;

/* One value of a field that run_spec stores, or of the rows EXTRA of groups.
 * depth_max: limits.depth. */
err_code
draft_read_field(draft *d, field_id id, const struct cJSON *value, int depth_max, error *err);

/* A group: its object, or the bare value of its shorthand field. */
err_code
draft_read_group(draft *d, int group, const struct cJSON *value, int depth_max, error *err);

/* The top-level members of a job or preset that run_spec stores. false: the member is not one. */
bool draft_read_member(
    draft *d, const struct cJSON *member, int depth_max, err_code *code, error *err);

/* Every field that `from` was given replaces that of `to`. */
void draft_overlay(draft *to, const draft *from);

/* For kinds of fields (server/job/kind.h): where the value is, and the length of a list. */
void *draft_at(draft *d, const field *f);
int *draft_length(draft *d, const field *f);
/* Puts a number in front of the pointer of an error, and returns its code. */
err_code draft_at_index(error *err, int index);

/* "\"gelu\"", "3", "a list", …: a value from outside on one printable line, cut when long. */
enum { DRAFT_VALUE = 64 };
void draft_value_text(char out[DRAFT_VALUE], const struct cJSON *value);

/* ERR_TYPE or ERR_RANGE: "depth is 0; allowed: integers 1 to 4096". */
err_code
draft_refuse(error *err, err_code code, const field *f, const struct cJSON *value, int depth_max);

/* code (ERR_UNKNOWN_NAME, ERR_UNKNOWN_FIELD, ERR_NOT_FOUND): "what" is not in the registry; names
 * the nearest row and what is allowed. */
err_code
draft_unknown(error *err, err_code code, const char *what, const char *name, const registry *among);

/* The fields of a group, or with group -1 the top level (groups included), as a registry of names.
 * rows has room for DRAFT_NAMES of each. */
enum { DRAFT_NAMES = FIELD_COUNT + 16 };
typedef struct draft_names {
    registry names;
    entry entries[DRAFT_NAMES];
    const entry *rows[DRAFT_NAMES];
} draft_names;
void draft_field_names(draft_names *out, int group);

#endif
