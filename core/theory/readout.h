/* The end of the network as theory sees it: the loss, and the kernel of its gradient at the last
 * site, before and past the norm that the stream had last.
 *
 * Logits z = W x of V tokens, W with entries of variance h: Gaussian of variance v = h D q, but
 * where W is the embedding the token itself has z = sqrt(v D s) on average, s the share of its
 * embedding in the stream, and with it the probability P. The gradient of a place is
 * sum_y c[y] W_y with c = softmax - onehot(target). In units of h D/places^2:
 *
 *   |g_i|^2   E P^2 - 2 P d + 1 + O(1/V),   d the chance that a target is the token itself
 *   g_i.g_j   [y_i = y_j] - P ([x_i = y_j] + [y_i = x_j]) + P^2 [x_i = x_j] + O(1/V)
 *
 * The norm takes out what lies along the stream, of which the row of the token itself is the share
 * s: with u the unit vectors of the streams, c = u_i.u_j and w the unit row,
 *
 *   |w - u (u.w)|^2 = 1 - s,   w.(w - u (u.w)) = 1 - s,
 *   (w_i - u_i (u_i.w_i)).(w_j - u_j (u_j.w_j)) = [x_i = x_j] (1 - 2 s) + s c.
 *
 * Neglected: that places with the same token have more in common elsewhere, too (joint); that what
 * the norm takes out is made by the branches' own matrices where they made much of the stream, so
 * that there is no law for the gradients of these (matrices).
 */
#ifndef CORE_THEORY_READOUT_H
#define CORE_THEORY_READOUT_H

#include "core/theory/setting.h"

/* |g_i|^2, g_i.g_j for i != j, g_i.g_j of two sequences. */
typedef struct seed_kernel {
    double own, other, across;
} seed_kernel;

typedef struct readout {
    reason reason; /* why loss and gradient are not known */
    bool shape_known;
    bool matrices;        /* it tells the gradients of matrices, too */
    seed_kernel at, past; /* before the norm, and past it but for its factor */
    double along;         /* past: of two places besides, by the cosine of their streams */
    double error;         /* relative variance of past.own */
    double joint;         /* what is neglected of the sum for |dW|^2, at most, by past.own */
    double shared;        /* the sum, by the same, where tokens are not told apart */
    double loss;          /* nats; NaN: not defined by tokens */
    double loss_var;      /* of one seed */
    double logit_var;
} readout;

/* final: of the last site; across: mean correlation of the tokens of two sequences there, NaN where
 * it is not followed; share: s; made: what branches made of the stream. */
readout readout_of(const setting *s,
                   const theory_data *data,
                   kernel_mean final,
                   double across,
                   double share,
                   double made);

#endif
