/* Running a planned graph: where values live.
 *
 * Everything an op may touch is reached through exec. During a pass (pass.h) exec is constant but
 * for the buffers it points to, so any number of threads may share it.
 */
#ifndef CORE_GRAPH_EXEC_H
#define CORE_GRAPH_EXEC_H

#include "core/base/team.h"
#include "core/graph/graph.h"
#include "core/graph/op.h"
#include "core/graph/plan.h"
#include "core/metric/grad_spread.h"

struct exec;

/* Who looks while a pass runs; calls come from the team's workers, one span each, but for stage, which
 * comes between stages. */
typedef struct watch {
    void *user;
    /* The node has made its outputs. */
    void (*values)(void *user, const struct exec *x, const node *n, const span *s);
    /* The gradients of its outputs are complete; after: its own backward pass has run too. */
    void (*grads)(void *user, const struct exec *x, const node *n, const span *s, bool after);
    void (*stage)(void *user, const struct exec *x, const stage *st); /* it has ended */
} watch;

typedef struct exec {
    const graph *g;
    const plan *p;
    team *team;
    char *tensors;       /* the planned block: buffers are byte offsets into it */
    real *params;        /* all parameters, packed in order */
    real *rounded;       /* the same, matrices as the passes read them; NULL: as they are */
    double *partials;    /* panel sums of vector gradients and of statistics */
    double *stats;       /* plan.stat_count: statistics of this pass */
    double *state[2];    /* plan.state_count each: what a pass reads, and what will be read after
                            exec_commit */
    double *slices;      /* sums of squares of slices of parameter gradients */
    grad_spread *spread; /* of the same slices, in passes that are measured; or NULL */
    uint8_t *clipped;    /* bit per entry of first outputs that rounding cut off; or empty */
    real *constants;     /* of all nodes that have some */
    real *scratch;       /* plan.scratch_reals for each worker */
    double *losses;      /* [B] summed loss of each sequence */
    int side;            /* 0 forward, 1 backward: which buffer of a value */
    bool eval;           /* running statistics instead of those of the batch; no new state */
    bool profiling;      /* in exec_profile */
    bool skip_params;    /* backward: only what gradients of values need */
    int first_b;         /* where sequence 0 is in the buffers: passes over one sequence (extra) */
    /* The batch of this pass. */
    const int32_t *tokens;    /* [B, T+1] */
    const uint8_t *loss_mask; /* [B, T], bidirectional only */
    const real *inputs;       /* [B, T, D], gaussian source only */
    const real *grad_seed;    /* [B, T, D], synthetic losses only; NULL: ones */
    double loss_scale;        /* 1 / positions that carry the loss */
    double grad_scale;        /* a power of two on every gradient while the backward pass runs */
    int step;                 /* updates made: key of stochastic rounding */
    const watch *watch;       /* who looks at this pass; NULL: nobody */
    bool locate;              /* look for the first value of a pass that is not finite */
    /* In the forward pass the lowest node * NODE_OUTPUTS + (NODE_OUTPUTS - 1 - output) that made
     * one; in the backward pass, which runs the other way, the highest node the gradient of whose
     * output 0 is one, or NONE. */
    atomic_int first_bad, first_bad_grad;
} exec;

/* Sequence b of a value, and of its gradient (NULL when it has none). */
real *exec_value(const exec *x, int v, int b);
real *exec_grad(const exec *x, int v, int b);
/* The gradient of value v as the segments after `segment` leave it and segment finds it; NULL: v has
 * none then, or is a view. */
real *exec_grad_so_far(const exec *x, int v, int segment, int b);
/* Base of input i's gradient for sequence b, or NULL: gradient = base + own term. */
const real *exec_grad_base(const exec *x, const node *n, int i, int b);
/* For ops that can only add in place: copies the base, returns 1 (add) or 0 (overwrite). */
real exec_grad_prepare(const exec *x, const node *n, int i, int b0, int b1);
real *exec_scratch(const exec *x, int worker);
/* Constants of a node, or NULL. */
const real *exec_constants(const exec *x, const node *n);
real *exec_param(const exec *x, int p);  /* as passes read it */
real *exec_weight(const exec *x, int p); /* as it is trained */
real *exec_param_grad(const exec *x, int p);
double *exec_partials(const exec *x, const node *n, int panel);
/* Gradients of a node's vector parameters: the panels' sums, those of chained nodes included. The
 * partials of a node hold its parameters one after another. */
void exec_sum_partials(const exec *x, const node *n);
double *exec_stats(const exec *x, const node *n);
/* What a pass reads. A pass never changes it, so it may be run again and gives the same bits. */
const double *exec_state(const exec *x, const node *n);
double *exec_state_start(const exec *x, const node *n); /* the same, to be set before a run */
/* What it becomes with exec_commit; begins as a copy in each forward pass that is not eval. */
double *exec_state_next(const exec *x, const node *n);
/* Sum of v_i^2 in double. */
double exec_sum_squares(const real *v, size_t n);
double exec_dot(const real *a, const real *b, size_t n); /* in double */
/* A slice of parameter p's gradient is complete: sums it up for the norms. */
void exec_slice(const exec *x, int p, int slice, const real *grad, size_t count);

#endif
