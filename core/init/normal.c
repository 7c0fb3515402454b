/* Every matrix and table N(0, std^2) with the one std of init.std, nothing scaled by depth. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)p;
    return init_normal_rule(s->init.std);
}

const init init_normal = {
    .entry = {.name = "normal",
              .summary = "N(0, std^2), std 0.02, for every matrix",
              .source = "default of the Llama code of arXiv:2412.13795 and arXiv:2502.05795"},
    .std = init_usual_std,
    .rule = rule,
};
