/* Long vectors that are like the parameters: entry i belongs to entry i of the block of all
 * parameters, of which [first, end) takes part and the rest is left alone.
 *
 * Work is cut into fixed pieces and sums are added up in their order, in double: results do not
 * depend on the number of threads. Gradients are those of the last backward pass, with the plan's
 * keep_param_grads; a parameter that has none counts as zero.
 */
#ifndef CORE_EXTRA_FLAT_H
#define CORE_EXTRA_FLAT_H

#include "core/base/rng.h"
#include "core/graph/exec.h"

typedef struct flat {
    exec *x;
    size_t first, end;
    double *sums; /* one for each piece of all parameters */
} flat;

void flat_layout(flat *f, const plan *p, arena *a);

double flat_dot(const flat *f, const real *a, const real *b);
void flat_scale(const flat *f, real *y, double by);
void flat_add(const flat *f, real *y, double by, const real *x); /* y += by x */
void flat_normal(const flat *f, real *y, const rng *random);     /* N(0, 1), number i is entry i */
void flat_gradient(const flat *f, real *y);
/* How far v stretches w: the largest |v_r|/|w_r| over rows of matrices and over vectors (cut where
 * the pieces are); a row counts as at least as long as a tenth of `usual`, the root mean square of
 * an entry, makes it. */
double flat_stretch(const flat *f, const real *w, const real *v, double usual);
/* y = (y - gradient) by */
void flat_gradient_less(const flat *f, real *y, double by);
/* The weights become w + step v. */
void flat_displace(const flat *f, const real *w, double step, const real *v);

#endif
