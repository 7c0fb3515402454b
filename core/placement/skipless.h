/* What placements without skips share: y = M(A(x)), no norm, no sum. */
#ifndef CORE_PLACEMENT_SKIPLESS_H
#define CORE_PLACEMENT_SKIPLESS_H

#include "core/init/init.h"
#include "core/math/target_kernel.h"
#include "core/placement/placement.h"

int skipless_sublayer(builder *b, const branch *s, int x);

/* ERR_COMBINATION for what the mixing of values cannot do: shared key-value heads, windows; and for
 * cosines of queries that are 0. */
err_code skipless_check(const run_spec *spec, const char *name, error *err);

/* D_l and B_l of a family of target kernels, for the hooks of a placement. */
int skipless_rows(builder *b, int y, constants_fill *fill, target_family family);
void skipless_fill(
    const graph *g, const node *n, target_family family, double end, real *out, double *work);
size_t skipless_work(const run_spec *spec, target_family family);

/* W_Q = 0, W_V and W_O orthogonal; the second one only the latter. */
init_rule skipless_init(const run_spec *spec, const param *p, init_rule r);
init_rule skipless_orthogonal(const param *p, init_rule r);

#endif
