/* As megatron, with two differences: an untied output matrix has std 1/sqrt(D), as in OLMo's code,
 * and init.std is sqrt(2/(5 D)) unless it is given. That is the 0.0139754 which HybridNorm's
 * released configuration writes out for D = 2048; OLMo's code has no default of its own for this
 * scheme. */
#include "core/init/init.h"

static double std(const run_spec *s)
{
    return init_width_std(s, 2.0 / 5);
}

static init_rule rule(const run_spec *s, const param *p)
{
    return init_truncated_rule(p->kind == PARAM_HEAD ? init_width_std(s, 1) : s->init.std, 3);
}

const init init_full_megatron = {
    .entry = {.name = "full_megatron",
              .summary = "N(0, std^2), std sqrt(2/(5D)), truncated at 3 std; W_O and W_2 over "
                         "sqrt(2L); head N(0, 1/D)",
              .source = "allenai/OLMo, olmo/model.py; std of arXiv:2503.04598's configuration"},
    .depth_scale = true,
    .std = std,
    .rule = rule,
};
