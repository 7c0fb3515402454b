/* Every matrix and table N(0, std^2), std 0.02; with init.depth_scale (its default) W_O and W_2 are
 * divided by sqrt(2 L). The released code starts positions at 0.01 (from memory):
 * init.position_std. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)p;
    return init_normal_rule(s->init.std);
}

const init init_gpt2 = {
    .entry = {.name = "gpt2",
              .summary = "N(0, std^2), std 0.02; W_O and W_2 over sqrt(2L)",
              .source = "Radford et al. 2019; the rule as in nanoGPT"},
    .depth_scale = true,
    .std = init_usual_std,
    .rule = rule,
};
