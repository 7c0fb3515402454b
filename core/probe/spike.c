/* Steps whose gradient norm stands out: told once, of all steps. */
#include "core/metric/spike.h"
#include "core/probe/gauge.h"

static void trace(const double *grad_norms, int steps, gauge_emit *emit, void *user)
{
    static const metric own[] = {METRIC_grad_spikes, METRIC_grad_spike_z, METRIC_grad_spike_step};
    metric_value v[METRIC_COUNT];
    spike_finish(grad_norms, steps, v);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        emit(user, -1, SITE_run, NULL, own[i], v[own[i]]);
}

const gauge gauge_spike = {.trace = trace};
