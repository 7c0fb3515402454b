/* In what the arms of a job differ. */
#ifndef SERVER_JOB_DIFFERS_H
#define SERVER_JOB_DIFFERS_H

#include "server/job/job.h"
#include "server/text/json_out.h"

/* Pointers of the fields: ["/depth","/strategy/placement"]. */
void job_differs(json_out *o, const job *j);

#endif
