/* One optimizer update of all parameters, in fixed chunks spread over the team. */
#ifndef CORE_RUN_TRAIN_H
#define CORE_RUN_TRAIN_H

#include "core/run/session.h"

/* Global gradient norm and per-parameter norms, from the slices of the backward pass. */
double train_grad_sq(const session *s, int p);
double train_grad_norm(const session *s);
/* How the entries of a parameter's gradient spread, where that is measured. */
grad_spread train_grad_spread(const session *s, int p);
/* Update k = 1..; grad_norm for clipping. Returns the learning rate. Parameters with a projection
 * get it afterwards. */
double train_update(session *s, int k, double grad_norm);
/* Rows or columns to length 1, where a parameter asks for it (graph.h); those that have it up to
 * rounding stay as they are, so that weights that were saved and loaded keep their bits. */
void train_project(session *s);
/* ||W_new - W||^2 of the last update, before any projection. */
double train_moved_sq(const session *s, int p);
/* Fills weight_sq. */
void train_weight_norms(session *s);

#endif
