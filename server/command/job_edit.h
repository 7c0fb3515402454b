/* A job put together on the command line: a job's text, a Hugging Face config as its model, single
 * fields. The result is a text like any other, which reader_job reads and blames.
 */
#ifndef SERVER_COMMAND_JOB_EDIT_H
#define SERVER_COMMAND_JOB_EDIT_H

#include "core/base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/* job and config may be NULL: {} and no config. Errors of the scan of either have pointers into it,
 * and for the config their message says so. */
err_code job_edit_begin(struct cJSON **out,
                        const char *job,
                        size_t n_job,
                        const char *config,
                        size_t n_config,
                        error *err);

/* "strategy.eps=1e-6", "depth=12", "data=text": a field and its value, JSON or else a text. A group
 * that is written short becomes an object with that field beside the new one, and the other way
 * round. ERR_TYPE when there is no path or no value. */
err_code job_edit_set(struct cJSON *job, const char *setting, error *err);
err_code job_edit_set_to(struct cJSON *job, const char *path, const char *value, error *err);

/* The text; heap. Frees job. NULL when out of memory. */
char *job_edit_end(struct cJSON *job);

/* The tree of one JSON text after a scan with the limits of a job; the caller frees it. */
err_code job_edit_parse(struct cJSON **out, const char *text, size_t n, error *err);

#endif
