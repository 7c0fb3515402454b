/* From a read job to its runs: presets, fields and swept values merged, checked and costed.
 * The reader's own.
 */
#ifndef SERVER_JOB_EXPAND_H
#define SERVER_JOB_EXPAND_H

#include "server/job/reading.h"

/* Fills out->runs and out->n_runs, seeds fastest. Errors have pointers into the document: a swept
 * value is blamed where it stands in the sweep. */
err_code expand_runs(reading *r, job *out, error *err);

/* Instead of that: only out->coverage and out->notes, without the cost of the runs. */
err_code expand_echo(reading *r, job *out, error *err);

#endif
