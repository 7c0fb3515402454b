#include "core/metric/fit.h"

#include <math.h>
#include <stdbool.h>

enum { FIT_LEAST_LAYERS = 4 };
static const double flat_range = 0.05, line_share = 0.97;

typedef struct line {
    double a, b;
} line;

/* The position of a layer on the axis of the law. */
typedef double axis(double l);

static double same(double v)
{
    return v;
}

/* ln of what can be fitted, NaN of the rest. */
static void take_logs(double *y, int layers)
{
    for (int i = 0; i < layers; i++) y[i] = isfinite(y[i]) && y[i] > 0 ? log(y[i]) : (double)NAN;
}

/* Least squares v = a + b u over the usable layers, u = along(l), about the means. */
static line least_squares(const double *v, int layers, axis *along)
{
    double n = 0, u_sum = 0, v_sum = 0, uu = 0, uv = 0;
    for (int l = 1; l <= layers; l++) {
        if (isnan(v[l - 1])) continue;
        n++;
        u_sum += along(l);
        v_sum += v[l - 1];
    }
    const double u_mean = u_sum / n, v_mean = v_sum / n;
    for (int l = 1; l <= layers; l++) {
        if (isnan(v[l - 1])) continue;
        const double u = along(l) - u_mean;
        uu += u * u;
        uv += u * (v[l - 1] - v_mean);
    }
    return (line){.a = v_mean - uv / uu * u_mean, .b = uv / uu};
}

typedef struct spread {
    double n, mean, least, most, total; /* of v; total = sum of squares about the mean */
} spread;

static spread spread_of(const double *v, int layers)
{
    spread s = {.least = INFINITY, .most = -INFINITY};
    for (int i = 0; i < layers; i++) {
        if (isnan(v[i])) continue;
        s.n++;
        s.mean += v[i];
        s.least = fmin(s.least, v[i]);
        s.most = fmax(s.most, v[i]);
    }
    s.mean /= s.n;
    for (int i = 0; i < layers; i++) {
        if (!isnan(v[i])) s.total += (v[i] - s.mean) * (v[i] - s.mean);
    }
    return s;
}

/* R^2 of the law v = a + b along(l). */
static double r_squared(const double *v, int layers, line fitted, axis *along, const spread *s)
{
    if (s->most == s->least) return 1;
    double rest = 0;
    for (int l = 1; l <= layers; l++) {
        if (isnan(v[l - 1])) continue;
        const double off = v[l - 1] - (fitted.a + fitted.b * along(l));
        rest += off * off;
    }
    return 1 - rest / s->total;
}

/* What is left of v beside ln of the line cos t + sin t l/layers times the best factor, about the
 * mean of v that s has. */
static double line_rest(const double *v, int layers, double t, const spread *s)
{
    const double start = cos(t), rise = sin(t);
    double sum = 0, square = 0;
    for (int l = 1; l <= layers; l++) {
        if (isnan(v[l - 1])) continue;
        const double off = v[l - 1] - s->mean - log(start + rise * l / layers);
        sum += off;
        square += off * off;
    }
    return square - sum * sum / s->n;
}

/* The lines positive at l = 1..layers are t from -pi/4 to pi/2 + atan(1/layers), both left out. The
 * least rest lies between the neighbours of the best of a grid, where golden sections find it: the
 * rest is flat there, so 1e-8 of a step on t is 1e-16 on it. */
static double r_squared_line(const double *v, int layers, const spread *s)
{
    enum { GRID = 64, SECTIONS = 38 };
    const double pi = 3.14159265358979323846, golden = 0.61803398874989484820;
    const double low = -pi / 4, step = (pi / 2 + atan(1.0 / layers) - low) / GRID;
    if (s->most == s->least) return 1;
    int best = 1;
    double least = line_rest(v, layers, low + step, s);
    for (int i = 2; i < GRID; i++) {
        const double rest = line_rest(v, layers, low + i * step, s);
        if (rest < least) best = i, least = rest;
    }
    double a = low + (best - 1) * step, b = low + (best + 1) * step;
    double left = b - golden * (b - a), right = a + golden * (b - a);
    double at_left = line_rest(v, layers, left, s), at_right = line_rest(v, layers, right, s);
    for (int i = 0; i < SECTIONS; i++) {
        if (at_left <= at_right) {
            b = right, right = left, at_right = at_left;
            at_left = line_rest(v, layers, left = b - golden * (b - a), s);
        } else {
            a = left, left = right, at_left = at_right;
            at_right = line_rest(v, layers, right = a + golden * (b - a), s);
        }
    }
    return 1 - fmin(at_left, at_right) / s->total;
}

static enum fit_law best_law(double linear, double exponential, double power)
{
    if (linear >= line_share || (linear >= exponential && linear >= power)) return FIT_LINEAR;
    return exponential >= power ? FIT_EXPONENTIAL : FIT_POWER;
}

void fit_growth(double *y, int layers, fit *out)
{
    take_logs(y, layers);
    const spread s = spread_of(y, layers);
    if (s.n < FIT_LEAST_LAYERS) {
        out->slope = value_undefined(REASON_TOO_FEW);
        out->range = out->variance = 0;
        out->r2_linear = out->r2_exponential = out->r2_power = out->law = out->slope;
        return;
    }
    const line exponential = least_squares(y, layers, same);
    const line power = least_squares(y, layers, log);
    const double r2_exponential = r_squared(y, layers, exponential, same, &s);
    const double r2_power = r_squared(y, layers, power, log, &s);
    const double r2_linear = r_squared_line(y, layers, &s);
    const bool flat = s.most - s.least < flat_range;
    out->range = s.most - s.least, out->variance = s.total / s.n;
    out->slope = value_of(exponential.b);
    out->r2_exponential = value_of(r2_exponential);
    out->r2_power = value_of(r2_power);
    out->r2_linear = value_of(r2_linear);
    out->law = value_of(flat ? FIT_FLAT : best_law(r2_linear, r2_exponential, r2_power));
}

double fit_apart(double rho)
{
    return 1 - rho >= FIT_APART_LEAST ? 1 - rho : (double)NAN;
}

/* How far R^2 may move. */
static double margin(double r2, double noise)
{
    return noise + 2 * sqrt(noise * fmax(1 - r2, 0));
}

bool fit_sure(const fit *f, double off)
{
    const double two = 2 * off, noise = two * two / f->variance;
    if (f->law.reason) return false;
    if (fabs(f->range - flat_range) < 2 * two) return false;
    if (f->range < flat_range) return true;
    const double linear = f->r2_linear.value, a = f->r2_exponential.value, b = f->r2_power.value;
    if (linear - margin(linear, noise) >= line_share) return true;
    if (linear + margin(linear, noise) >= line_share) return false;
    const double best = fmax(linear, fmax(a, b)), r2[] = {linear, a, b};
    int close = 0;
    for (int i = 0; i < 3; i++) close += r2[i] + margin(r2[i], noise) >= best - margin(best, noise);
    return close == 1;
}
