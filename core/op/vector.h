#ifndef CORE_OP_VECTOR_H
#define CORE_OP_VECTOR_H

#include "core/graph/exec.h"

/* For ops whose parameters are vectors with panel sums in their partials: one task for all of them,
 * one slice each. */
int op_vector_tasks(const graph *g, const node *n); /* n_param_tasks */
int op_one_slice(const graph *g, const node *n, int i);
void op_vector_task(const exec *x, const node *n, int task);

#endif
