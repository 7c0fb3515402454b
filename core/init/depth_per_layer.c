/* torchtitan's Llama: W_O, W_2 and the ungated half of a gated MLP N(0, (std/sqrt(2 l))^2), l the
 * block from 1; q, k, v and the gate (or the one up matrix) N(0, std^2); head 1/sqrt(D) truncated
 * at 3 std; embeddings N(0, 1), or as the head where that is tied. Its truncated normals in the
 * blocks end at 2, which is 100 std: plain normals here. Positions, which it has not, as the
 * embeddings. */
#include "core/activation/activation.h"
#include "core/init/init.h"

static init_rule rule(const run_spec *s, const param *p)
{
    bool gated = activation_table[s->model.activation]->gate != NULL;
    if (p->kind == PARAM_HEAD || (p->kind == PARAM_EMBED && s->model.tied))
        return init_truncated_rule(init_width_std(s, 1), 3);
    if (init_is_table(p)) return init_normal_rule(1);
    bool scaled = p->kind == PARAM_OUTER || (gated && p->matrix == MATRIX_up);
    return init_normal_rule(scaled ? s->init.std / sqrt(2.0 * p->layer) : s->init.std);
}

const init init_depth_per_layer = {
    .entry = {.name = "depth_per_layer",
              .summary = "N(0, std^2), std 0.02; W_O, W_2 and a gated MLP's up matrix of block l "
                         "over sqrt(2 l); head N(0, 1/D) cut at 3 std, tables N(0, 1)",
              .source = "pytorch/torchtitan, models/llama3"},
    .std = init_usual_std,
    .rule = rule,
};
