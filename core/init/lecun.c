/* N(0, 1/fan_in); tables have fan_in D. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)s;
    return init_normal_rule(sqrt(1.0 / init_fan_in(p)));
}

const init init_lecun = {
    .entry = {.name = "lecun",
              .summary = "N(0, 1/fan_in), tables N(0, 1/D)",
              .source = "LeCun et al. 1998, Efficient BackProp"},
    .rule = rule,
};
