/* What a running run has reported so far, built from its worker's frames and held back until the
 * end, because the results of a run appear all at once or not at all. Bounded by what the run was
 * estimated at: a worker that sends more is sending garbage.
 */
#ifndef SERVER_QUEUE_INTAKE_H
#define SERVER_QUEUE_INTAKE_H

#include "server/queue/frame.h"
#include "server/store/store.h"

typedef struct intake {
    measurement *rows;
    size_t n_rows, cap_rows, max_rows;
    prediction *predictions;
    size_t n_predictions, cap_predictions;
    step_record *steps;
    size_t n_steps, cap_steps, max_steps;
    char **params; /* names; those of rows point here */
    size_t n_params;
    run_summary summary;
    double wall_ms;
    char *provenance;
} intake;

void intake_begin(intake *in, uint64_t max_rows, int max_steps);
void intake_free(intake *in);

/* PARAMS, MEASURE, PREDICT, STEP and DONE payloads. ERR_WORKER for garbage, ERR_MEMORY. */
err_code intake_params(intake *in, const frame_buffer *b, error *err);
err_code intake_rows(intake *in, const frame_buffer *b, error *err);
err_code intake_predictions(intake *in, const frame_buffer *b, error *err);
err_code intake_steps(intake *in, const frame_buffer *b, error *err);
err_code intake_done(intake *in, const frame_buffer *b, error *err);

run_result intake_result(const intake *in); /* borrows everything */

#endif
