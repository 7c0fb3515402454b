/* Small things about texts that several parts need. */
#ifndef SERVER_TEXT_TEXT_H
#define SERVER_TEXT_TEXT_H

#include "server/job/job.h"

/* Lower-case hex SHA-256. */
void text_sha256(char out[JOB_HASH], const void *bytes, size_t n);

/* "normscope: /model/n_heads: …" as one line on standard error, without control characters. */
void text_complain(const error *err);

#endif
