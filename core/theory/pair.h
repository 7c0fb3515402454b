/* What an activation makes of a pair of Gaussians u, v with variances k1, k2 and covariance k12:
 *
 *   value(k1, k2, k12) = E f(u) f(v),   slope = E f'(u) f'(v) = d value/d k12
 *
 * Closed forms where there are some (relu, gelu, whose tanh form differs by less than 1e-4 and uses
 * it, erf), else Hermite series of the activation's own code (hermite.h). Gated activations have
 * the kernel of their gate; the product with the other half is taken by the caller.
 *
 * Sources: Cho & Saul 2009 (relu); Williams 1998 (erf); Tsuchida et al. 2021 (gelu), slope derived
 * by differentiation.
 */
#ifndef CORE_THEORY_PAIR_H
#define CORE_THEORY_PAIR_H

#include "core/activation/activation.h"
#include "core/theory/hermite.h"

typedef double pair_function(double k1, double k2, double k12);

typedef struct pair {
    pair_function *value, *slope;       /* NULL: series */
    double (*mean)(double k);           /* E f(u) */
    double (*f)(double), (*df)(double); /* series of these, */
    const activation *act;              /* or of an activation */
    hermite_rule rule;
} pair;

/* Of an activation, gated or not. */
void pair_of_activation(pair *p, const activation *a);
/* Of tanh and erf, which norms without statistics use. */
void pair_of_tanh(pair *p);
void pair_of_erf(pair *p);

double pair_mean(const pair *p, double k);
double pair_value(const pair *p, double k1, double k2, double k12);
double pair_slope(const pair *p, double k1, double k2, double k12);

/* A matrix of values and of slopes at once: k [n, n] with row length ld, q [n] its variances, both
 * times scale. values or slopes NULL: not wanted. series: room for 2 n of them, only where the pair
 * has no closed form. Symmetric in, symmetric out. own: k, values and slopes have a row [n] more,
 * of pairs that have both the variance q[i]. */
void pair_matrix(const pair *p,
                 const double *k,
                 const double *q,
                 int n,
                 double scale,
                 bool own,
                 double *values,
                 double *slopes,
                 hermite_series *series);
/* E f^2 and E f'^2 of one variance. */
double pair_square(const pair *p, double k);
double pair_square_slope(const pair *p, double k);

#endif
