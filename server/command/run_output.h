/* Results of `normscope run` as JSON, CSV or NDJSON, written as they come.
 *
 * json     one object: name, hash, resolved, provenance, columns and rows (measurements),
 * step_columns and steps (losses), prediction_columns and predictions, runs (how each ended, with
 * its verdict), verdict (schema/verdict.json without job_id and state)
 * csv      the measurements with a header line
 * ndjson   one object per line: {"type":"run"|"prediction"|"measurement"|"step"|"end"|"verdict", …}
 *
 * Columns of a measurement: run_id, seed, arm, step, layer, site, metric, param, value, reason;
 * run_id counts from 0. Values that are not finite are strings in JSON and bare words in CSV.
 */
#ifndef SERVER_COMMAND_RUN_OUTPUT_H
#define SERVER_COMMAND_RUN_OUTPUT_H

#include "server/job/job.h"
#include "server/text/json_out.h"

#include <stdio.h>

typedef enum run_format { RUN_JSON, RUN_CSV, RUN_NDJSON, RUN_FORMATS } run_format;

extern const char *const run_format_names[RUN_FORMATS];

typedef struct run_output {
    run_format format;
    FILE *to;
    json_out text;                     /* not yet written */
    json_out steps, predictions, runs; /* json: what comes after the rows */
    const job *job;
    int run;                 /* index of the current run */
    json_out head;           /* csv: "run_id,seed,arm," of the current run; ndjson: its members */
    const char *coordinates; /* JSON text of the coordinate check, set before the end; NULL: none */
    bool broken;             /* `to` takes no more */
    bool written;            /* something has gone to `to` */
} run_output;

void run_output_begin(
    run_output *o, run_format format, FILE *to, const job *j, const char *provenance);
void run_output_run(run_output *o, int index);
void run_output_measure(run_output *o, const measurement *m, size_t n);
void run_output_predict(run_output *o, const prediction *p, size_t n); /* csv has none */
void run_output_step(run_output *o, const step_record *s);
void run_output_run_end(run_output *o,
                        const run_summary *s,
                        double wall_ms,
                        const char *corpus_hash, /* NULL: no corpus */
                        const char *verdict);    /* members of an object; NULL: none */
/* A run that was not needed: {"run_id","seed","arm","skipped":true} among the runs. */
void run_output_skipped(run_output *o, int index);
/* failure: why the job did not end, or NULL; json and ndjson say it ("error"), and when nothing has
 * been written yet, nothing is. verdict: an object (study_json), or NULL. ERR_MEMORY or ERR_IO when
 * anything was lost on the way. Frees everything but `to`. */
err_code run_output_end(run_output *o, const char *verdict, const error *failure, error *err);

#endif
