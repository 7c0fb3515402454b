/* Normalizations: one file each under core/norm/, one row in norm.def. */
#ifndef CORE_NORM_H
#define CORE_NORM_H

#include "core/base/registry.h"
#include "core/real.h"

enum { NORM_STATS = 2 }; /* reals kept per (sub-)row for the backward pass */

/* A norm of one row x [n]: the four functions below see one token (or one head of one token, when q
 * and k are normed per head); op norm walks the rows. CLONES static functions, so that they use the
 * widest registers. A call costs a few nanoseconds beside a row's tens.
 *
 *   stats  [NORM_STATS] what backward needs to know of the row, e.g. mean and 1/std
 *   gain, bias [n] or NULL: 1 and 0
 *   base   [n] or NULL: what dx is added to; may be dx itself
 */
typedef struct norm {
    entry entry;
    bool is_identity; /* no node is built at all */
    bool has_gain, has_bias;
    void (*stats)(real *stats, const real *x, size_t n, double eps);
    void (*apply)(
        real *y, const real *stats, const real *x, const real *gain, const real *bias, size_t n);
    /* dx = base + dLoss/dx */
    void (*input)(real *dx,
                  const real *base,
                  const real *dy,
                  const real *x,
                  const real *stats,
                  const real *gain,
                  size_t n);
    /* dgain += , dbias += ; only called when the norm has a gain */
    void (*params)(
        double *dgain, double *dbias, const real *dy, const real *x, const real *stats, size_t n);
} norm;

#define NORM(name) extern const norm norm_##name;
#include "core/norm.def"
#undef NORM

extern const norm *const norm_table[];
extern const registry norm_registry;

#endif
