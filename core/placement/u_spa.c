/* U-SPA: attention without skips that carries uniform token kernels, as e_spa with
 * Sigma_l = (1-rho_l) I + rho_l 11'.
 */
#include "core/placement/skipless.h"

static void fill(const graph *g, const node *n, real *out, double *work)
{
    skipless_fill(g, n, TARGET_UNIFORM, g->spec->strategy.rho_last, out, work);
}

static size_t work(const run_spec *spec)
{
    return skipless_work(spec, TARGET_UNIFORM);
}

static int weighted(builder *b, int y, int beside)
{
    (void)beside;
    return skipless_rows(b, y, fill, TARGET_UNIFORM);
}

static err_code check(const run_spec *spec, error *err)
{
    return skipless_check(spec, "u_spa", err);
}

static double end_of(const run_spec *spec)
{
    return spec->strategy.rho_last;
}

const placement placement_u_spa = {
    .entry = {.name = "u_spa",
              .summary = "x' = D_l softmax(q k'/sqrt(d_k) + B_l) v, y = M(x'): no skips, uniform "
                         "target kernels",
              .source = "arXiv:2302.10322"},
    .uses = USES(ATTENTION) | USES(RHO_LAST) | USES(INIT_FACTOR),
    .sublayer = skipless_sublayer,
    .theory = {.known = true,
               .no_skip = true,
               .mixing = RECIPE_TARGET,
               .family = TARGET_UNIFORM,
               .target_end = end_of},
    .inside = {.logit_bias = fill, .bias_work = work, .weighted = weighted},
    .init = skipless_init,
    .check = check,
};
