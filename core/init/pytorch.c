/* What nn.Linear and nn.Embedding do by themselves: matrices and head U(-b, b), b = 1/sqrt(fan_in),
 * which is a third of lecun's variance; tables N(0, 1). Biases, which PyTorch draws from the same
 * interval, start at 0 here. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)s;
    return init_is_table(p) ? init_normal_rule(1) : init_uniform_rule(sqrt(1 / init_fan_in(p)));
}

const init init_pytorch = {
    .entry = {.name = "pytorch",
              .summary = "U(-b, b), b = 1/sqrt(fan_in), tables N(0, 1); biases 0",
              .source = "PyTorch, nn.Linear and nn.Embedding, reset_parameters (from memory)"},
    .rule = rule,
};
