/* Of the run as a whole: its loss, and laws of growth over the stream of its blocks. */
#include "core/metric/fit.h"
#include "core/probe/format.h"
#include "core/probe/gauge.h"

/* Of moments and gradients of the stream. */
static unsigned needs(const run_spec *spec, bool groups[GROUP_COUNT])
{
    (void)spec;
    groups[GROUP_moments] = groups[GROUP_gradient] = true;
    return 0;
}

typedef struct growth {
    metric slope, linear, exponential, power, law;
} growth;

static const growth of_var = {METRIC_var_growth, METRIC_var_growth_r2_linear,
                              METRIC_var_growth_r2_exponential, METRIC_var_growth_r2_power,
                              METRIC_var_growth_law};
static const growth of_gradient = {METRIC_grad_growth, METRIC_grad_growth_r2_linear,
                                   METRIC_grad_growth_r2_exponential, METRIC_grad_growth_r2_power,
                                   METRIC_grad_growth_law};

static void tell(const growth *to, double *y, int layers, gauge_emit *emit, void *user)
{
    fit f;
    fit_growth(y, layers, &f);
    emit(user, -1, SITE_run, NULL, to->slope, f.slope);
    emit(user, -1, SITE_run, NULL, to->linear, f.r2_linear);
    emit(user, -1, SITE_run, NULL, to->exponential, f.r2_exponential);
    emit(user, -1, SITE_run, NULL, to->power, f.r2_power);
    emit(user, -1, SITE_run, NULL, to->law, f.law);
}

/* The last layer, from the output, that fp16 would make nothing of. */
static metric_value flush_layer(const gauge_run *r)
{
    int found = NONE;
    for (int l = 0; l <= r->g->spec->depth; l++)
        if (r->series[SERIES_GRAD_RMS][l] < 0x1p-25) found = l;
    return found == NONE ? value_undefined(REASON_ABSENT) : value_of(found);
}

static void run(const void *own, const gauge_run *r, gauge_emit *emit, void *user)
{
    (void)own;
    const int depth = r->g->spec->depth;
    emit(user, -1, SITE_run, NULL, METRIC_loss, value_of(r->loss));
    tell(&of_var, r->series[SERIES_VAR] + 1, depth, emit, user);
    probe_format_run(GROUP_fit, r, emit, user);
    if (!r->backward) return;
    tell(&of_gradient, r->series[SERIES_GRAD_NORM] + 1, depth, emit, user);
    emit(user, -1, SITE_run, NULL, METRIC_fp16_grad_flush_layer, flush_layer(r));
}

const gauge gauge_fit = {
    .needs = needs, .run = run, .weight = 6, /* of what it needs */
};
