/* The four attention matrices N(0, 2/(5 D)); MLP Xavier normal, which is the same number where F =
 * 4 D; tables and head N(0, 1/D), as in the release without FixNorm (which ties the head). */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    if (init_is_table(p) || p->kind == PARAM_HEAD) return init_normal_rule(init_width_std(s, 1));
    return init_normal_rule(block_matrix_mixes(p->matrix) ? init_width_std(s, 2.0 / 5)
                                                          : init_xavier_std(p));
}

const init init_small_init = {
    .entry = {.name = "small_init",
              .summary = "attention N(0, 2/(5D)), MLP N(0, 2/(fan_in + fan_out)), tables and head "
                         "N(0, 1/D)",
              .source = "arXiv:1910.05895; tnq177/transformers_without_tears, layers.py, model.py"},
    .rule = rule,
};
