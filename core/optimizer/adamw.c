/* AdamW: w *= 1 - rate decay; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
 *   w -= rate/(1-b1^k) m / (sqrt(v/(1-b2^k)) + eps).  Source: arXiv:1711.05101 (decoupled decay).
 */
#include "core/optimizer/optimizer.h"

typedef struct constants {
    real scale, shrink, b1, b2, step, correction, eps;
} constants;

CLONES static double run(real *restrict w,
                         const real *restrict grad,
                         real *restrict m,
                         real *restrict v,
                         constants c,
                         size_t n)
{
    double moved = 0;
#pragma omp simd reduction(+ : moved)
    for (size_t i = 0; i < n; i++) {
        real g = c.scale * grad[i];
        m[i] = c.b1 * m[i] + (1 - c.b1) * g;
        v[i] = c.b2 * v[i] + (1 - c.b2) * g * g;
        real next = w[i] * c.shrink - c.step * m[i] / (SQRT(v[i]) * c.correction + c.eps);
        real step = next - w[i];
        moved += (double)step * (double)step;
        w[i] = next;
    }
    return moved;
}

static double
update_adamw(const update *u, real *w, const real *grad, real *const *states, size_t n)
{
    const spec_train *t = u->train;
    constants c = {
        .scale = (real)u->grad_scale,
        .shrink = (real)(1 - u->rate * u->decay),
        .b1 = (real)t->beta1,
        .b2 = (real)t->beta2,
        .step = (real)(u->rate / (1 - pow(t->beta1, u->k))),
        .correction = (real)(1 / sqrt(1 - pow(t->beta2, u->k))),
        .eps = (real)t->eps,
    };
    return run(w, grad, states[0], states[1], c, n);
}

const optimizer optimizer_adamw = {
    .entry = {.name = "adamw",
              .summary = "Adam with bias correction and decoupled weight decay",
              .source = "arXiv:1711.05101"},
    .normalizes = true,
    .uses = USES(MOMENTS),
    .n_states = 2,
    .update = update_adamw,
};
