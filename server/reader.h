/* The job reader: bytes from outside in, a job or an error out. No cJSON value leaves it.
 *
 * Driven by the one field table (server/field.def): path, type, range, default, unit, doc,
 * registry. First a linear scan of the bytes (server/json_scan.h: RFC 8259 grammar, UTF-8, no
 * U+0000, depth, token and duplicate-key limits), then cJSON builds a tree, then fields become
 * structs. Unknown, duplicate, mistyped and out-of-range fields are refused with pointer, value and
 * what is allowed. Any thread. Ownership: the caller calls job_deinit also after an error.
 */
#ifndef SERVER_READER_H
#define SERVER_READER_H

#include "server/job.h"

err_code reader_job(const char *bytes, size_t n, const limits *lim, job *out, error *err);

/* The inverse for one run: canonical JSON of a resolved run (reader_job accepts it again and makes
 * exactly one run equal to spec). Heap; NULL when out of memory. */
char *reader_run_text(const run_spec *spec);

/* JSON texts generated from the field table and the registries. Heap; NULL when out of memory. */
char *reader_job_schema(void);           /* JSON Schema 2020-12 of a job */
char *reader_fields(void);               /* the field table, for the dashboard's form */
char *reader_presets(void);              /* model presets and example jobs */
char *reader_registries(void);           /* {"norms":[{name,summary,source,…}], …} */
char *reader_registry(const char *kind); /* one of them; NULL also when unknown */

#endif
