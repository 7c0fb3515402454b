#include "core/theory/pair.h"

#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static double cosine(double k1, double k2, double k12)
{
    double top = sqrt(k1 * k2);
    double c = top > 0 ? k12 / top : 0;
    return c > 1 ? 1 : c < -1 ? -1 : c;
}

/* --- relu --- */

static double relu_value(double k1, double k2, double k12)
{
    double c = cosine(k1, k2, k12);
    return sqrt(k1 * k2) / (2 * PI) * (sqrt(1 - c * c) + c * (PI - acos(c)));
}

static double relu_slope(double k1, double k2, double k12)
{
    return (PI - acos(cosine(k1, k2, k12))) / (2 * PI);
}

static double relu_mean(double k)
{
    return sqrt(k / (2 * PI));
}

/* --- gelu: D = (1 + k1)(1 + k2) - k12^2, r = k12/sqrt((1 + k1)(1 + k2)) --- */

static double gelu_value(double k1, double k2, double k12)
{
    double both = (1 + k1) * (1 + k2), square = k12 * k12, D = both - square;
    double angle = asin(k12 / sqrt(both));
    return k12 * (0.25 + angle / (2 * PI)) +
           (k1 * k2 + square - square * k1 / (1 + k1) - square * k2 / (1 + k2)) /
               (2 * PI * sqrt(D));
}

static double gelu_slope(double k1, double k2, double k12)
{
    double both = (1 + k1) * (1 + k2), D = both - k12 * k12;
    double angle = asin(k12 / sqrt(both));
    return 0.25 + angle / (2 * PI) +
           (k12 / (1 + k1) + k12 / (1 + k2) + k12 / D) / (2 * PI * sqrt(D));
}

static double gelu_mean(double k)
{
    return k / sqrt(2 * PI * (1 + k));
}

/* --- erf --- */

static double erf_value(double k1, double k2, double k12)
{
    return 2 / PI * asin(2 * k12 / sqrt((1 + 2 * k1) * (1 + 2 * k2)));
}

static double erf_slope(double k1, double k2, double k12)
{
    return 4 / PI / sqrt((1 + 2 * k1) * (1 + 2 * k2) - 4 * k12 * k12);
}

static double zero_mean(double k)
{
    (void)k;
    return 0;
}

/* --- which --- */

static const struct {
    const activation *act;
    pair_function *value, *slope;
    double (*mean)(double k);
} closed[] = {
    {&activation_relu, relu_value, relu_slope, relu_mean},
    {&activation_gelu, gelu_value, gelu_slope, gelu_mean},
    {&activation_gelu_tanh, gelu_value, gelu_slope, gelu_mean},
};

void pair_of_activation(pair *p, const activation *a)
{
    memset(p, 0, sizeof *p);
    p->act = a->gate ? a->gate : a;
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
        if (closed[i].act == p->act)
            p->value = closed[i].value, p->slope = closed[i].slope, p->mean = closed[i].mean;
    if (!p->value) hermite_rule_init(&p->rule);
}

static double tanh_slope(double u)
{
    double t = tanh(u);
    return 1 - t * t;
}

void pair_of_tanh(pair *p)
{
    memset(p, 0, sizeof *p);
    p->f = tanh, p->df = tanh_slope;
    hermite_rule_init(&p->rule);
}

void pair_of_erf(pair *p)
{
    memset(p, 0, sizeof *p);
    p->value = erf_value, p->slope = erf_slope, p->mean = zero_mean;
}

/* --- series --- */

static void sample(const pair *p, double k, bool slope, double f[HERMITE_NODES])
{
    real x[HERMITE_NODES], y[HERMITE_NODES], one[HERMITE_NODES];
    double root = sqrt(k);
    for (int i = 0; i < HERMITE_NODES; i++) {
        double u = root * p->rule.x[i];
        if (p->f) f[i] = slope ? p->df(u) : p->f(u);
        x[i] = (real)u, one[i] = 1;
    }
    if (!p->act) return;
    if (slope)
        p->act->backward(y, one, x, NULL, HERMITE_NODES);
    else
        p->act->forward(y, x, HERMITE_NODES);
    for (int i = 0; i < HERMITE_NODES; i++) f[i] = (double)y[i];
}

static void expand(const pair *p, double k, bool slope, hermite_series *out)
{
    double f[HERMITE_NODES];
    sample(p, k, slope, f);
    hermite_expand(&p->rule, f, out);
}

static double by_series(const pair *p, double k1, double k2, double k12, bool slope)
{
    hermite_series a, b;
    expand(p, k1, slope, &a);
    expand(p, k2, slope, &b);
    return hermite_pair(&a, &b, cosine(k1, k2, k12));
}

double pair_mean(const pair *p, double k)
{
    hermite_series a;
    if (p->mean) return p->mean(k);
    expand(p, k, false, &a);
    return a.mean;
}

double pair_value(const pair *p, double k1, double k2, double k12)
{
    return p->value ? p->value(k1, k2, k12) : by_series(p, k1, k2, k12, false);
}

double pair_slope(const pair *p, double k1, double k2, double k12)
{
    return p->slope ? p->slope(k1, k2, k12) : by_series(p, k1, k2, k12, true);
}

double pair_square(const pair *p, double k)
{
    return pair_value(p, k, k, k);
}

double pair_square_slope(const pair *p, double k)
{
    return pair_slope(p, k, k, k);
}

static void closed_matrix(
    pair_function *f, const double *k, const double *q, int n, double scale, bool own, double *out)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            out[i * n + j] = out[j * n + i] = f(scale * q[i], scale * q[j], scale * k[i * n + j]);
    for (int i = 0; own && i < n; i++)
        out[n * n + i] = f(scale * q[i], scale * q[i], scale * k[n * n + i]);
}

static void series_matrix(const pair *p,
                          const double *k,
                          const double *q,
                          int n,
                          double scale,
                          bool own,
                          bool slope,
                          double *out,
                          hermite_series *series)
{
    for (int i = 0; i < n; i++) {
        if (i && q[i] == q[i - 1])
            series[i] = series[i - 1];
        else
            expand(p, scale * q[i], slope, &series[i]);
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            out[i * n + j] = out[j * n + i] =
                hermite_pair(&series[i], &series[j], cosine(q[i], q[j], k[i * n + j]));
    for (int i = 0; own && i < n; i++)
        out[n * n + i] = hermite_pair(&series[i], &series[i], cosine(q[i], q[i], k[n * n + i]));
}

void pair_matrix(const pair *p,
                 const double *k,
                 const double *q,
                 int n,
                 double scale,
                 bool own,
                 double *values,
                 double *slopes,
                 hermite_series *series)
{
    if (p->value) {
        if (values) closed_matrix(p->value, k, q, n, scale, own, values);
        if (slopes) closed_matrix(p->slope, k, q, n, scale, own, slopes);
        return;
    }
    if (values) series_matrix(p, k, q, n, scale, own, false, values, series);
    if (slopes) series_matrix(p, k, q, n, scale, own, true, slopes, series);
}
