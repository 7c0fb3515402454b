/* Every matrix and table N(0, std^2) truncated at 3 std, nothing scaled by depth. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)p;
    return init_truncated_rule(s->init.std, 3);
}

const init init_truncated_normal = {
    .entry = {.name = "truncated_normal",
              .summary = "N(0, std^2), std 0.02, truncated at 3 std, for every matrix",
              .source = "OLMo 2, arXiv:2501.00656; configs/official-1124 of allenai/OLMo"},
    .std = init_usual_std,
    .rule = rule,
};
