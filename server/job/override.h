/* strategy.overrides as JSON: other values in some blocks. The reader's own. */
#ifndef SERVER_JOB_OVERRIDE_H
#define SERVER_JOB_OVERRIDE_H

#include "server/job/draft.h"
#include "server/text/json_out.h"

/* Fills strategy.overrides and n_overrides. Errors have pointers relative to the list. */
err_code override_read(spec_strategy *out, const field *f, const struct cJSON *value, error *err);

void override_write(json_out *o, const spec_strategy *s);

/* The schema of one entry of the list. */
void override_schema(json_out *o);

#endif
