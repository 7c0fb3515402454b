/* From a read job to its runs: presets, fields and swept values merged, checked and costed.
 * The reader's own.
 */
#ifndef SERVER_JOB_EXPAND_H
#define SERVER_JOB_EXPAND_H

#include "server/job/base.h"
#include "server/job/expect.h"
#include "server/job/find.h"
#include "server/job/job.h"
#include "server/job/sweep.h"
#include "server/job/width.h"

struct cJSON;

enum { NOTES_MAX = 8 };

/* What was read from one document. Large: on the heap. */
typedef struct reading {
    const limits *lim;
    const struct cJSON *document; /* to tell a shorthand from an object, for pointers */
    draft base;                   /* explicit fields */
    sweep sweep;
    find find;
    uint64_t seeds[SEEDS_MAX];
    int n_seeds;
    int n_arms;
    base_parts under;              /* what they are laid over */
    json_out notes;                /* the open list job.notes */
    width_change noted[NOTES_MAX]; /* what model.width_scale changed, once each */
    int n_noted;
    /* For the canonical text. */
    bool varies[FIELD_COUNT];
    double kept_scale; /* model.width_scale, where it is written; else 0 */
} reading;

/* Fills out->runs and out->n_runs, seeds fastest. Errors have pointers into the document: a swept
 * value is blamed where it stands in the sweep. */
err_code expand_runs(reading *r, job *out, error *err);

/* Instead of that: only out->coverage and out->notes, without the cost of the runs. */
err_code expand_echo(reading *r, job *out, error *err);

/* The canonical text of the whole job, after expand_runs; heap, NULL when out of memory. Reading it
 * again makes the same job with the same text. */
char *expand_resolved(reading *r, const job *j);

void expand_deinit(reading *r); /* what reading and expanding have allocated */

/* The top-level members of a job or preset that run_spec stores. false: the member is not one. */
bool expand_read_member(
    draft *d, const struct cJSON *member, int depth_max, err_code *code, error *err);

#endif
