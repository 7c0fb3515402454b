#include "core/extra/lanczos.h"

#include <math.h>

/* How many eigenvalues lie above x: signs of the pivots of T - x (Sturm). */
static int count_above(const double *diag, const double *off, int n, double x, double tiny)
{
    int above = 0;
    double pivot = 1;
    for (int i = 0; i < n; i++) {
        double coupled = i ? off[i - 1] * off[i - 1] / pivot : 0;
        pivot = diag[i] - x - coupled;
        if (fabs(pivot) < tiny) pivot = -tiny;
        above += pivot > 0;
    }
    return above;
}

static double reach(const double *diag, const double *off, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++) {
        double row = fabs(diag[i]) + (i ? fabs(off[i - 1]) : 0) + (i + 1 < n ? fabs(off[i]) : 0);
        if (!(row <= most)) most = row;
        if (isnan(most)) break;
    }
    return most;
}

double lanczos_eigenvalue(const double *diag, const double *off, int n, bool largest)
{
    enum { HALVINGS = 128 };
    double high = reach(diag, off, n), low = -high;
    double tiny = high * 0x1p-100 + 0x1p-1000;
    int least = largest ? 1 : n;
    if (!isfinite(high)) return (double)NAN;
    for (int i = 0; i < HALVINGS; i++) {
        double mid = (low + high) / 2;
        if (mid <= low || mid >= high) break;
        if (count_above(diag, off, n, mid, tiny) >= least)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

/* x - T is positive for x just above the largest eigenvalue, so it is solved without pivoting;
 * a few steps of inverse iteration. */
void lanczos_vector(const double *diag, const double *off, int n, double *out, double *work)
{
    enum { STEPS = 4 };
    double scale = reach(diag, off, n),
           x = lanczos_eigenvalue(diag, off, n, true) + scale * 0x1p-48;
    for (int i = 0; i < n; i++) out[i] = 1;
    if (n == 1) return;
    for (int step = 0; step < STEPS; step++) {
        double square = 0;
        for (int i = 0; i < n; i++) {
            double factor = i ? -off[i - 1] / work[i - 1] : 0;
            work[i] = x - diag[i] + factor * (i ? off[i - 1] : 0);
            if (!(fabs(work[i]) > scale * 0x1p-60)) work[i] = scale * 0x1p-60 + 0x1p-1000;
            if (i) out[i] -= factor * out[i - 1];
        }
        for (int i = n - 1; i >= 0; i--) {
            double above = i + 1 < n ? off[i] * out[i + 1] : 0;
            out[i] = (out[i] + above) / work[i];
            square += out[i] * out[i];
        }
        for (int i = 0; i < n; i++) out[i] /= sqrt(square);
    }
}
