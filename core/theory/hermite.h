/* Expansions of a function of a Gaussian in Hermite polynomials, for activations whose pair kernel
 * has no closed form.
 *
 *   f(sqrt(k) z) = sum_n a_n(k) h_n(z),  h_n = He_n/sqrt(n!),  a_n(k) = E f(sqrt(k) z) h_n(z)
 *   E f(u) f(v) = sum_n a_n(k1) a_n(k2) c^n  for Gaussian u, v of variances k1, k2, correlation c
 *
 * (Mehler). Sums end at HERMITE_TERMS; what is missing of E f^2 is carried by the last power, so
 * that c = 1 is exact. Integrals by Gauss-Legendre quadrature on both sides of 0, where activations
 * have their kinks and steep functions change: coefficients to 1e-10 for k up to 1 and 1e-8 (tanh')
 * up to 4. Gauss-Hermite nodes would leave 1e-6 and 4e-3 there, and 1e-2 of SELU's slopes.
 */
#ifndef CORE_THEORY_HERMITE_H
#define CORE_THEORY_HERMITE_H

enum { HERMITE_NODES = 64, HERMITE_TERMS = 32 };

typedef struct hermite_rule {
    double x[HERMITE_NODES], w[HERMITE_NODES]; /* of z ~ N(0, 1); the weights sum to 1 */
} hermite_rule;

typedef struct hermite_series {
    double a[HERMITE_TERMS];
    double mean, square; /* E f, E f^2 */
    double rest;         /* sqrt(E f^2 - sum a^2) */
} hermite_series;

void hermite_rule_init(hermite_rule *r);
/* f at the nodes: f[i] = f(sqrt(k) x_i). */
void hermite_expand(const hermite_rule *r, const double f[HERMITE_NODES], hermite_series *out);
double hermite_pair(const hermite_series *a, const hermite_series *b, double c);

#endif
