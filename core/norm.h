/* Normalizations: one file each under core/norm/, one row in norm.def. */
#ifndef CORE_NORM_H
#define CORE_NORM_H

#include "core/base/registry.h"
#include "core/real.h"

enum { NORM_STATS = 2 }; /* reals kept per (sub-)row for the backward pass */

/* Rows to normalize. Row r, group g is x + r ldx + g width, width entries. */
typedef struct norm_rows {
    size_t rows, groups, width, ldx, ldy;
    const real *x;
    real *stats;      /* [rows groups, NORM_STATS] written forward, read backward */
    const real *gain; /* [width] or NULL: 1 */
    const real *bias; /* [width] or NULL: 0 */
    double eps;
} norm_rows;

typedef struct norm {
    entry entry;
    bool is_identity; /* no node is built at all */
    bool has_gain, has_bias;
    void (*forward)(const norm_rows *r, real *y);
    /* y again from the stats that forward left, the same bits. */
    void (*remake)(const norm_rows *r, real *y);
    /* dx = base + own term (base NULL: 0; dx NULL: not wanted; base may equal dx). dgain and dbias
     * [width] are added to; NULL when there are no parameters. dx has ldx, dy has ldy. */
    void (*backward)(const norm_rows *r,
                     real *dx,
                     const real *base,
                     const real *dy,
                     double *dgain,
                     double *dbias);
} norm;

#define NORM(name) extern const norm norm_##name;
#include "core/norm.def"
#undef NORM

extern const norm *const norm_table[];
extern const registry norm_registry;

#endif
