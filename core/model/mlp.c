/* A stack of dense layers: what a network is without anything that mixes tokens. On vectors (gaussian
 * inputs) each row is a sample; on tokens each place sees itself alone. */
#include "core/model/model.h"
#include "core/model/stack.h"
#include "core/network/slot.h"
#include "core/position/position.h"

static err_code check(const run_spec *spec, error *err)
{
    if (slot_mixer(spec))
        return error_set(err, ERR_COMBINATION, "/model/mixer",
                         "%s: the family mlp mixes no tokens; allowed: none",
                         mixer_registry.rows[spec->model.mixer]->name);
    return stack_check(spec, err);
}

static void defaults(run_spec *spec)
{
    spec->model.mixer = registry_find(&mixer_registry, "none");
    spec->model.mlp = registry_find(&mlp_registry, "layer");
    spec->model.position = registry_find(&position_registry, "none");
}

const model model_mlp = {
    .entry = {.name = "mlp",
              .summary = "a stack of dense layers, with or without residual sums; no token sees "
                         "another",
              .source = "arXiv:1706.02515"},
    .has_theory = true,
    .defaults = defaults,
    .check = check,
    .build = stack_build,
};
