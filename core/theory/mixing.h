/* Attention and token kernels: what mixing by softmax of Gaussian logits makes of them, forward and
 * backward, over random weights.
 *
 * Logits have covariance s2 L_ij L_ab for queries i, j and keys a, b; L is the kernel of what
 * queries and keys are made of (the input's, normed where they are, and with rope times the mean
 * cosine of the angle between two positions). P is uniform over what the mask shows, U = P K, V = P
 * L, M = P K P', N = P L P'. To first order in s2
 *
 *   K_out = g { M + s2 L o B },   B = P(K o L)P' - P(U o V)' - (U o V)P' + M o N
 *
 * (o entrywise). Beyond that order the excess follows the sum of squares of a softmax of so many
 * keys, sampled, which ends where one key has all the weight. Backward, from the kernel G of the
 * output's gradient, with X = s2 G o L:
 *
 *   values   P'GP + (P'XP) o L - R - R' + P'(X o N)P,   R_ab = sum_ij P_ia P_jb X_ij V_ja
 *   keys     (P'XP) o K - R - R' + P'(X o M)P,          R_ab = sum_ij P_ia P_jb X_ij U_ja
 *   queries  s2 G o B
 *
 * Neglected: orders s2^2 beyond the simplex's, and terms of 1/D between the paths.
 *
 * Source: derived for this program; without masks it is the permutation-symmetric update of
 * arXiv:2403.02579 and the uniform attention of arXiv:2206.03126.
 */
#ifndef CORE_THEORY_MIXING_H
#define CORE_THEORY_MIXING_H

#include "core/theory/tokens.h"

#include <stdbool.h>

typedef enum mixing_kind {
    MIXING_SOFTMAX,
    MIXING_IDENTITY, /* values pass as they are */
    MIXING_GIVEN     /* by a constant matrix A [T, T], one token per group */
} mixing_kind;

typedef struct mixing {
    mixing_kind kind;
    const tokens *tokens;
    const sight *sight;
    double gain;        /* g: of W_V */
    double logit_var;   /* s2 */
    double query_var;   /* s2 by what W_Q multiplies a kernel by */
    bool logit_normed;  /* L has unit diagonal: queries and keys are normed, by r_i = 1/sqrt(q_i) */
    const double *turn; /* rope: factors on L, [n, n] with mean over pairs; NULL: none */
    const double *given; /* A [n, n] */
} mixing;

/* Of the tokens whose kernel it is: q, and how much one key with all the weight would add. */
typedef struct mixing_own {
    double q[TOKENS_MAX], room[TOKENS_MAX];
} mixing_own;

/* What each path gives to the gradient of the input; queries: by what W_Q multiplies a kernel by.
 */
typedef struct mixing_paths {
    double *values, *keys, *queries; /* kernels, or NULL */
} mixing_paths;

enum { MIXING_WORK = 16 }; /* work space in kernels of (n + 1) n doubles */

/* out, k: one half of a kernel each, not the same; own: of the first half, filled from k unless k
 * is the other. entropy [n] or NULL: of the rows of P, in nats. excess: mean over
 * tokens of what softmax adds to uniform attention, relative to the output. */
void mixing_forward(double *out,
                    const double *k,
                    mixing_own *own,
                    bool other,
                    const mixing *m,
                    double *entropy,
                    double *excess,
                    double *work);
/* in: kernel of the gradient of the input; grad: of the output. paths: NULL, or of softmax. */
void mixing_backward(double *in,
                     const double *grad,
                     const double *k,
                     mixing_own *own,
                     bool other,
                     const mixing *m,
                     const mixing_paths *paths,
                     double *work);

#endif
