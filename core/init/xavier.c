/* N(0, 2/(fan_in + fan_out)); q, k, v and gate, up each a map of its own; of a table the fans are
 * its rows and D. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)s;
    return init_normal_rule(init_xavier_std(p));
}

const init init_xavier = {
    .entry = {.name = "xavier",
              .summary = "N(0, 2/(fan_in + fan_out))",
              .source = "Glorot & Bengio 2010"},
    .rule = rule,
};
