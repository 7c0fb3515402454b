/* Truncated at 3 std. Matrices that read the stream, tables and head have std 1/sqrt(D); those that
 * write it 1/sqrt(2 fan_in l), l the block from 1: W_O 1/sqrt(2 D l), W_2 1/sqrt(2 F l). OLMo
 * writes D for W_O, whose fan in it is there. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    double std =
        p->kind == PARAM_OUTER ? 1 / sqrt(2 * init_fan_in(p) * p->layer) : init_width_std(s, 1);
    return init_truncated_rule(std, 3);
}

const init init_mitchell = {
    .entry = {.name = "mitchell",
              .summary = "std 1/sqrt(D), of W_O and W_2 in block l 1/sqrt(2 fan_in l); truncated "
                         "at 3 std",
              .source = "allenai/OLMo, olmo/model.py"},
    .rule = rule,
};
