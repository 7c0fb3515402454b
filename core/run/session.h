/* Everything one run needs, laid out in one block of memory. */
#ifndef CORE_RUN_SESSION_H
#define CORE_RUN_SESSION_H

#include "core/data/data.h"
#include "core/probe/probe.h"
#include "core/run/extra.h"

typedef struct session {
    const run_spec *spec;
    graph g;
    plan p;
    exec x;
    probe probe;
    batches data;
    double *init_scratch;
    real *states[2];  /* optimizer */
    int *chunk_first; /* [n_params + 1] updates run in fixed chunks; first chunk of a parameter */
    double *chunk_moved; /* sum of squares of an update, per chunk */
    double *weight_sq;   /* [n_params] of the weights before the update */
    double *series;      /* [SERIES_COUNT, depth + 2] of the stream, for laws and ends of formats */
    double *grad_norms;  /* [steps + 1] of the passes so far */
    double *constants_work;
    extras extras;
    void *theory;  /* work space of theory_predict, or NULL */
    real *staging; /* one value, contiguous; only with want_tensors */
    bool want_tensors, backward;
} session;

/* Graph and plan, with real tables from meta. */
err_code
session_build(session *s, const run_spec *spec, bool want_tensors, arena *meta, error *err);
/* The same, with what is kept as o says; no tensors are handed out. */
err_code
session_build_as(session *s, const run_spec *spec, const plan_options *o, arena *meta, error *err);
/* Are there predictions: measure.theory, and something at step 0 to compare them with. */
bool session_predicts(const run_spec *spec);
/* The rest, from a counting or real arena. */
void session_layout(session *s, int n_threads, arena *a);

/* After session_layout: data, initial weights and constants. */
void session_fill(session *s, const run_input *input, team *t);
/* Passes read the batch of this step from now on. */
void session_use_batch(session *s, int step);

/* measure.eval: probes have passes of their own where there are running statistics to use. */
bool session_has_eval(const session *s);
/* Passes of the run: one for each update and one after the last; extras at each probed step. */
double session_passes(const session *s);

/* Bytes of tables that session_build takes from meta: an upper bound. */
size_t session_table_bytes(const run_spec *spec);

enum { CHUNK = 1 << 16 };

#endif
