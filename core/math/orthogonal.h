/* Random orthogonal matrices, drawn by columns.
 *
 * Q [m, n], m >= n, has orthonormal columns and is distributed as the Q of Z = Q R for a Z of
 * independent N(0, 1) with the diagonal of R made positive: uniformly (Haar) over all such
 * matrices. Z is never formed. What is left of column k of Z after k reflections is again a vector
 * of independent normals, so x_k of length m - k is drawn afresh, and with e the first unit vector
 *
 *     v_k = x_k + sign(x_k0) |x_k| e,  H_k = I - 2 v_k v_k' / v_k'v_k,  R_kk = -sign(x_k0) |x_k|
 *     column j of Q = sign(R_jj) H_0 H_1 ... H_j e_j
 *
 * where H_k leaves the first k entries alone. A column needs no other column, only the v_k, which
 * are drawn again for each panel of columns: the same bits whatever the panels and whoever runs
 * them, and no storage beyond the panel. About 2 m n^2 multiply-adds for all of Q.
 * Source: Stewart 1980, SIAM J. Numer. Anal. 17(3); Mezzadri 2006, arXiv:math-ph/0609050.
 */
#ifndef CORE_MATH_ORTHOGONAL_H
#define CORE_MATH_ORTHOGONAL_H

#include "core/base/rng.h"

enum { ORTHOGONAL_PANEL = 32 };

/* Doubles that orthogonal_panel works in, for columns of m entries. */
size_t orthogonal_doubles(size_t m);

/* Columns first .. first + width - 1, width <= ORTHOGONAL_PANEL: entry i of column first + j goes
 * to work[ORTHOGONAL_PANEL i + j]. Any thread, on work of its own. */
void orthogonal_panel(double *work, size_t m, size_t first, size_t width, const rng *r);

#endif
