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

/* JSON texts generated from the field table and the registries. Heap; NULL when out of memory.
 *
 * reader_job_schema   JSON Schema 2020-12 of a job
 * reader_fields       {"groups":[{"name","shorthand" or null,"doc"}],
 *                      "fields":[{"path","group","name","type","doc","default","rule","unit","min","max",
 *                      "exclusive_min","exclusive_max","nullable","choices","values","needs","sweepable"}]}
 *                     type: integer number boolean choice text steps sites metrics numbers overrides
 *                     name preset hf_config strategy seeds sweep expect find;
 *                     default: a JSON value, null when rule says how it follows from other fields;
 *                     min, max: null when there are none; choices: a kind of registry, values its
 *                     names
 * reader_presets      {"presets":[{"name","summary","source","job"}]}
 * reader_registries   {"registries":[ registry, … ]}, presets included
 * reader_registry     {"kind","summary","rows":[{"name","summary","source"}]}; rows have more where
 *                     they have it: laws "predicts","validity"; what is not the derivative
 *                     "approximate"; sites and metrics "default"; metrics "group","unit",
 *                     "direction","scale"; rules "metric","site","comparison","warn","fail"
 */
char *reader_job_schema(void);
char *reader_fields(void);
char *reader_presets(void);
char *reader_registries(void);
char *reader_registry(const char *kind); /* NULL also when unknown */

#endif
