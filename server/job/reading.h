/* What was read from one document, and questions about its arms. The reader's own. */
#ifndef SERVER_JOB_READING_H
#define SERVER_JOB_READING_H

#include "server/job/base.h"
#include "server/job/expect.h"
#include "server/job/find.h"
#include "server/job/job.h"
#include "server/job/sweep.h"
#include "server/job/width.h"

struct cJSON;

enum { NOTES_MAX = 8 };

/* Large: on the heap. */
typedef struct reading {
    const limits *lim;
    const struct cJSON *document; /* to tell a shorthand from an object, for pointers */
    draft base;                   /* explicit fields */
    sweep sweep;
    find find;
    uint64_t seeds[SEEDS_MAX];
    int n_seeds;
    int n_arms;
    use_set uses; /* of all arms that were resolved */
    base_parts under;              /* what they are laid over */
    json_out notes;                /* the open list job.notes */
    width_change noted[NOTES_MAX]; /* what model.width_scale changed, once each */
    int n_noted;
    /* For the canonical text. */
    bool varies[FIELD_COUNT];
    double kept_scale; /* model.width_scale, where it is written; else 0 */
} reading;

/* The row that an arm names in a field (model.preset, strategy.name): the last axis that gives it,
 * else the job, else none. */
int reading_named_row(const reading *r, const sweep_arm *arm, field_id id, int none);
/* The strategy of an arm: what it names, else what its preset names, else -1. */
int reading_strategy_row(const reading *r, const sweep_arm *arm, const draft *preset);
/* Does the job itself give the field to this arm, by its sweep or beside it? */
bool reading_is_own(const reading *r, const sweep_arm *arm, int id);

void reading_deinit(reading *r); /* what reading and expanding have allocated */

#endif
