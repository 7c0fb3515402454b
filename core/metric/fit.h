/* Growth laws of a positive series over depth: y_l at layers l = 1..layers, y[l - 1].
 *
 *   exponential  ln y = a + b l      least squares on ln y; slope = b, per block
 *   power        ln y = a + b ln l   least squares on ln y
 *   linear       y = a + b l         least squares on y
 *
 * R^2 = 1 - sum (ln y - ln fit)^2/sum (ln y - mean ln y)^2 for all three; a line that is not
 * positive at every layer has R^2 = 0; a series whose ln y are all equal has R^2 = 1. law is the
 * one with the largest R^2 (the first of linear, exponential, power when equal), or flat when
 * max ln y - min ln y < 0.05. Layers whose y is not finite or not positive are left out; with fewer
 * than 4 left everything is REASON_TOO_FEW. Allocates nothing. Any thread.
 */
#ifndef CORE_METRIC_FIT_H
#define CORE_METRIC_FIT_H

#include "core/metric/value.h"

enum fit_law { FIT_FLAT, FIT_LINEAR, FIT_EXPONENTIAL, FIT_POWER };

typedef struct fit {
    metric_value slope, r2_linear, r2_exponential, r2_power;
    metric_value law; /* an enum fit_law */
} fit;

void fit_growth(const double *y, int layers, fit *out);

#endif
