/* The plan: in which order things run and where every buffer lives.
 *
 * A pass is a list of stages with a barrier between them. A span stage runs its steps for one panel
 * of sequences after another, each panel on one thread from the first step to the last, so that a
 * panel's values stay in that core's cache; a task stage runs independent fixed tasks (parameter
 * gradients). One segment makes one forward stage, and in the backward pass one span stage and one
 * task stage:
 *
 *   forward   segment 0 .. L+1
 *   backward  segment L+1 .. 0: gradients of inputs (and values made again), then of parameters
 *
 * Buffers live from the first to the last stage that touches them, and are placed by one sweep over
 * the stages with a free list: linear in depth, and the high-water mark is known before a run.
 */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include "core/graph.h"

typedef enum stage_kind { STAGE_SPANS, STAGE_PARAMS } stage_kind;

typedef struct stage {
    stage_kind kind;
    int segment;
    int first_node, n_nodes; /* of the segment, in graph order */
    int first_task, n_tasks; /* STAGE_PARAMS: into plan.tasks */
    bool backward;
} stage;

typedef struct param_work {
    int node, task;
} param_work;

typedef struct buffer {
    size_t bytes, offset;
    int first, last; /* stages */
} buffer;

typedef struct plan {
    stage *stages;
    int n_stages, n_forward; /* the first n_forward stages are the forward pass */
    param_work *tasks;
    int n_tasks;
    buffer *buffers;
    int n_buffers;
    size_t tensor_bytes;  /* high-water mark */
    size_t param_count;   /* reals of all parameters */
    size_t partial_count; /* doubles */
    size_t slice_count;
    size_t scratch_reals; /* per worker */
    int max_stages, max_tasks, max_buffers;
} plan;

typedef struct plan_options {
    bool keep_param_grads; /* an optimizer step follows: all gradients live to the end */
    bool keep_all;         /* every value and gradient lives to the end, nothing is recomputed */
    bool backward;         /* any backward pass at all */
} plan_options;

/* Tables from the arena; fills the plan fields of nodes, values and params. */
err_code plan_make(plan *p, graph *g, const plan_options *o, arena *a, error *err);

#endif
