/* N(0, std^2) truncated at 3 std; with init.depth_scale (its default) W_O and W_2 are divided by
 * sqrt(2 L). Megatron-LM scales so and does not truncate, which is gpt2; the cut is OLMo's. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)p;
    return init_truncated_rule(s->init.std, 3);
}

const init init_megatron = {
    .entry = {.name = "megatron",
              .summary = "N(0, std^2), std 0.02, truncated at 3 std; W_O and W_2 over sqrt(2L)",
              .source = "arXiv:1909.08053; truncation as in allenai/OLMo, olmo/model.py"},
    .depth_scale = true,
    .std = init_usual_std,
    .rule = rule,
};
