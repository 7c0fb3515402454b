/* Normalizations: one file each under core/norm/, one row in norm.def. */
#ifndef CORE_NORM_NORM_H
#define CORE_NORM_NORM_H

#include "core/base/catalog.h"
#include "core/real.h"

enum { NORM_STATS = 2 }; /* reals kept per (sub-)row for the backward pass */

/* What a norm may learn. GAIN and BIAS are its affine part and go with strategy.affine; ALPHA and
 * SHIFT are scalars that stay. */
typedef enum norm_param { NORM_GAIN, NORM_BIAS, NORM_ALPHA, NORM_SHIFT, NORM_PARAMS } norm_param;

struct batch_norm;

/* What theory knows of a norm (core/theory): what it makes of rows with Gaussian entries. */
typedef enum norm_law {
    NORM_LAW_NONE,
    NORM_LAW_RMS,    /* rows of rms law_rms (0: 1), eps beside the mean square */
    NORM_LAW_LENGTH, /* rows of length 1; a scalar gain starts at sqrt(n) */
    NORM_LAW_TANH,   /* tanh(alpha x), erf(alpha x) of each entry */
    NORM_LAW_ERF
} norm_law;

/* A norm of one row x [n]: the four functions below see one token (or one head of one token, when q
 * and k are normed per head); op norm walks the rows. CLONES static functions, so that they use the
 * widest registers. A call costs a few nanoseconds beside a row's tens.
 *
 *   stats  [NORM_STATS] what backward needs to know of the row, e.g. mean and 1/std
 *   p      [NORM_PARAMS] parameters by norm_param; NULL where there is none: gain 1, bias 0
 *   base   [n] or NULL: what dx is added to; may be dx itself
 *   dp     [NORM_PARAMS] sums of the parameters' gradients; NULL where there is none
 */
typedef struct norm {
    entry entry;
    bool is_identity; /* no node is built at all */
    unsigned has;     /* bit per norm_param */
    bool scalar_gain; /* the gain is one number, which starts at sqrt(n) */
    bool compressed;  /* of rows that store all entries but one: only where the stream does */
    bool pointwise;   /* each number by itself: keeps scale, no form for queries and keys */
    int warmup;       /* default of strategy.stat_warmup */
    use_set uses;     /* bit per enum use, beyond GAIN and NORM_ALPHA */
    norm_law law;
    double law_rms;
    bool law_centres;             /* the mean over the features is taken out */
    const struct norm *of_groups; /* this one over strategy.groups groups with gains of their own */
    const struct batch_norm *batch; /* statistics over tokens (op batch_norm); then no functions */
    void (*stats)(real *stats, const real *x, size_t n, double eps);
    void (*apply)(
        real *y, const real *stats, const real *x, const real *const p[NORM_PARAMS], size_t n);
    /* dx = base + dLoss/dx */
    void (*input)(real *dx,
                  const real *base,
                  const real *dy,
                  const real *x,
                  const real *stats,
                  const real *const p[NORM_PARAMS],
                  size_t n);
    /* The same where stats[1] is a constant (strategy.sigma frozen); NULL: cannot be frozen.
     * stats[1] is then 1/deviation, and live the stats function makes it so. */
    void (*frozen_input)(real *dx,
                         const real *base,
                         const real *dy,
                         const real *x,
                         const real *stats,
                         const real *const p[NORM_PARAMS],
                         size_t n);
    /* dp[i] += ; only called when the norm has a parameter */
    void (*params)(double *const dp[NORM_PARAMS],
                   const real *dy,
                   const real *x,
                   const real *stats,
                   const real *const p[NORM_PARAMS],
                   size_t n);
} norm;

#define NORM(name) extern const norm norm_##name;
#include "core/norm/norm.def"
#undef NORM

extern const norm *const norm_table[];
extern const registry norm_registry;

bool norm_fits_head(const norm *n); /* has it a form for queries, keys and values? */

#endif
