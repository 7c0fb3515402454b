/* Every matrix and table N(0, 1/(2 D L)). */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)p;
    return init_normal_rule(sqrt(1 / (2.0 * s->model.d_model * s->depth)));
}

const init init_tiny_init = {
    .entry = {.name = "tiny_init",
              .summary = "N(0, 1/(2 D L)) for every matrix",
              .source = "Pangu Ultra, arXiv:2504.07866 (from memory)"},
    .rule = rule,
};
