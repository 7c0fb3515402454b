/* Xavier uniform; q, k and v, which are maps of their own, with gain 1/sqrt(2), as if they were one
 * [3D, D] matrix; tables and head N(0, 1/D), for embeddings that are multiplied by sqrt(D) on
 * lookup. The MLP is Xavier uniform as in the releases of 2019 (from memory), which Fixup, T-Fixup
 * and Admin build on; later ones leave it to PyTorch. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    if (init_is_table(p) || p->kind == PARAM_HEAD) return init_normal_rule(init_width_std(s, 1));
    bool joint = block_matrix_mixes(p->matrix) && p->kind == PARAM_INNER;
    return init_uniform_rule(sqrt(joint ? 1.5 : 3.0) * init_xavier_std(p));
}

const init init_fairseq = {
    .entry = {.name = "fairseq",
              .summary = "U(-b, b), b = sqrt(6/(fan_in + fan_out)), over sqrt(2) for q, k and v; "
                         "tables and head N(0, 1/D)",
              .source = "fairseq, modules/multihead_attention.py; MLP from memory"},
    .rule = rule,
};
