#include "core/metric/fit.h"

#include <math.h>
#include <stdbool.h>

enum { FIT_LEAST_LAYERS = 4 };
static const double flat_range = 0.05;

typedef struct line {
    double a, b;
} line;

/* What a layer contributes: its position on the axis of the law, and its value. */
typedef double axis(double l);
typedef double scale(double y);

static double same(double v)
{
    return v;
}

static bool usable(double y)
{
    return isfinite(y) && y > 0;
}

/* Least squares v = a + b u over the usable layers, u = along(l), v = of(y), about the means. */
static line least_squares(const double *y, int layers, axis *along, scale *of)
{
    double n = 0, u_sum = 0, v_sum = 0, uu = 0, uv = 0;
    for (int l = 1; l <= layers; l++) {
        if (!usable(y[l - 1])) continue;
        n++;
        u_sum += along(l);
        v_sum += of(y[l - 1]);
    }
    const double u_mean = u_sum / n, v_mean = v_sum / n;
    for (int l = 1; l <= layers; l++) {
        if (!usable(y[l - 1])) continue;
        const double u = along(l) - u_mean;
        uu += u * u;
        uv += u * (of(y[l - 1]) - v_mean);
    }
    return (line){.a = v_mean - uv / uu * u_mean, .b = uv / uu};
}

typedef struct spread {
    double n, mean, least, most, total; /* of ln y; total = sum of squares about the mean */
} spread;

static spread spread_of(const double *y, int layers)
{
    spread s = {.least = INFINITY, .most = -INFINITY};
    for (int l = 1; l <= layers; l++) {
        if (!usable(y[l - 1])) continue;
        const double v = log(y[l - 1]);
        s.n++;
        s.mean += v;
        s.least = fmin(s.least, v);
        s.most = fmax(s.most, v);
    }
    s.mean /= s.n;
    for (int l = 1; l <= layers; l++) {
        if (usable(y[l - 1])) s.total += (log(y[l - 1]) - s.mean) * (log(y[l - 1]) - s.mean);
    }
    return s;
}

/* R^2 on ln y of the law whose fitted value is along a line in (along(l), of(y)). */
static double
r_squared(const double *y, int layers, line fitted, axis *along, bool in_logs, const spread *s)
{
    if (s->most == s->least) return 1;
    double rest = 0;
    for (int l = 1; l <= layers; l++) {
        if (!usable(y[l - 1])) continue;
        double v = fitted.a + fitted.b * along(l);
        if (!in_logs) {
            if (!(v > 0)) return 0;
            v = log(v);
        }
        rest += (log(y[l - 1]) - v) * (log(y[l - 1]) - v);
    }
    return 1 - rest / s->total;
}

static enum fit_law best_law(double linear, double exponential, double power)
{
    if (linear >= exponential && linear >= power) return FIT_LINEAR;
    return exponential >= power ? FIT_EXPONENTIAL : FIT_POWER;
}

void fit_growth(const double *y, int layers, fit *out)
{
    const spread s = spread_of(y, layers);
    if (s.n < FIT_LEAST_LAYERS) {
        out->slope = value_undefined(REASON_TOO_FEW);
        out->r2_linear = out->r2_exponential = out->r2_power = out->law = out->slope;
        return;
    }
    const line exponential = least_squares(y, layers, same, log);
    const line power = least_squares(y, layers, log, log);
    const line linear = least_squares(y, layers, same, same);
    const double r2_exponential = r_squared(y, layers, exponential, same, true, &s);
    const double r2_power = r_squared(y, layers, power, log, true, &s);
    const double r2_linear = r_squared(y, layers, linear, same, false, &s);
    const bool flat = s.most - s.least < flat_range;
    out->slope = value_of(exponential.b);
    out->r2_exponential = value_of(r2_exponential);
    out->r2_power = value_of(r2_power);
    out->r2_linear = value_of(r2_linear);
    out->law = value_of(flat ? FIT_FLAT : best_law(r2_linear, r2_exponential, r2_power));
}
