/* What kinds of numbers share. */
#ifndef SERVER_JOB_KIND_NUMBER_H
#define SERVER_JOB_KIND_NUMBER_H

#include "server/job/draft.h"

/* ERR_TYPE, ERR_RANGE unless it is a number from field.min to max, and whole where the kind is. */
err_code number_check(const field *f, const struct cJSON *v, double max, int depth_max, error *err);

void number_allowed(char *out, size_t size, const field *f, int depth_max);
void number_default(json_out *o, const field *f);
void number_schema(json_out *o, const field *f);

#endif
