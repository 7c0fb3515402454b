/* Matrices of the blocks and an untied head N(0, 1/fan_in), tables N(0, 1). PaLM ties the head and
 * divides the logits by sqrt(D). */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)s;
    return init_normal_rule(init_is_table(p) ? 1 : sqrt(1 / init_fan_in(p)));
}

const init init_palm = {
    .entry = {.name = "palm",
              .summary = "N(0, 1/fan_in), tables N(0, 1)",
              .source = "arXiv:2204.02311 (from memory)"},
    .rule = rule,
};
