/* The coordinate check inside a probe: the values of step 0 are kept, later ones compared. */
#ifndef CORE_PROBE_COORDINATE_H
#define CORE_PROBE_COORDINATE_H

#include "core/metric/coordinate.h"
#include "core/op/op.h"

typedef struct probe_coordinate {
    coordinate *sums; /* [B] */
    real *first;      /* [B, rows, cols] of step 0; NULL: there are no updates, nothing changes */
    bool has_delta;
} probe_coordinate;

/* Carves the memory of a tap from a counting or real arena. */
void probe_coordinate_layout(probe_coordinate *c, const graph *g, const tap *t, arena *a);
/* Sequence b of the tap, just made by n. */
void probe_coordinate_add(probe_coordinate *c, const exec *x, const node *n, const tap *t, int b);
/* Sums of all sequences, in the order of the batch. */
void probe_coordinate_finish(probe_coordinate *c, const graph *g, metric_value out[METRIC_COUNT]);

/* ERR_COMBINATION when the spec asks for it and its updates are compared with nothing: the batch
 * must be the same, and step 0 measured. */
err_code probe_coordinate_check(const run_spec *spec, error *err);

#endif
