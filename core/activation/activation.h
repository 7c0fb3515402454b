/* Activations: one file each under core/activation/, one row in activation.def.
 *
 * Pointwise ones have forward and backward. Gated ones take [gate | up] halves: y = f(gate) up, and
 * name the pointwise f.
 */
#ifndef CORE_ACTIVATION_ACTIVATION_H
#define CORE_ACTIVATION_ACTIVATION_H

#include "core/base/registry.h"
#include "core/real.h"

typedef struct activation {
    entry entry;
    const struct activation *gate; /* f of a gated activation, else NULL */
    void (*forward)(real *restrict y, const real *restrict x, size_t n);
    /* dx = dy f'(x); dx may be dy. With y not NULL also y = f(x), the same bits as forward. */
    void (*backward)(real *dx, const real *dy, const real *restrict x, real *restrict y, size_t n);
} activation;

#define ACTIVATION(name) extern const activation activation_##name;
#include "core/activation/activation.def"
#undef ACTIVATION

extern const activation *const activation_table[];
extern const registry activation_registry;

#endif
