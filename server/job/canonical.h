/* Canonical JSON of resolved runs and of swept values: keys in the order of the field table, every
 * number in its shortest form. What is hashed is made of this.
 */
#ifndef SERVER_JOB_CANONICAL_H
#define SERVER_JOB_CANONICAL_H

#include "server/job/draft.h"
#include "server/text/json_out.h"

/* The value of one field of a spec. Not for fields that run_spec does not store. */
void canonical_value(json_out *o, const field *f, const run_spec *spec);

/* For model.preset (a JSON value as text) and strategy.name, NULL: not written; for
 * model.width_scale, 0: not written. */
typedef struct canonical_names {
    const char *preset, *strategy;
    double width_scale;
} canonical_names;

/* The members of a job object, between json_begin_object and json_end: those fields of spec that
 * include has (an empty corpus never), names, seeds, and where sweep is not NULL the raw member
 * "sweep". */
void canonical_members(json_out *o,
                       const run_spec *spec,
                       const bool include[FIELD_COUNT],
                       canonical_names names,
                       const uint64_t *seeds,
                       int n_seeds,
                       const char *sweep);

/* The given fields of one group as an object, or as the bare value when only its shorthand is
 * given. */
void canonical_group(json_out *o, int group, const draft *d);

/* Those fields of a draft that keep has, as a part of a job; with_strategy: and strategy.name where
 * the draft has it. */
void canonical_part(json_out *o, const draft *d, const bool keep[FIELD_COUNT], bool with_strategy);

/* The value of field id of a draft, preset included. */
void canonical_draft_value(json_out *o, field_id id, const draft *d);

#endif
