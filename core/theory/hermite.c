#include "core/theory/hermite.h"

#include <math.h>

enum { HALF = HERMITE_NODES / 2 };

static const double PI = 3.14159265358979323846;
static const double reach = 9.5; /* beyond it z ~ N(0, 1) has 2e-21 */

/* P_n(x) and its derivative. */
static void legendre(double x, int n, double *value, double *slope)
{
    double last = 0, now = 1;
    for (int k = 0; k < n; k++) {
        double next = ((2 * k + 1) * x * now - k * last) / (k + 1);
        last = now, now = next;
    }
    *value = now;
    *slope = n * (x * now - last) / (x * x - 1);
}

/* Gauss-Legendre on (0, reach), by Newton's method, and its mirror image. */
void hermite_rule_init(hermite_rule *r)
{
    for (int i = 0; i < HALF; i++) {
        double x = cos(PI * (i + 0.75) / (HALF + 0.5)), value, slope;
        for (int step = 0; step < 10; step++) {
            legendre(x, HALF, &value, &slope);
            x -= value / slope;
        }
        legendre(x, HALF, &value, &slope);
        double at = (1 + x) * reach / 2, density = exp(-at * at / 2) / sqrt(2 * PI);
        double w = reach / ((1 - x * x) * slope * slope) * density;
        r->x[HALF - 1 - i] = -at, r->x[HALF + i] = at;
        r->w[HALF - 1 - i] = r->w[HALF + i] = w;
    }
}

void hermite_expand(const hermite_rule *r, const double f[HERMITE_NODES], hermite_series *out)
{
    double last[HERMITE_NODES] = {0}, now[HERMITE_NODES];
    double inside = 0;
    out->square = 0;
    for (int i = 0; i < HERMITE_NODES; i++) {
        now[i] = r->w[i] * f[i];
        out->square += r->w[i] * f[i] * f[i];
    }
    for (int k = 0; k < HERMITE_TERMS; k++) {
        double sum = 0, root = sqrt((double)k), over = 1 / sqrt(k + 1.0);
        for (int i = 0; i < HERMITE_NODES; i++) {
            sum += now[i];
            double next = (r->x[i] * now[i] - root * last[i]) * over;
            last[i] = now[i], now[i] = next;
        }
        out->a[k] = sum;
        inside += sum * sum;
    }
    out->mean = out->a[0];
    out->rest = sqrt(fmax(out->square - inside, 0));
}

double hermite_pair(const hermite_series *a, const hermite_series *b, double c)
{
    double sum = 0, power = c * c; /* c^2, 4, 8, 16, 32 = HERMITE_TERMS */
    for (int k = HERMITE_TERMS - 1; k >= 0; k--) sum = sum * c + a->a[k] * b->a[k];
    for (int i = 0; i < 4; i++) power *= power;
    return sum + a->rest * b->rest * power;
}
