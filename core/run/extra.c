#include "core/run/extra.h"

#include "core/run/session.h"

#include <string.h>

#define EXTRA(name) extern const extra extra_##name;
#include "core/run/extra.def"
#undef EXTRA

static const extra *const table[EXTRA_COUNT] = {
#define EXTRA(name) &extra_##name,
#include "core/run/extra.def"
#undef EXTRA
};

static bool wanted(const run_spec *spec, const extra *e)
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
        if (wanted(spec, table[i])) return true;
    return false;
}

bool extra_param_grads(const run_spec *spec)
{
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (table[i]->param_grads && wanted(spec, table[i])) return true;
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
                !strcmp(metric_registry.rows[m]->group, table[i]->group))
                rows += (uint64_t)spec->depth + 1;
    return rows;
}

double extra_passes(const session *s)
{
    double sum = 0;
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (wanted(s->spec, table[i])) sum += table[i]->passes(s);
    return sum;
}

double extra_group_passes(const session *s, const char *group)
{
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (!strcmp(table[i]->group, group))
            return wanted(s->spec, table[i]) ? table[i]->passes(s) : 0;
    return 0;
}

void extra_layout(session *s, int n_threads, arena *a)
{
    s->extras = (extras){.step = -1};
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (wanted(s->spec, table[i])) s->extras.states[i] = table[i]->layout(s, n_threads, a);
}

err_code extra_run(session *s, const extra_pass *how)
{
    err_code code = ERR_OK;
    probe *kept = s->x.probe;
    s->x.probe = NULL;
    s->extras.step = -1;
    for (int i = 0; i < EXTRA_COUNT && !code; i++)
        if (s->extras.states[i]) code = table[i]->run(s, s->extras.states[i], how);
    if (!code) s->extras.step = how->step;
    s->x.skip_params = false;
    s->x.probe = kept;
    return code;
}

void extra_report(const session *s, extra_emit *emit, void *user)
{
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (s->extras.states[i]) table[i]->report(s, s->extras.states[i], emit, user);
}

double extra_stage_share(const exec *x, int at)
{
    const plan *p = x->p;
    if (at < p->n_forward) return 1.0 / (3.0 * p->n_forward);
    return (x->skip_params ? 1 : 2) / (3.0 * (p->n_stages - p->n_forward));
}
