/* Weights and their gradients, one parameter after another. */
#include "core/metric/grad_spread.h"

#include "core/probe/gauge.h"

#include <math.h>

static bool wants_spread(const run_spec *spec)
{
    const bool *m = spec->measure.metrics;
    return m[METRIC_param_grad_max] || m[METRIC_param_grad_var];
}

static unsigned needs(const run_spec *spec, bool groups[GROUP_COUNT])
{
    (void)groups;
    return GAUGE_BACKWARD | GAUGE_PARAMETERS | (wants_spread(spec) ? GAUGE_SPREAD : 0);
}

static metric_value ratio(double top_sq, double bottom_sq)
{
    return bottom_sq == 0 ? value_undefined(REASON_ZERO) : value_of(sqrt(top_sq / bottom_sq));
}

static void tell_gradient(const gauge_run *r, int i, gauge_emit *emit, void *user)
{
    const param *p = &r->g->params[i];
    const double square = r->grad_sq(r->session, i);
    emit(user, p->layer, SITE_param, p->role, METRIC_param_grad_norm, value_of(sqrt(square)));
    emit(user, p->layer, SITE_param, p->role, METRIC_param_grad_rms,
         value_of(sqrt(square / (double)p->count)));
    emit(user, p->layer, SITE_param, p->role, METRIC_param_grad_ratio,
         ratio(square, r->weight_sq[i]));
    if (!wants_spread(r->g->spec)) return;
    const grad_spread e = r->spread(r->session, i);
    emit(user, p->layer, SITE_param, p->role, METRIC_param_grad_max, value_of(e.max_abs));
    emit(user, p->layer, SITE_param, p->role, METRIC_param_grad_var, value_of(grad_spread_var(&e)));
}

static void tell(const gauge_run *r, int i, gauge_emit *emit, void *user)
{
    const param *p = &r->g->params[i];
    emit(user, p->layer, SITE_param, p->role, METRIC_param_weight_norm,
         value_of(sqrt(r->weight_sq[i])));
    if (!r->backward || p->grad_buffer == NONE) return;
    tell_gradient(r, i, emit, user);
    if (r->updated)
        emit(user, p->layer, SITE_param, p->role, METRIC_param_update_ratio,
             ratio(r->moved_sq(r->session, i), r->weight_sq[i]));
}

static uint64_t rows(const graph *g)
{
    return (uint64_t)gauge_count_wanted(g->spec, GROUP_parameter) * (uint64_t)g->n_params;
}

static double flops_once(const graph *g)
{
    double count = 0;
    for (int i = 0; i < g->n_params; i++) count += (double)g->params[i].count;
    return 8 * count;
}

const gauge gauge_parameter = {
    .needs = needs,
    .param = tell,
    .rows = rows,
    .flops_once = flops_once,
    .weight = 5,
};
