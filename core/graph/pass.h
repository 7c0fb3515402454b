/* Running a planned graph: forward and backward passes, their parts, passes that profile, and the
 * state that outlives a pass. Where values live, and all that an op may touch, is exec.h.
 */
#ifndef CORE_GRAPH_PASS_H
#define CORE_GRAPH_PASS_H

#include "core/graph/exec.h"

/* One forward pass; returns the summed loss in *loss. progress is called after each stage with its
 * share of the pass; a false return stops with ERR_CANCELLED. */
typedef bool exec_progress(void *user, int stage, int n_stages, int layer);
err_code exec_forward(exec *x, exec_progress *progress, void *user, double *loss);
/* Afterwards gradients of parameters are without grad_scale; those of values still have it. */
err_code exec_backward(exec *x, exec_progress *progress, void *user);

/* Parts of a pass, with plan_options.keep_values: segments first..last, forward from the values
 * that enter them, backward from the gradients of those that leave them. exec_leaving: the values
 * but `except` that are made up to `segment` and read after it; returns how many, out has room for
 * all values. */
err_code exec_forward_part(exec *x, int first, int last, exec_progress *progress, void *user);
err_code exec_backward_part(exec *x, int first, int last, exec_progress *progress, void *user);
int exec_leaving(const graph *g, int segment, int except, int *out);

/* State: at its start; as the last forward pass (without eval) and the backward pass that followed
 * left it. */
void exec_begin_state(exec *x);
void exec_commit(exec *x);

/* A forward pass in which nodes that are profiled see what they need of the whole batch before the
 * nodes after them run: sets parameters (admin) and state (frozen norms). exec_profiles: is there
 * such a node? */
bool exec_profiles(const graph *g);
bool exec_sums_over_batch(const graph *g); /* is there a norm with batch statistics? */
bool exec_heeds_eval(const graph *g);      /* is a pass with exec.eval another one? */
err_code exec_profile(exec *x, exec_progress *progress, void *user);

/* What a caller says whose progress function has stopped a pass. */
err_code exec_cancelled(error *err);

#endif
