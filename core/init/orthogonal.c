/* Matrices of the blocks: init.gain times orthonormal rows, or columns where those are fewer;
 * tables and head N(0, 1/D). */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    if (init_is_table(p) || p->kind == PARAM_HEAD) return init_normal_rule(init_width_std(s, 1));
    return init_orthogonal_rule(1);
}

const init init_orthogonal = {
    .entry = {.name = "orthogonal",
              .summary = "W W' = I or W' W = I, uniformly; tables and head N(0, 1/D)",
              .source = "arXiv:1312.6120"},
    .rule = rule,
};
