/* The job reader: bytes from outside in, a job or an error out. No cJSON value leaves it.
 *
 * Driven by the one field table (server/job/field.def): path, type, range, default, unit, doc,
 * registry. First a linear scan of the bytes (server/text/json_scan.h: RFC 8259 grammar, UTF-8, no
 * U+0000, depth, token and duplicate-key limits), then cJSON builds a tree, then fields become
 * structs. Unknown, duplicate, mistyped and out-of-range fields are refused with pointer, value and
 * what is allowed. Any thread. Ownership: the caller calls job_deinit also after an error.
 */
#ifndef SERVER_JOB_READER_H
#define SERVER_JOB_READER_H

#include "server/job/job.h"

err_code reader_job(const char *bytes, size_t n, const limits *lim, job *out, error *err);

/* Only what is said about a job: out->name, coverage and notes. Costs no more than reading it. */
err_code reader_echo(const char *bytes, size_t n, const limits *lim, job *out, error *err);

/* The inverse for one run: canonical JSON of a resolved run (reader_job accepts it again and makes
 * exactly one run equal to spec). Heap; NULL when out of memory. */
char *reader_run_text(const run_spec *spec);
/* The same with the rules of its job. */
struct expectations;
char *reader_run_text_with(const run_spec *spec, const struct expectations *expect);

#endif
