/* Optimizers: one file each under core/optimizer/, one row in optimizer.def. */
#ifndef CORE_OPTIMIZER_OPTIMIZER_H
#define CORE_OPTIMIZER_OPTIMIZER_H

#include "core/base/registry.h"
#include "core/real.h"
#include "core/spec.h"

enum { OPTIMIZER_STATES = 2 };

typedef struct update {
    const spec_train *train;
    int k;             /* this is update k = 1.. */
    double rate;       /* learning rate of this update */
    double grad_scale; /* clipping: gradients are multiplied by this */
    double decay;      /* weight decay of this parameter, 0 when it does not decay */
} update;

typedef struct optimizer {
    entry entry;
    bool normalizes; /* its updates do not grow with the gradient: parametrization.h */
    use_set uses;    /* bit per enum use: the fields of train that it reads */
    int n_states;    /* arrays like the parameters, starting at 0 */
    /* n entries; returns the sum of (w_new - w_old)^2 */
    double (*update)(const update *u, real *w, const real *grad, real *const *states, size_t n);
} optimizer;

#define OPTIMIZER(name) extern const optimizer optimizer_##name;
#include "core/optimizer/optimizer.def"
#undef OPTIMIZER

extern const optimizer *const optimizer_table[];
extern const registry optimizer_registry;

#endif
