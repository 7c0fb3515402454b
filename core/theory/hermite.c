#include "core/theory/hermite.h"

#include <math.h>

/* Normed He_n(x) and He_{n-1}(x). */
static void polynomials(double x, int n, double *top, double *below)
{
    double last = 0, now = 1;
    for (int k = 0; k < n; k++) {
        double next = (x * now - sqrt((double)k) * last) / sqrt(k + 1.0);
        last = now, now = next;
    }
    *top = now, *below = last;
}

/* Nodes by bisection between those of sign changes on a fine grid, polished by Newton's method:
 * He_n' = sqrt(n) He_{n-1} in the normed form. Weights 1/(n He_{n-1}(x)^2). */
void hermite_rule_init(hermite_rule *r)
{
    const int n = HERMITE_NODES;
    const double grid = 0.05; /* the nodes of 64 are at least 0.19 apart */
    double edge = sqrt(4.0 * n + 2), before, top, below;
    int found = 0;
    polynomials(-edge, n, &before, &below);
    for (double x = -edge + grid; x < edge + grid && found < n; x += grid) {
        polynomials(x, n, &top, &below);
        if ((top > 0) != (before > 0)) {
            double at = x - grid / 2;
            for (int i = 0; i < 20; i++) {
                double value, slope;
                polynomials(at, n, &value, &slope);
                at -= value / (sqrt((double)n) * slope);
            }
            polynomials(at, n, &top, &below);
            r->x[found] = at;
            r->w[found++] = 1 / (n * below * below);
            polynomials(x, n, &top, &below);
        }
        before = top;
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
