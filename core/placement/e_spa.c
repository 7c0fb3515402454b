/* E-SPA: attention without skips that carries exponentially decaying token kernels,
 *
 *   x' = D_l softmax(q k'/sqrt(d_k) + B_l) v W_O',  y = M(x')
 *
 * D_l and B_l such that at the start, with W_Q = 0, the kernel of x_l is exp(-gamma_l |i-j|)
 * (core/math/target_kernel.h). The same for every head. No norm.
 */
#include "core/placement/skipless.h"

static void fill(const graph *g, const node *n, real *out, double *work)
{
    skipless_fill(g, n, TARGET_EXPONENTIAL, g->spec->strategy.gamma_last, out, work);
}

static size_t work(const run_spec *spec)
{
    return skipless_work(spec, TARGET_EXPONENTIAL);
}

static int weighted(builder *b, int y, int beside)
{
    (void)beside;
    return skipless_rows(b, y, fill, TARGET_EXPONENTIAL);
}

static err_code check(const run_spec *spec, error *err)
{
    const double least = 1e-9;
    if (spec->model.mask == MASK_BIDIRECTIONAL && spec->strategy.gamma_last < least)
        return error_set(err, ERR_COMBINATION, "/strategy/gamma_last",
                         "gamma_last is %g; the kernel of a bidirectional model has no usable root "
                         "below %g",
                         spec->strategy.gamma_last, least);
    return skipless_check(spec, "e_spa", err);
}

static double end_of(const run_spec *spec)
{
    return spec->strategy.gamma_last;
}

const placement placement_e_spa = {
    .entry = {.name = "e_spa",
              .summary = "x' = D_l softmax(q k'/sqrt(d_k) + B_l) v, y = M(x'): no skips, "
                         "exponential target kernels",
              .source = "arXiv:2302.10322"},
    .uses = USES(ATTENTION) | USES(GAMMA_LAST) | USES(INIT_FACTOR),
    .sublayer = skipless_sublayer,
    .theory = {.known = true,
               .no_skip = true,
               .mixing = RECIPE_TARGET,
               .family = TARGET_EXPONENTIAL,
               .target_end = end_of},
    .inside = {.logit_bias = fill, .bias_work = work, .weighted = weighted},
    .init = skipless_init,
    .check = check,
};
