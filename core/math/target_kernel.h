/* Mixing matrices that carry the token kernel of one block into that of the next, for attention
 * without skips. With Sigma_0 = I and a target Sigma_l for each block, A_l Sigma_{l-1} A_l' =
 * Sigma_l:
 *
 *   causal         A_l = L_l L_{l-1}^-1, L the Cholesky factors
 *   bidirectional  A_l = Sigma_l^1/2 Sigma_{l-1}^-1/2, symmetric roots
 *
 * A_l >= 0, so that softmax can make it: A = D softmax(B), D = diag(A 1), B = ln(D^-1 A). B is cut
 * at -80, where exp counts for nothing, and computed from logarithms where A itself would
 * underflow.
 *
 *   exponential   Sigma_ij = exp(-gamma_l |i-j|), gamma_l = -ln(1 - alpha^{2l/L})/2, alpha^2 = 1 -
 *                 exp(-2 gamma_L): every causal A_l has the diagonal alpha^{1/L}
 *   uniform       Sigma = (1-rho_l) I + rho_l 11', 1 - rho_l = (1 - rho_L)^{l/L}
 *
 * Source: He et al. 2023, arXiv:2302.10322; closed forms derived anew; the schedule of the uniform
 * kernel is ours (the paper's is not public). Roots of exponential kernels by their eigenvectors,
 * which are cosines and sines: O(T^2), and three products of [T, T] for the whole matrix.
 */
#ifndef CORE_MATH_TARGET_KERNEL_H
#define CORE_MATH_TARGET_KERNEL_H

#include "core/real.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum target_family { TARGET_EXPONENTIAL, TARGET_UNIFORM } target_family;

typedef struct target_kernel {
    target_family family;
    bool causal;
    int length;  /* T */
    double now;  /* gamma_l or rho_l */
    double last; /* of block l-1; INFINITY or 0 where that is Sigma_0 */
} target_kernel;

/* Of block layer = 1..depth; end: gamma_L or rho_L. */
target_kernel
target_kernel_at(target_family family, bool causal, int length, int layer, int depth, double end);

size_t target_kernel_work(target_family family, bool causal, int length); /* doubles */

/* bias [T, T] = B with -80 where the mask hides, and rows [T] = the diagonal of D; either may be
 * NULL. */
void target_kernel_fill(const target_kernel *k, real *bias, real *rows, double *work);

#endif
