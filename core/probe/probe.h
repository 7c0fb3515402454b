/* Measuring while a pass runs: each tap is reduced at once, sequence by sequence, while its values
 * are in cache; what is kept is a few hundred bytes per tap and sequence. The probe makes what several
 * gauges read (gauge.h), and hands it to those that take part; it knows none of them by name.
 */
#ifndef CORE_PROBE_PROBE_H
#define CORE_PROBE_PROBE_H

#include "core/probe/gauge.h"

typedef struct probe {
    const graph *g;
    unsigned needs; /* of the gauges that take part: GAUGE_BACKWARD … */
    bool takes_part[GROUP_COUNT];
    int active[GROUP_COUNT], n_active; /* the same as a list */
    void *states[GROUP_COUNT];
    unsigned char *reads;     /* [n_taps, n_active] what each gauge reads of it */
    unsigned char *reads_any; /* [n_taps] */
    char *work;               /* work_bytes for each worker: a slab */
    size_t work_bytes;
    real *unscaled; /* a gradient without exec.grad_scale: unscaled_reals for each worker */
    size_t unscaled_reals;
    watch watch;
} probe;

/* Who takes part, and what that needs; the rest from a counting or real arena. */
void probe_init(probe *p, const graph *g);
void probe_layout(probe *p, const graph *g, int n_threads, arena *a);

/* What exec.watch is while this probe looks; valid until p is moved. */
const watch *probe_watch(probe *p);

/* All metrics of one tap, indexed by metric; fills only the groups that take part. Once for each tap of
 * a pass, in their order. with_grads: a backward pass was made. */
void probe_finish(probe *p, int tap_index, bool with_grads, metric_value out[METRIC_COUNT]);

#endif
