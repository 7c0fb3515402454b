/* exp(s) for s <= 0, as softmax needs it, that never leaves the vector path: where the result is
 * below the normal numbers it is 0. glibc's vector exp handles such arguments one by one, thirteen
 * times slower, and logits that far apart are just what a network without norms makes.
 *
 * -Inf gives 0, NaN gives NaN. Written as products because the compiler folds a select of a
 * constant through exp, and the slow argument is back.
 */
#ifndef CORE_MATH_EXP_DOWN_H
#define CORE_MATH_EXP_DOWN_H

#include "core/real.h"

/* Low enough to give 0, and still a number, which -Inf times 0 would not be. */
#define EXP_DOWN_ZERO R(-1e30)

static inline __attribute__((always_inline)) real exp_down(real s)
{
    const real least = REAL_BITS == 64 ? R(-700.0) : R(-86.0);
    s = s < EXP_DOWN_ZERO ? EXP_DOWN_ZERO : s;
    real inside = s > least || s != s;
    return inside * EXP(s * inside);
}

#endif
