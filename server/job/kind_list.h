/* What kinds of lists share. */
#ifndef SERVER_JOB_KIND_LIST_H
#define SERVER_JOB_KIND_LIST_H

#include "server/job/draft.h"

/* A list of at most n_max integers from 0 to max. */
err_code list_read_integers(double *out,
                            int *n,
                            int n_max,
                            double max,
                            const field *f,
                            const struct cJSON *value,
                            error *err);

/* Lists of different integers from 0 to max; 0 items: no bound. */
void list_schema_integers(json_out *o, int min_items, int max_items, double max);

#endif
