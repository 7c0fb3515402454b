/* Every matrix and table N(0, std^2) truncated at 2 std, where TensorFlow's truncated normal ends:
 * the standard deviation that comes out is 0.88 std. Ports to PyTorch do not truncate: normal. */
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    (void)p;
    return init_truncated_rule(s->init.std, 2);
}

const init init_bert = {
    .entry = {.name = "bert",
              .summary = "N(0, std^2), std 0.02, truncated at 2 std, for every matrix",
              .source = "arXiv:1810.04805; the cut at 2 std from memory"},
    .std = init_usual_std,
    .rule = rule,
};
