/* small_init with word vectors U(-0.01, 0.01), for strategy.fixnorm, which scales them to one
 * length: only their directions matter then. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    return p->kind == PARAM_EMBED ? init_uniform_rule(0.01) : init_small_init.rule(s, p);
}

const init init_fixnorm = {
    .entry = {.name = "fixnorm",
              .summary = "small_init with token embeddings U(-0.01, 0.01)",
              .source = "arXiv:1910.05895; tnq177/transformers_without_tears, model.py"},
    .rule = rule,
};
