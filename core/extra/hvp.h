/* H v: the Hessian of the loss of the batch in the parameters, times a vector, by central
 * difference of two gradients:
 *
 *   H v = (grad(w + e v) - grad(w - e v)) / 2e
 *
 * e is so that no row of a matrix and no vector moves by more than HVP_DIFFERENCE of its length:
 * eigenvectors may live in a few rows (the embeddings of rare tokens), which |w| as the measure
 * would turn over. Exact for a quadratic loss up to rounding; else the relative error is about 3e-4
 * in float32 and 1e-8 in float64. Kinks (ReLU) add noise of the order of e. Two gradients each.
 *
 *   hvp_layout  memory: one copy of the weights. The plan keeps the gradients of parameters
 *               (plan_options.keep_param_grads).
 *   hvp_begin   copies the weights as they are; v and H v then mean entries first..end-1 of them,
 *               the others are constants. Where that is not all of them the plan keeps values
 *               (keep_values), and the values of the segments before those entries are in place: a
 *               forward pass was made, and none of it has been disturbed since but by parts of it
 *               from hvp.segment on.
 *   hvp_apply   v, out: like all parameters (flat.h); out must not be v. ERR_CANCELLED. The
 *               weights are as they were afterwards, bit for bit, from the copy.
 *
 * Batch, loss and eval are those of the exec; running state stays as it is.
 * Source: Pearlmutter 1994 for the product; the steps are measured, on Pre-LN and Peri-LN networks.
 */
#ifndef CORE_EXTRA_HVP_H
#define CORE_EXTRA_HVP_H

#include "core/extra/flat.h"
#include "core/graph/pass.h"

typedef struct hvp {
    flat f;
    real *weights;
    int segment;  /* the first that reads any of the entries */
    double usual; /* root mean square of the entries of w; 1 when all are zero */
} hvp;

void hvp_layout(hvp *h, const plan *p, arena *a);
void hvp_begin(hvp *h, exec *x, size_t first, size_t end);
err_code hvp_apply(hvp *h, const real *v, real *out, exec_progress *progress, void *user);
/* The gradient at the weights as they are, of those entries. */
err_code hvp_gradient(hvp *h, real *out, exec_progress *progress, void *user);

#endif
