/* Second moments of the tokens of a sequence, E x_i.x_j/D, in groups of tokens that are alike.
 *
 * A kernel of n groups is n n + n doubles: k[g n + h] of two different tokens of groups g and h,
 * and q[g] of one token with itself, behind it. With one token per group that is the T x T matrix
 * (and k[g n + g] = q[g]); with one group for all tokens it is the simplex, exact where no mask and
 * no position tells tokens apart; what lies between is for causal masks over long sequences, where
 * groups grow with the distance from the first token.
 *
 * A second half of the same form, where there is one, has the pairs of tokens of two different
 * sequences: k[g n + h] at different positions, q[g] at the same one. It goes through the same
 * matrices, with the norms of the first half.
 *
 * The mean over what a token sees is W [n, n], row g summing to 1, spread evenly over the tokens of
 * a group. Masks see contiguous ranges, so W K and W' K cost O(n^2) by running sums.
 */
#ifndef CORE_THEORY_TOKENS_H
#define CORE_THEORY_TOKENS_H

#include "core/spec.h"

#include <stddef.h>

enum { TOKENS_MAX = 64 };

typedef struct tokens {
    int n;                     /* groups */
    int length;                /* T */
    int sequences;             /* B */
    int halves;                /* 2: kernels have the second half of pairs of sequences */
    double size[TOKENS_MAX];   /* tokens of a group */
    double first[TOKENS_MAX];  /* the first one's position */
    double centre[TOKENS_MAX]; /* position of the middle */
} tokens;

/* What each group sees: the groups between lo and hi whole, so many tokens of these two. */
typedef struct sight {
    int lo[TOKENS_MAX], hi[TOKENS_MAX];
    double at_lo[TOKENS_MAX], at_hi[TOKENS_MAX];
    double seen[TOKENS_MAX]; /* tokens, itself included */
    double log_seen[TOKENS_MAX];
} sight;

/* At most `most` groups; exchangeable: one. One sequence, one half. */
void tokens_init(tokens *t, int length, bool exchangeable, int most);
/* window 0: everything up to the token itself (causal) or everything. */
void sight_init(sight *s, const tokens *t, bool causal, int window);

static inline size_t kernel_doubles(int n)
{
    return (size_t)n * (size_t)(n + 1);
}

/* Of all halves. */
static inline size_t tokens_doubles(const tokens *t)
{
    return (size_t)t->halves * kernel_doubles(t->n);
}

static inline double *kernel_diagonal(double *k, int n)
{
    return k + (size_t)n * (size_t)n;
}

/* out [n, n] = k with the mean over all pairs of tokens in its diagonal, each token paired with
 * itself included. */
void kernel_blocks(double *out, const double *k, const tokens *t);

/* out = W x, W' x with the sizes that make it a sum over tokens: out_a = sum_i P_ia x_i; x, out [n,
 * n], not the same. work [n + 1, n]. */
void sight_mean(double *restrict out,
                const double *restrict x,
                const sight *s,
                const tokens *t,
                double *restrict work);
void sight_spread(double *restrict out,
                  const double *restrict x,
                  const sight *s,
                  const tokens *t,
                  double *restrict work);
void transpose(double *out, const double *x, int n);

/* Means over tokens and over pairs. */
typedef struct kernel_mean {
    double q;     /* of x_i.x_i */
    double p;     /* of x_i.x_j over all T^2 pairs: the squared length of the mean token */
    double pairs; /* of x_i.x_j, i != j; 1 token: NaN */
} kernel_mean;

kernel_mean kernel_means(const double *k, const tokens *t);
/* Sum over all pairs of tokens of a sequence, each with itself included, of x_ij y_ij; over all
 * pairs of the batch, of two sequences too: all halves are read. */
double kernel_dot(const double *x, const double *y, const tokens *t);
double kernel_overlap(const double *x, const double *y, const tokens *t); /* the mean of it */
double kernel_dot_batch(const double *x, const double *y, const tokens *t);
/* |k_ij| <= sqrt(q_i q_j), the own ones of the second half too; q of the first half. */
void kernel_bound(double *k, const double *q, int n);
double kernel_cosine(const double *k, const tokens *t); /* of x_i.x_j/(|x_i| |x_j|), i != j */

#endif
