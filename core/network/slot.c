#include "core/network/slot.h"

#define SKIP(name, branch, summary, source)
#define BRANCH(name, branch, summary, source) branch,
#define ENTRY(name_, branch, summary_, source_)                                                    \
    &(const entry){.name = #name_, .summary = summary_, .source = source_},

static const branch *const mixers[] = {
#define MIXER BRANCH
#define MLP SKIP
#include "core/network/slot.def"
#undef MIXER
#undef MLP
};

static const branch *const mlps[] = {
#define MIXER SKIP
#define MLP BRANCH
#include "core/network/slot.def"
#undef MIXER
#undef MLP
};

static const entry *const mixer_rows[] = {
#define MIXER ENTRY
#define MLP SKIP
#include "core/network/slot.def"
#undef MIXER
#undef MLP
};

static const entry *const mlp_rows[] = {
#define MIXER SKIP
#define MLP ENTRY
#include "core/network/slot.def"
#undef MIXER
#undef MLP
};

const registry mixer_registry = {"mixers", "what mixes tokens in a block", mixer_rows,
                                 sizeof mixer_rows / sizeof *mixer_rows};
const registry mlp_registry = {"mlps", "the MLP of a block", mlp_rows,
                               sizeof mlp_rows / sizeof *mlp_rows};

const branch *slot_mixer(const run_spec *spec)
{
    return mixers[spec->model.mixer];
}

const branch *slot_mlp(const run_spec *spec)
{
    return mlps[spec->model.mlp];
}

int slot_branches(const branch *out[SLOTS], const run_spec *spec)
{
    int n = 0;
    if (slot_mixer(spec)) out[n++] = slot_mixer(spec);
    if (slot_mlp(spec)) out[n++] = slot_mlp(spec);
    return n;
}

int slot_units(const run_spec *spec)
{
    const branch *mlp = slot_mlp(spec);
    return mlp && mlp->one_matrix ? spec->model.d_model : spec->model.d_ff;
}
