/* x <- f(N(W x + b)): no sum, the norm before the activation, as batch normalization was proposed. */
#include "core/placement/skipless.h"

static int hidden_in(builder *b, int h)
{
    return builder_norm(b, SLOT_MLP_INNER, h);
}

/* One norm over both halves would weigh the gate by the other. */
static err_code check(const run_spec *spec, error *err)
{
    const activation *a = activation_table[spec->model.activation];
    if (!a->gate || norm_table[spec->strategy.norm]->is_identity) return ERR_OK;
    return error_set(err, ERR_COMBINATION, "/model/activation",
                     "%s has two halves and chain_pre_act norms one; take chain_post_act or an "
                     "activation without a gate",
                     a->entry.name);
}

const placement placement_chain_pre_act = {
    .entry = {.name = "chain_pre_act",
              .summary =
                  "x <- f(N(W x + b)): no sum, the norm before the activation; of MLPs alone",
              .source = "arXiv:1502.03167"},
    .uses = USES(CHAIN),
    .sublayer = skipless_sublayer,
    .theory = {.known = true, .no_skip = true, .mlp = {.pre = true}},
    .inside = {.hidden_in = hidden_in},
    .check = check,
};
