#include "core/metric/spike.h"

#include "core/metric/order.h"

#include <math.h>
#include <stdbool.h>

static const double threshold = 6, normal_mad = 1.4826, least_spread = 1e-3;

static bool usable(double g)
{
    return isfinite(g) && g > 0;
}

/* z of ln g against the n before it; reorders them. */
static double score(double g, double *before, size_t n)
{
    const double median = order_quantile(before, n, 0.5);
    for (size_t i = 0; i < n; i++) before[i] = fabs(before[i] - median);
    return (g - median) / (normal_mad * order_quantile(before, n, 0.5) + least_spread);
}

void spike_finish(const double *norms, int n, metric_value out[])
{
    double most = -INFINITY, window[SPIKE_WINDOW];
    int spikes = 0, first = -1, scored = 0;
    for (int t = 0; t < n; t++) {
        size_t found = 0;
        for (int i = t < SPIKE_WINDOW ? 0 : t - SPIKE_WINDOW; i < t; i++)
            if (usable(norms[i])) window[found++] = log(norms[i]);
        if (!usable(norms[t]) || found < SPIKE_LEAST) continue;
        const double z = score(log(norms[t]), window, found);
        scored++;
        most = fmax(most, z);
        if (!(z > threshold)) continue;
        spikes++;
        if (first < 0) first = t;
    }
    const metric_value none = value_undefined(REASON_TOO_FEW);
    out[METRIC_grad_spikes] = scored ? value_of(spikes) : none;
    out[METRIC_grad_spike_z] = scored ? value_of(most) : none;
    out[METRIC_grad_spike_step] = !scored     ? none
                                  : first < 0 ? value_undefined(REASON_ABSENT)
                                              : value_of(first);
}
