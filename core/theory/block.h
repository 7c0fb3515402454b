/* One sublayer of a block as theory sees it: how it changes the kernel of the stream, forward, and
 * that of its gradient, backward.
 *
 * Weights are random, independent and of mean zero, so the kernel of a sum is the sum of the
 * kernels, and a matrix with variance v and fan in n multiplies a kernel by n v. A norm divides by
 * the tokens' rms: k_ij/sqrt((q_i + eps)(q_j + eps)); backward it multiplies the gradient's kernel
 * by the same and takes out what lies along x (and along 1 with centring): 1 - 1/D (1 - 2/D). On
 * the stream only the part that the last branch wrote is new to it (fresh): what came through an
 * earlier norm is orthogonal already.
 *
 * A sublayer without a matrix behind its activation (one_matrix) has a mean over features, as the
 * stream then has: sums have mu_i m_j + m_i mu_j besides. Its errors go by the derivatives of the
 * activation's map, which may contract them.
 *
 * Errors: the relative spread of one seed, as a covariance of the two parts of the mean square, p
 * (the mean token) and u (what tokens differ by). Every product with random weights adds 2/D of the
 * square of each (c/F for an activation of F units), the sum with the stream 4 x.b/D; norms keep p
 * + u. This is the rule |d ln q| <= 0.01 + 4 sqrt(c n/(D S)) with n counted layer by layer.
 */
#ifndef CORE_THEORY_BLOCK_H
#define CORE_THEORY_BLOCK_H

#include "core/theory/sublayer.h"

/* The gradients of the matrices over the whole batch, squared Frobenius norms: for y = W x
 *
 *   |dW|^2 = sum over pairs of tokens of (g_i.g_j)(x_i.x_j).
 *
 * Attention: of W_Q, W_K, W_V, W_O; MLP: of the (gate's) first, of the ungated
 * half, -, of the last. NaN: there is no law. */
enum { MATRICES = 4 };
typedef struct matrix_grads {
    double weight[MATRICES];
} matrix_grads;

/* In doubles: of the kernels of a trace, and of the work space. */
size_t trace_doubles(int n, int halves);
size_t sublayer_work_doubles(int n, int halves);
/* memory: trace_doubles of it. No entropies. */
void trace_place(trace *tr, double *memory, const tokens *t);
/* base: kernel of the block's input, for `around` and `parallel`; else unused. x is replaced by the
 * new stream. out: placed. */
void sublayer_forward(const sublayer *s,
                      const tokens *t,
                      stream *x,
                      const stream *base,
                      trace *out,
                      double *work,
                      hermite_series *series);
/* After the forward pass of a block's attention: what `around` of its MLP needs. */
void sublayer_ratio(const sublayer *s, const tokens *t, const trace *tr, stream *base);
/* grad: kernel of the gradient of the new stream in, of x out. x: the kernel forward saw; tr from
 * sublayer_forward. to_base: added to where the block's input gets a gradient
 * past x (around, parallel), else unused. sum_grad: of the sum, for the sites; may be NULL, and so
 * may matrices. */
void sublayer_backward(const sublayer *s,
                       const tokens *t,
                       const stream *x,
                       const stream *base,
                       const trace *tr,
                       double *grad,
                       double *to_base,
                       double *sum_grad,
                       matrix_grads *matrices,
                       double *work,
                       hermite_series *series);

/* In place: the kernel of what a norm makes, mu the feature means of the tokens or NULL. */
void norm_forward(const norm_step *s,
                  double *k,
                  double *mu,
                  const tokens *t,
                  double *spare,
                  hermite_series *series);
void norm_backward(const norm_step *s,
                   double *grad,
                   const double *k,
                   const double *mu,
                   const tokens *t,
                   double fresh,
                   double *spare,
                   hermite_series *series);

#endif
