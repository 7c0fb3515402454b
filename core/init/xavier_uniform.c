/* U(-b, b), b = sqrt(6/(fan_in + fan_out)): the variance of xavier; of a table the fans are its
 * rows and D. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)s;
    return init_uniform_rule(sqrt(3.0) * init_xavier_std(p));
}

const init init_xavier_uniform = {
    .entry = {.name = "xavier_uniform",
              .summary = "U(-b, b), b = sqrt(6/(fan_in + fan_out))",
              .source = "Glorot & Bengio 2010"},
    .rule = rule,
};
