/* Whole files into memory. */
#ifndef SERVER_TEXT_FILE_READ_H
#define SERVER_TEXT_FILE_READ_H

#include "core/base/error.h"

#include <stddef.h>

/* path "-": standard input. *bytes is heap, with a NUL after the n. ERR_IO, ERR_MEMORY; ERR_LIMIT
 * when there are more than most, of which nothing is kept. */
err_code file_read(char **bytes, size_t *n, const char *path, size_t most, error *err);

#endif
