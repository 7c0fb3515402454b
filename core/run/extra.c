#include "core/run/extra.h"

#include "core/probe/gauge.h"

#define EXTRA(name) extern const extra extra_##name;
#include "core/run/extra.def"
#undef EXTRA

const extra *const extra_table[EXTRA_COUNT] = {
#define EXTRA(name) &extra_##name,
#include "core/run/extra.def"
#undef EXTRA
};

bool extra_wanted(const run_spec *spec, const extra *e)
{
    return spec->measure.n_steps && gauge_wanted(spec, e->group);
}

bool extra_any(const run_spec *spec)
{
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (extra_wanted(spec, extra_table[i])) return true;
    return false;
}

bool extra_param_grads(const run_spec *spec)
{
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (extra_table[i]->param_grads && extra_wanted(spec, extra_table[i])) return true;
    return false;
}

use_set extra_uses(const run_spec *spec)
{
    use_set uses = 0;
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (gauge_wanted(spec, extra_table[i]->group)) uses |= extra_table[i]->uses;
    return uses;
}

uint64_t extra_rows(const run_spec *spec)
{
    int wanted = 0;
    for (int i = 0; i < EXTRA_COUNT; i++) wanted += gauge_count_wanted(spec, extra_table[i]->group);
    return (uint64_t)wanted * ((uint64_t)spec->depth + 1);
}
