#include "core/metric/ranks.h"

#include "core/real.h"

#include <float.h>

VECTOR extern double log(double);

/* Sums over the eigenvalues above the noise floor, q = l/l_1 and r = sqrt(q). */
typedef struct sums {
    double others;        /* of l without the largest */
    double q, r, squares; /* of q, r, q^2 */
    double q_log, r_log;  /* of q ln q, r ln q */
    double count[3];      /* of s > least */
} sums;

CLONES static void
add_up(sums *out, const double *eig, int n, double floor, double top, const double least[3])
{
    double others = 0, sum_q = 0, sum_r = 0, squares = 0, q_log = 0, r_log = 0;
    double count0 = 0, count1 = 0, count2 = 0;
#pragma omp simd reduction(+ : others, sum_q, sum_r, squares, q_log, r_log, count0, count1, count2)
    for (int i = 0; i < n; i++) {
        const bool counts = eig[i] > floor;
        const double l = counts ? eig[i] : 0, s = sqrt(l), q = l / top, r = sqrt(q);
        const double ln_q = log(counts ? q : 1);
        others += i < n - 1 ? l : 0;
        sum_q += q;
        sum_r += r;
        squares += q * q;
        q_log += q * ln_q;
        r_log += r * ln_q;
        count0 += s > least[0] ? 1 : 0;
        count1 += s > least[1] ? 1 : 0;
        count2 += s > least[2] ? 1 : 0;
    }
    *out = (sums){others, sum_q, sum_r, squares, q_log, r_log, {count0, count1, count2}};
}

reason ranks_of(const double *eig, int n, size_t T, size_t D, double eps, double out[RANKS_COUNT])
{
    const double top = eig[n - 1], larger = (double)(T > D ? T : D);
    if (!isfinite(top)) {
        for (int k = 0; k < RANKS_COUNT; k++) out[k] = NAN;
        return REASON_NONE;
    }
    if (top <= 0) return REASON_ZERO;
    const double root = sqrt(top), least[] = {larger * eps * root, 1e-3 * root, 1e-2 * root};
    sums s;
    add_up(&s, eig, n, larger * DBL_EPSILON * top, top, least);
    const double sum = s.others + top;
    out[0] = sum / top;
    out[1] = sum / top * (sum / top) / s.squares;
    out[2] = s.r * exp(-s.r_log / (2 * s.r)); /* ln p = ln q/2 - ln sum r */
    out[3] = s.q * exp(-s.q_log / s.q);
    for (int k = 0; k < 3; k++) out[4 + k] = s.count[k];
    out[7] = top / sum;
    out[8] = sqrt(s.others / sum);
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
