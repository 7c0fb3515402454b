/* Growth laws of a positive series over depth: y_l at layers l = 1..layers, y[l - 1].
 *
 *   exponential  ln y = a + b l       slope = b, per block
 *   power        ln y = a + b ln l
 *   linear       ln y = ln (a + b l)  among the lines that are positive at every layer
 *
 * All three by least squares on ln y, so that they are judged by what they were fitted for: R^2 = 1
 * - sum (ln y - ln fit)^2/sum (ln y - mean ln y)^2. A series whose ln y are all equal has R^2 = 1.
 * law is flat when max ln y - min ln y < 0.05; else linear when the line explains 97 % of ln y,
 * because over so small a range a curve that does better cannot be told from it; else the one with
 * the largest R^2. So a probe at the start does not call Pre-LN's growth exponential. Layers whose
 * y is not finite or not positive are left out; with fewer than 4 left everything is
 * REASON_TOO_FEW. Allocates nothing. Any thread.
 *
 * The angle exponent (Cowsik et al. 2024, arXiv:2403.02579) is the slope for y = 1 - rho, rho the
 * correlation of the tokens of a sequence; below FIT_APART_LEAST y is no more than rounding, also
 * where theory takes 1 - rho from a difference, and counts as not usable.
 */
#ifndef CORE_METRIC_FIT_H
#define CORE_METRIC_FIT_H

#include "core/metric/value.h"

#include <stdbool.h>

enum fit_law { FIT_FLAT, FIT_LINEAR, FIT_EXPONENTIAL, FIT_POWER };

typedef struct fit {
    metric_value slope, r2_linear, r2_exponential, r2_power;
    metric_value law; /* an enum fit_law */
    double range;     /* max ln y - min ln y */
    double variance;  /* of ln y over the layers */
} fit;

#define FIT_APART_LEAST 1e-10

/* Leaves ln y in y, NaN where there is none. */
void fit_growth(double *y, int layers, fit *out);
/* 1 - rho for a series of angles; NaN where that is rounding. */
double fit_apart(double rho);
/* Would the law be the same for series whose ln y is off by `off` (one standard deviation), with
 * room for two? Noise of variance off^2 changes 1 - R^2 by off^2/variance and twice the geometric
 * mean of the two. */
bool fit_sure(const fit *f, double off);

#endif
