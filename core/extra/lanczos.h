/* Ends of the spectrum of the tridiagonal matrix that the Lanczos process leaves, and what stands
 * around the process.
 *
 * T has diagonal diag[0..n-1] and off-diagonal off[0..n-2]. Its largest (smallest) eigenvalue comes
 * from inside: it is at most (at least) that of the operator, and reaches it after as many steps as
 * there are dimensions. NaN in gives NaN. Any thread; allocates nothing.
 * Source: Golub & Van Loan, Matrix Computations, 8.4 (bisection) and 10.1.
 */
#ifndef CORE_EXTRA_LANCZOS_H
#define CORE_EXTRA_LANCZOS_H

#include <stdbool.h>

double lanczos_eigenvalue(const double *diag, const double *off, int n, bool largest);
/* The unit eigenvector [n] of the largest eigenvalue; work [n]. */
void lanczos_vector(const double *diag, const double *off, int n, double *out, double *work);

#endif
