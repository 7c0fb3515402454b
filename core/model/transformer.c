/* The transformer: a stack of blocks of attention and MLP. Decoder (causal) or encoder. */
#include "core/model/model.h"
#include "core/model/stack.h"
#include "core/position/position.h"

static err_code check(const run_spec *spec, error *err)
{
    const spec_model *m = &spec->model;
    if (m->d_model % m->n_heads && m->head_dim == m->d_model / m->n_heads)
        return error_set(
            err, ERR_COMBINATION, "/model/n_heads",
            "d_model %d is not a multiple of n_heads %d; give head_dim if that is meant",
            m->d_model, m->n_heads);
    if (m->n_heads % m->n_kv_heads)
        return error_set(err, ERR_COMBINATION, "/model/n_kv_heads",
                         "n_heads %d is not a multiple of n_kv_heads %d", m->n_heads,
                         m->n_kv_heads);
    if (position_table[m->position]->rotates && m->head_dim % 2 && m->rope_fraction == 1)
        return error_set(err, ERR_COMBINATION, "/model/position",
                         "rope needs an even head width; head_dim is %d", m->head_dim);
    if (m->window && m->global_every == 1)
        return error_set(err, ERR_COMBINATION, "/model/window",
                         "window is %d, but with global_every 1 no block is local", m->window);
    return stack_check(spec, err);
}

const model model_transformer = {
    .entry = {.name = "transformer",
              .summary = "embedding, L blocks of attention and MLP by the placement, head; causal "
                         "or bidirectional",
              .source = "arXiv:1706.03762"},
    .has_theory = true,
    .uses = USES(PLACES),
    .check = check,
    .build = stack_build,
};
