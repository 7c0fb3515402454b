/* SGD with momentum: g = scale grad + decay w, v = momentum v + g, w -= rate v. No dampening, no
 * Nesterov. */
#include "core/optimizer/optimizer.h"

CLONES static double run(real *restrict w,
                         const real *restrict grad,
                         real *restrict v,
                         real scale,
                         real decay,
                         real momentum,
                         real rate,
                         size_t n)
{
    double moved = 0;
#pragma omp simd reduction(+ : moved)
    for (size_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (scale * grad[i] + decay * w[i]);
        real next = w[i] - rate * v[i], step = next - w[i];
        moved += (double)step * (double)step;
        w[i] = next;
    }
    return moved;
}

static double update_sgd(const update *u, real *w, const real *grad, real *const *states, size_t n)
{
    return run(w, grad, states[0], (real)u->grad_scale, (real)u->decay, (real)u->train->momentum,
               (real)u->rate, n);
}

const optimizer optimizer_sgd = {
    .entry = {.name = "sgd",
              .summary = "v = momentum v + g + decay w; w -= lr v",
              .source = "Polyak 1964"},
    .uses = USES(MOMENTUM),
    .n_states = 1,
    .update = update_sgd,
};
