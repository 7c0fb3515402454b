/* The text of a job as the command line gives it: a file, standard input or a row of the gallery,
 * with --hf, --strategy, --depth and --set put into it. */
#ifndef SERVER_COMMAND_JOB_TEXT_H
#define SERVER_COMMAND_JOB_TEXT_H

#include "core/base/error.h"
#include "server/command/option.h"

#include <stddef.h>

/* *text on the heap, also after an error, or NULL. *row_of: the row of the gallery that is as it
 * was, or -1. */
err_code
job_text_read(const options *o, size_t body_bytes, char **text, size_t *n, int *row_of, error *err);

#endif
