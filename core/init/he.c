/* Matrices of the blocks N(0, 2/fan_in), which keeps the mean square through ReLU; tables and head,
 * that no ReLU follows, N(0, 1/D). */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    if (init_is_table(p) || p->kind == PARAM_HEAD) return init_normal_rule(init_width_std(s, 1));
    return init_normal_rule(sqrt(2 / init_fan_in(p)));
}

const init init_he = {
    .entry = {.name = "he",
              .summary = "N(0, 2/fan_in), tables and head N(0, 1/D)",
              .source = "arXiv:1502.01852"},
    .rule = rule,
};
