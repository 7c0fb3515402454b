#include "core/metric/branch.h"

#include <math.h>

enum { PIECE = 1 << 11 };
static const real stall_share = R(0x1p-9);

/* One loop for each thing that is counted: the compiler cannot vectorize a mixture of widths. */
CLONES static branch_sums sum_part(const real *restrict f, const real *restrict x, real c, size_t n)
{
    double branch_sq = 0, stream_sq = 0, dot = 0;
#pragma omp simd reduction(+ : branch_sq, stream_sq, dot)
    for (size_t i = 0; i < n; i++) {
        const double branch = (double)f[i], stream = (double)(c * x[i]);
        branch_sq += branch * branch;
        stream_sq += stream * stream;
        dot += branch * stream;
    }
    return (branch_sums){branch_sq, stream_sq, dot, .n = n};
}

CLONES static uint32_t
count_stalled(const real *restrict f, const real *restrict x, real c, size_t n)
{
    uint32_t stalled = 0;
#pragma omp simd reduction(+ : stalled)
    for (size_t i = 0; i < n; i++) stalled += (real)fabs(f[i]) < stall_share * (real)fabs(c * x[i]);
    return stalled;
}

CLONES static void
scale(real *restrict y, const real *restrict x, const real *restrict gain, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = gain[i] * x[i];
}

CLONES static double product(const real *restrict a, const real *restrict b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

void branch_merge(branch_sums *into, const branch_sums *from)
{
    into->branch_sq += from->branch_sq;
    into->stream_sq += from->stream_sq;
    into->dot += from->dot;
    into->with_last += from->with_last;
    into->n += from->n;
    into->stalled += from->stalled;
}

static void add_part(branch_sums *s, const real *f, const real *x, real c, size_t n, bool stalls)
{
    branch_sums part = sum_part(f, x, c, n);
    if (stalls) part.stalled = count_stalled(f, x, c, n);
    branch_merge(s, &part);
}

void branch_add(branch_sums *s, const real *f, const real *x, real c, size_t n, bool stalls)
{
    for (size_t i = 0; i < n; i += PIECE)
        add_part(s, f + i, x + i, c, n - i < PIECE ? n - i : PIECE, stalls);
}

void branch_add_scaled(branch_sums *s,
                       const real *f,
                       const real *x,
                       const real *gain,
                       size_t rows,
                       size_t cols,
                       bool stalls)
{
    real scaled[PIECE];
    for (size_t i = 0; i < rows * cols; i += cols) {
        for (size_t j = 0; j < cols; j += PIECE) {
            const size_t n = cols - j < PIECE ? cols - j : PIECE;
            scale(scaled, x + i + j, gain + j, n);
            add_part(s, f + i + j, scaled, 1, n, stalls);
        }
    }
}

void branch_add_last(branch_sums *s, const real *f, const real *last, size_t n)
{
    s->with_last += product(f, last, n);
}

static metric_value quotient(double top, double bottom)
{
    return bottom == 0 ? value_undefined(REASON_ZERO) : value_of(top / bottom);
}

void branch_finish(const branch_sums *s, const branch_sums *last, metric_value out[])
{
    const double length = sqrt(s->branch_sq), stream = sqrt(s->stream_sq);
    out[METRIC_branch_ratio] = quotient(length, stream);
    out[METRIC_branch_cos] = quotient(s->dot, length * stream);
    out[METRIC_bf16_stall] = value_of((double)s->stalled / (double)s->n);
    if (last) out[METRIC_branch_alignment] = quotient(s->with_last, length * sqrt(last->branch_sq));
}
