/* Small things about texts that several parts need. */
#ifndef SERVER_TEXT_TEXT_H
#define SERVER_TEXT_TEXT_H

#include "core/base/error.h"

#include <stddef.h>

enum { TEXT_SHA256 = 65 }; /* bytes of a hash as text, its NUL included */

/* Lower-case hex SHA-256. */
void text_sha256(char out[TEXT_SHA256], const void *bytes, size_t n);

/* "normscope: /model/n_heads: …" as one line on standard error, without control characters. */
void text_complain(const error *err);

#endif
