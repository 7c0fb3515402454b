/* N(0, 1/fan_in), but W_Q N(0, 1/(D d_k)): the 1/sqrt(d_k) that T5's attention does not divide by
 * (model.logit_scale one); tables and an untied head N(0, 1). */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    if (init_is_table(p) || p->kind == PARAM_HEAD) return init_normal_rule(1);
    double fan = init_fan_in(p) * (p->matrix == MATRIX_query ? s->model.head_dim : 1);
    return init_normal_rule(sqrt(1 / fan));
}

const init init_t5 = {
    .entry = {.name = "t5",
              .summary = "N(0, 1/fan_in), W_Q N(0, 1/(D d_k)), tables and head N(0, 1)",
              .source = "arXiv:1910.10683; Hugging Face transformers, modeling_t5.py"},
    .rule = rule,
};
