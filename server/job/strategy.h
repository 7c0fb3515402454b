/* The catalogue of strategies (server/job/strategy.def): named parts of jobs with what is known of
 * them. A strategy chooses rows of the engine's registries; it computes nothing itself.
 */
#ifndef SERVER_JOB_STRATEGY_H
#define SERVER_JOB_STRATEGY_H

#include "core/base/registry.h"

typedef struct strategy {
    entry entry;           /* summary: the equation of a block */
    const char *init;      /* how its weights start */
    const char *behaviour; /* what is known: predictions and measurements, with their source */
    const char *limits;    /* where it does not hold, departures from the source */
    const char *refused;   /* known but not offered: why; else NULL */
    const char *job;       /* JSON text of a part of a job; {} when refused */
} strategy;

extern const strategy *const strategy_table[];
extern const registry strategy_registry; /* kind "strategies" */

#endif
