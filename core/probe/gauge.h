/* Groups of metrics: one file each, named after its group, one row in core/base/group.def. The rows of
 * core/base/metric.def say which metrics a group has; everything else about it is here, in its gauge.
 *
 * A gauge takes part when the job asks for a metric of its group, or when another that takes part
 * needs it. It looks while a pass runs, sequence by sequence, keeps its sums in its own state, and
 * makes its numbers at the end. Most look at taps; some at parameters or at the run as a whole; those
 * with passes of their own (core/extra/, core/proxy/) have only a cost here. Looking is done by any
 * number of threads, one sequence each; stage and all that comes after it by one. Sums over sequences
 * are made in the order of the batch, so that no bit depends on threads.
 *
 * Any member may be NULL: what the gauge does not do. spike.c is the least of them, contraction.c the
 * least that looks at a tap.
 */
#ifndef CORE_PROBE_GAUGE_H
#define CORE_PROBE_GAUGE_H

#include "core/graph/exec.h"
#include "core/metric/slab.h"
#include "core/metric/value.h"

struct session;

/* What a gauge needs of a run. */
enum {
    GAUGE_BACKWARD = 1,   /* a backward pass */
    GAUGE_PARAMETERS = 2, /* sums of squares of weights, at parameters */
    GAUGE_SPREAD = 4      /* exec.spread: how gradients of parameters spread */
};

/* What a gauge reads of a tap; 0: it does not look there. */
enum {
    GAUGE_VALUE = 1,          /* the value itself */
    GAUGE_SLABS = 2,          /* its two passes (slab_sums, slab_centre), made once for all */
    GAUGE_GRADIENT = 4,       /* the gradient itself */
    GAUGE_GRADIENT_SLABS = 8, /* its pass (slab_norms) */
    GAUGE_ELSEWHERE = 16      /* at the sum where it meets its stream, or after a stage */
};

/* Sequence b of a tap. */
typedef struct look {
    const graph *g;
    const exec *x;
    const node *n; /* has just made the value, or its gradient is complete */
    const tap *t;
    const value *v;
    int at, b, worker; /* at: which tap it is */
    const real
        *data; /* the value; or the gradient, without exec.grad_scale, NULL where there is none */
} look;

/* The stream after each block: [L + 1] numbers by layer, NaN where there is none. */
typedef enum series {
    SERIES_VAR,
    SERIES_MAX_ABS, /* infinite where an entry is not finite */
    SERIES_GRAD_NORM,
    SERIES_GRAD_RMS,
    SERIES_GRAD_MAX, /* as SERIES_MAX_ABS */
    SERIES_APART,    /* fit_apart of token_corr */
    SERIES_COUNT
} series;

/* What a measured pass left behind, for what is told of parameters and of the run. */
typedef struct gauge_run {
    const graph *g;
    const struct session *session; /* for the functions below */
    double loss;
    bool backward; /* a backward pass was made */
    bool updated;  /* an update followed */
    const double *weight_sq;
    double (*grad_sq)(const struct session *s, int p);
    double (*moved_sq)(const struct session *s, int p);
    grad_spread (*spread)(const struct session *s, int p);
    double *series[SERIES_COUNT];
} gauge_run;

/* One row; layer -1: the run as a whole. Rows that the job does not want are dropped. */
typedef void
gauge_emit(void *user, int layer, site where, const char *param, metric m, metric_value v);

typedef struct gauge {
    /* What it needs, GAUGE_BACKWARD …; sets those groups that must take part because of it. */
    unsigned (*needs)(const run_spec *spec, bool groups[GROUP_COUNT]);
    unsigned (*reads)(const graph *g, const tap *t);
    bool compares_layers; /* layer 0 has a tap even where its site is not selected */

    /* Its state, from a counting or real arena; NULL while counting. */
    void *(*layout)(const graph *g, int n_threads, arena *a);
    void (*value)(void *state, const look *l); /* before the slabs of this sequence */
    /* rows of the value from `row` on: all of them, or those of one head of a matrix */
    void (*slab)(void *state, const look *l, const slab *s, size_t row);
    void (*gradient)(void *state, const look *l); /* before its slabs; data may be NULL */
    void (*gradient_slab)(void *state, const look *l, const slab *s);
    /* A node that adds a branch to its stream has run. */
    void (*sum)(void *state, const exec *x, const node *n, const span *s);
    void (*stage)(void *state, const exec *x, const stage *st);
    /* Merges the sequences of a tap and fills its own metrics, once per pass, taps in order. */
    void (*finish)(void *state, const graph *g, int tap_index, bool with_grads, metric_value out[]);

    /* Has this tap a row with metric m? NULL: where it reads the tap, it has all of them. */
    bool (*applies)(const graph *g, const tap *t, metric m, bool with_grads);
    bool first_name_only; /* no rows where the value is told under a second name */
    void (*param)(const gauge_run *r, int p, gauge_emit *emit, void *user);
    void (*run)(const void *state, const gauge_run *r, gauge_emit *emit, void *user);
    /* Of all steps at once: the gradient norms of 0..steps - 1. */
    void (*trace)(const double *grad_norms, int steps, gauge_emit *emit, void *user);
    uint64_t (*rows)(const graph *g); /* at most, besides those of taps and one of the run for each
                                         metric */

    /* What measuring costs: see core/run/metric_cost.h. */
    double (*flops)(const graph *g, const tap *t); /* of one tap and one sequence */
    double (*flops_once)(const graph *g);          /* of the whole batch */
    double weight; /* how many operations of a pass take the time of one of these */
    double (*passes)(const struct session *s); /* forward and backward, of its own, at each step */
} gauge;

/* By metric_group. */
extern const gauge *const gauge_table[GROUP_COUNT];

/* The groups that take part, and all that they need. */
unsigned gauge_needs(const run_spec *spec, bool groups[GROUP_COUNT]);
/* Does the job ask for a metric of it? */
bool gauge_wanted(const run_spec *spec, metric_group k);
int gauge_count_wanted(const run_spec *spec, metric_group k);
bool gauge_compares_layers(const run_spec *spec);
/* Has this tap a row with metric m? */
bool gauge_applies(const graph *g, const tap *t, metric m, bool with_grads);

/* Entries of a value of one sequence. */
static inline double gauge_entries(const graph *g, const tap *t)
{
    const value *v = &g->values[t->value];
    return (double)v->rows * v->cols;
}

/* A tap that is reported, and is no matrix of pairs. */
static inline bool gauge_is_plain(const tap *t)
{
    return !t->is_matrix && !t->hidden;
}

/* Visible columns of row r of a value: all of them but in a matrix of pairs. */
void gauge_visible(const look *l, size_t r, size_t *begin, size_t *end);

#endif
