#include "core/metric/ranks.h"

#include <float.h>
#include <math.h>

/* exp of the entropy of p = a/sum a; a >= 0, not all zero. */
static double effective(const double *eig, int n, double floor, bool roots)
{
    double sum = 0, entropy = 0;
    for (int i = 0; i < n; i++) {
        if (eig[i] > floor) sum += roots ? sqrt(eig[i]) : eig[i];
    }
    for (int i = 0; i < n; i++) {
        if (!(eig[i] > floor)) continue;
        const double p = (roots ? sqrt(eig[i]) : eig[i]) / sum;
        if (p > 0) entropy -= p * log(p);
    }
    return exp(entropy);
}

/* Singular values above relative * the largest, counted from the noise floor up. */
static double count_above(const double *eig, int n, double floor, double relative)
{
    const double least = relative * sqrt(eig[n - 1]);
    double count = 0;
    for (int i = 0; i < n; i++) count += eig[i] > floor && sqrt(eig[i]) > least;
    return count;
}

reason ranks_of(const double *eig, int n, size_t T, size_t D, double eps, double out[RANKS_COUNT])
{
    const double top = eig[n - 1], larger = (double)(T > D ? T : D);
    if (!isfinite(top)) {
        for (int k = 0; k < RANKS_COUNT; k++) out[k] = NAN;
        return REASON_NONE;
    }
    if (top <= 0) return REASON_ZERO;
    const double floor = larger * DBL_EPSILON * top;
    double others = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        if (!(eig[i] > floor)) continue;
        if (i < n - 1) others += eig[i];
        squares += eig[i] / top * (eig[i] / top);
    }
    const double sum = others + top;
    out[0] = sum / top;
    out[1] = sum / top * (sum / top) / squares;
    out[2] = effective(eig, n, floor, true);
    out[3] = effective(eig, n, floor, false);
    out[4] = count_above(eig, n, floor, larger * eps);
    out[5] = count_above(eig, n, floor, 1e-3);
    out[6] = count_above(eig, n, floor, 1e-2);
    out[7] = top / sum;
    out[8] = sqrt(others / sum);
    return REASON_NONE;
}

void ranks_reset(ranks *r)
{
    *r = (ranks){0};
}

void ranks_add(ranks *r, const double *eig, int n, size_t T, size_t D, double eps)
{
    double one[RANKS_COUNT];
    r->sequences++;
    r->tokens = T;
    if (ranks_of(eig, n, T, D, eps, one) != REASON_NONE) return;
    r->nonzero++;
    for (int k = 0; k < RANKS_COUNT; k++) r->sum[k] += one[k];
}

void ranks_merge(ranks *into, const ranks *from)
{
    into->sequences += from->sequences;
    into->nonzero += from->nonzero;
    if (from->tokens > into->tokens) into->tokens = from->tokens;
    for (int k = 0; k < RANKS_COUNT; k++) into->sum[k] += from->sum[k];
}

void ranks_finish(const ranks *r, bool centred, metric_value out[])
{
    const metric first = centred ? METRIC_stable_rank_centred : METRIC_stable_rank;
    for (int k = 0; k < RANKS_COUNT; k++) {
        metric_value *v = &out[first + (unsigned)k];
        if (r->sequences == 0) {
            *v = value_undefined(REASON_NO_ENTRIES);
        } else if (centred && r->tokens < 2) {
            *v = value_undefined(REASON_ONE_TOKEN);
        } else if (r->nonzero == 0) {
            *v = value_undefined(REASON_ZERO);
        } else {
            *v = value_of(r->sum[k] / (double)r->nonzero);
        }
    }
}
_Static_assert(METRIC_rank1_residual - METRIC_stable_rank + 1 == RANKS_COUNT &&
                   METRIC_rank1_residual_centred - METRIC_stable_rank_centred + 1 == RANKS_COUNT,
               "rows of metric.def in the order of ranks_of");
