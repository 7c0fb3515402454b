/* Value-SkipInit: attention without skips that begins as the identity on the values,
 *
 *   x' = (alpha I + beta P) v W_O',  P = softmax(q k'/sqrt(d_k)),  y = M(x')
 *
 * alpha, beta learned numbers that start at 1 and 0; W_V, W_O orthogonal. No norm.
 */
#include "core/placement/skipless.h"

#include "core/op/op.h"

static int beside(builder *b, int v)
{
    return builder_gain(b, "attn.skip_alpha", 1, 1, v);
}

static int weighted(builder *b, int y, int own)
{
    return op_add_build(b->g, own, builder_gain(b, "attn.skip_beta", 1, 0, y));
}

static init_rule start(const run_spec *spec, const param *p, init_rule r)
{
    (void)spec;
    return skipless_orthogonal(p, r);
}

static err_code check(const run_spec *spec, error *err)
{
    return skipless_check(spec, "value_skipinit", err);
}

const placement placement_value_skipinit = {
    .entry = {.name = "value_skipinit",
              .summary =
                  "x' = (alpha I + beta softmax(q k'/sqrt(d_k))) v, alpha 1, beta 0; y = M(x')",
              .source = "arXiv:2302.10322"},
    .uses = USES(ATTENTION) | USES(INIT_FACTOR),
    .sublayer = skipless_sublayer,
    .theory = {.known = true, .no_skip = true, .mixing = RECIPE_IDENTITY},
    .inside = {.beside = beside, .weighted = weighted},
    .init = start,
    .check = check,
};
