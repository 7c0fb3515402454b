/* The plan: in which order things run and where every buffer lives.
 *
 * A pass is a list of stages with a barrier between them. A span stage runs its steps for one panel
 * of sequences after another, each panel on one thread from the first step to the last, so that a
 * panel's values stay in that core's cache; a task stage runs independent fixed tasks (parameter
 * gradients, statistics of the batch). A segment is one phase, unless it holds ops that sum over
 * the whole batch (op.prepare): each of them is at the head of a phase of its own, or shares it
 * with such ops right before it that do not feed it. A segment that begins with one has an empty
 * first phase. One phase makes one forward stage, with a task stage before it where it has heads,
 * and in the backward pass one span stage and one task stage:
 *
 *   forward   phase 0, 1 ..: values, then the panel sums for the heads of the next phase;
 *             [their statistics, from the panel sums]
 *   backward  phase .. 1, 0: gradients of the inputs of the next phase's heads, then of this
 *             phase's other nodes (and values made again), then panel sums for this phase's heads;
 *             gradients of parameters, and what the heads need to know for their inputs
 *
 * Buffers live from the first to the last stage that touches them, and are placed by one sweep over
 * the stages with a free list: linear in depth, and the high-water mark is known before a run.
 */
#ifndef CORE_GRAPH_PLAN_H
#define CORE_GRAPH_PLAN_H

#include "core/graph/graph.h"

typedef enum stage_kind { STAGE_SPANS, STAGE_TASKS } stage_kind;

typedef struct stage {
    stage_kind kind;
    int segment;
    int first_node, n_nodes; /* of the phase, in graph order */
    int n_heads;             /* the first of these, which sum over the batch */
    int n_next;              /* heads of the segment's next phase: the nodes after these */
    int first_task, n_tasks; /* STAGE_TASKS: into plan.tasks */
    bool backward;
    bool ends_segment; /* the last stage of its segment in the forward pass */
} stage;

typedef struct plan_task {
    int node, task;
    bool waits; /* for the tasks of its stage before it: they make the gradient that it adds to */
} plan_task;

typedef struct buffer {
    size_t bytes, offset;
    int first, last; /* stages */
} buffer;

typedef struct plan {
    stage *stages;
    int n_stages, n_forward; /* the first n_forward stages are the forward pass */
    plan_task *tasks;
    int n_tasks;
    buffer *buffers;
    int n_buffers;
    size_t tensor_bytes;  /* high-water mark */
    size_t param_count;   /* reals of all parameters */
    size_t partial_count; /* doubles */
    size_t state_count;   /* doubles that outlive a pass */
    size_t stat_count;    /* doubles of one pass */
    size_t slice_count;
    size_t scratch_reals; /* per worker */
    int max_stages, max_tasks, max_buffers;
    bool keeps_param_grads; /* all of them, to the end of the backward pass */
    int short_stages;       /* what lives no longer than so many stages has a region of its own */
} plan;

typedef struct plan_options {
    bool keep_param_grads; /* an optimizer step follows: all gradients live to the end */
    bool keep_all;         /* every value and gradient lives to the end, nothing is recomputed */
    bool keep_values;      /* every value lives to the end, for passes over parts (exec.h) */
    bool own_grads;        /* no two values share a gradient: those that were cut off differ */
    bool backward;         /* any backward pass at all */
} plan_options;

/* Tables from the arena; fills the plan fields of nodes, values and params. */
err_code plan_make(plan *p, graph *g, const plan_options *o, arena *a, error *err);

#endif
