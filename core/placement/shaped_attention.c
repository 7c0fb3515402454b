/* Shaped attention: the identity plus what attention differs from uniform attention C,
 *
 *   A(x) = (alpha_h I + beta_h P - gamma_h C) v W_O'
 *   x' = lambda x + sqrt(1 - lambda^2) A(x),  y = lambda x' + sqrt(1 - lambda^2) M(x')
 *
 * alpha, beta, gamma learned per head, all start at 1; with W_Q = 0, P = C and A begins as the
 * identity on the values. lambda is strategy.alpha; null: 0, no skips. No norm.
 */
#include "core/placement/skipless.h"

#include "core/op/op.h"

#include <math.h>

static double lambda_of(const run_spec *spec)
{
    return isnan(spec->strategy.alpha) ? 0 : spec->strategy.alpha;
}

static int sublayer(builder *b, const branch *s, int x)
{
    double lambda = lambda_of(b->spec);
    int out = s->build(b, x);
    if (lambda == 0) return out;
    out = op_scale_build(b->g, out, sqrt(1 - lambda * lambda));
    graph_site(b->g, out, s->site);
    return op_mix_build(b->g, lambda, x, 1, out);
}

/* alpha v - gamma C v. */
static int beside(builder *b, int v)
{
    size_t heads = (size_t)b->spec->model.n_heads;
    int mean = op_token_mean_build(b->g, v, b->spec->model.mask == MASK_CAUSAL);
    int own = builder_gain(b, "attn.shape_alpha", heads, 1, v);
    return op_add_build(b->g, own,
                        builder_gain_as(b, "attn.shape_gamma", heads, 1, &gain_identity, -1, mean));
}

static int weighted(builder *b, int y, int own)
{
    size_t heads = (size_t)b->spec->model.n_heads;
    return op_add_build(b->g, own, builder_gain(b, "attn.shape_beta", heads, 1, y));
}

static double stream_of(const run_spec *spec, int layer)
{
    (void)layer;
    return lambda_of(spec);
}

static double branch_of(const run_spec *spec, int layer)
{
    (void)layer;
    return sqrt(1 - lambda_of(spec) * lambda_of(spec));
}

static err_code check(const run_spec *spec, error *err)
{
    double lambda = lambda_of(spec);
    if (!(fabs(lambda) < 1))
        return error_set(err, ERR_COMBINATION, "/strategy/alpha",
                         "alpha is %g; shaped_attention has sqrt(1 - alpha^2) on its branches, so "
                         "|alpha| must be less than 1",
                         lambda);
    return skipless_check(spec, "shaped_attention", err);
}

const placement placement_shaped_attention = {
    .entry = {.name = "shaped_attention",
              .summary =
                  "A(x) = (alpha I + beta P - gamma C) v, C uniform; x' = lambda x + sqrt(1 - "
                  "lambda^2) A(x), y likewise with M",
              .source = "arXiv:2306.17759; arXiv:2311.01906"},
    .uses = USES(ATTENTION) | USES(STREAM_ALPHA) | USES(INIT_FACTOR),
    .sublayer = sublayer,
    .theory = {.known = true, .mixing = RECIPE_IDENTITY, .alpha = stream_of, .beta = branch_of},
    .inside = {.beside = beside, .weighted = weighted},
    .init = skipless_init,
    .check = check,
};
