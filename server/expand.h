/* From a read job to its runs: presets, fields and swept values merged, checked and costed.
 * The reader's own.
 */
#ifndef SERVER_EXPAND_H
#define SERVER_EXPAND_H

#include "server/job.h"
#include "server/sweep.h"

struct cJSON;

/* What was read from one document. Large: on the heap. */
typedef struct reading {
    const limits *lim;
    const struct cJSON *document; /* to tell a shorthand from an object, for pointers */
    draft base;                   /* explicit fields */
    sweep sweep;
    uint64_t seeds[SEEDS_MAX];
    int n_seeds;
    int n_arms;
    draft *presets; /* one per row of preset_registry, read when first needed */
    bool *preset_read;
    draft *strategies; /* likewise of strategy_registry */
    bool *strategy_read;
} reading;

/* Fills out->runs and out->n_runs, seeds fastest. Errors have pointers into the document: a swept
 * value is blamed where it stands in the sweep. */
err_code expand_runs(reading *r, job *out, error *err);

/* The canonical text of the whole job, after expand_runs; heap, NULL when out of memory. Reading it
 * again makes the same job with the same text. */
char *expand_resolved(const reading *r, const job *j);

/* A named part of a job: the text of a row of the presets or of the strategies. */
err_code expand_part(draft *out, const char *text, error *err);

void expand_deinit(reading *r); /* what reading and expanding have allocated */

/* The top-level members of a job or preset that run_spec stores. false: the member is not one. */
bool expand_read_member(
    draft *d, const struct cJSON *member, int depth_max, err_code *code, error *err);

#endif
