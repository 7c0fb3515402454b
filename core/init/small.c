/* The older name of normal. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    return init_normal.rule(s, p);
}

const init init_small = {
    .entry = {.name = "small",
              .summary = "N(0, std^2), std 0.02, for every matrix: the same as normal",
              .source = "constant"},
    .std = init_usual_std,
    .rule = rule,
};
