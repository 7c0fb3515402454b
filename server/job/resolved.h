/* The canonical text of a whole job: resolved, every default explicit, keys in the order of the
 * field table. What is hashed. */
#ifndef SERVER_JOB_RESOLVED_H
#define SERVER_JOB_RESOLVED_H

#include "server/job/reading.h"

/* After expand_runs; heap, NULL when out of memory. Reading it again makes the same job with the
 * same text. */
char *resolved_text(reading *r, const job *j);

#endif
