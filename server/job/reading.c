#include "server/job/reading.h"

int reading_named_row(const reading *r, const sweep_arm *arm, field_id id, int none)
{
    int row = none;
    for (int a = -1; a < r->sweep.n; a++) {
        const draft *d = a < 0 ? &r->base : &r->sweep.axes[a].values[arm->value[a]].given;
        if (d->given[id]) row = id == FIELD_model_preset ? d->preset : d->strategy;
    }
    return row;
}

int reading_strategy_row(const reading *r, const sweep_arm *arm, const draft *preset)
{
    int of_preset = preset->given[FIELD_strategy_name] ? preset->strategy : -1;
    return reading_named_row(r, arm, FIELD_strategy_name, of_preset);
}

bool reading_is_own(const reading *r, const sweep_arm *arm, int id)
{
    bool own = r->base.given[id];
    for (int a = 0; a < r->sweep.n; a++)
        own |= r->sweep.axes[a].values[arm->value[a]].given.given[id];
    return own;
}

void reading_deinit(reading *r)
{
    json_deinit(&r->notes);
    base_deinit(&r->under);
    sweep_deinit(&r->sweep);
}
