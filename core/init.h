/* Inits: one file each under core/init/, one row in init.def. All matrices are normal with mean 0;
 * gains start at 1, biases at 0. */
#ifndef CORE_INIT_H
#define CORE_INIT_H

#include "core/base/team.h"
#include "core/graph.h"

typedef struct init {
    entry entry;
    bool depth_scale;                                     /* default of init.depth_scale */
    double (*std)(const spec_init *init, const param *p); /* of a matrix [out, in] */
} init;

#define INIT(name) extern const init init_##name;
#include "core/init.def"
#undef INIT

extern const init *const init_table[];
extern const registry init_registry;

double init_std(const run_spec *spec, const param *p); /* with depth scale and the two overrides */
/* Fills all parameters; the same numbers for any team. */
void init_fill(const graph *g, real *params, team *t);

#endif
