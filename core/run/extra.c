#include "core/run/extra.h"

#include <string.h>

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
    if (!spec->measure.n_steps) return false;
    for (int m = 0; m < METRIC_COUNT; m++)
        if (spec->measure.metrics[m] && !strcmp(metric_registry.rows[m]->group, e->group))
            return true;
    return false;
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
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (!spec->measure.metrics[m]) continue;
        const char *group = metric_registry.rows[m]->group;
        if (!strcmp(group, "jacobian")) uses |= USES(PROBES) | USES(ITERATIONS);
        if (!strcmp(group, "sharpness")) uses |= USES(ITERATIONS);
    }
    return uses;
}

uint64_t extra_rows(const run_spec *spec)
{
    uint64_t rows = 0;
    for (int i = 0; i < EXTRA_COUNT; i++)
        for (int m = 0; m < METRIC_COUNT; m++)
            if (spec->measure.metrics[m] &&
                !strcmp(metric_registry.rows[m]->group, extra_table[i]->group))
                rows += (uint64_t)spec->depth + 1;
    return rows;
}
