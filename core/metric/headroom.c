#include "core/metric/headroom.h"

#include <float.h>
#include <math.h>

static const float_format *row(int k)
{
    return &format_table[FORMAT_fp16 + k];
}

/* The first metric of each format's block. */
static const metric first[HEADROOM_FORMATS] = {
#define FORMAT(name, ...) METRIC_##name##_headroom_bits,
#include "core/base/format.def"
#undef FORMAT
};

#if REAL_BITS == 64
#define REAL_LARGEST DBL_MAX
#else
#define REAL_LARGEST FLT_MAX
#endif

enum { PIECE = 1 << 12, OF_VALUES = 4, OF_GRADIENTS = 5, BLOCK = OF_VALUES + OF_GRADIENTS };

/* Entries of a piece by size. */
typedef struct census {
    uint32_t finite, zero;
    real most;
} census;

CLONES static census take_census(const real *x, size_t n)
{
    uint32_t finite = 0, zero = 0;
    real most = 0;
#pragma omp simd reduction(+ : finite, zero) reduction(max : most)
    for (size_t i = 0; i < n; i++) {
        const real a = (real)fabs(x[i]);
        const bool counts = a <= REAL_LARGEST;
        finite += counts;
        zero += a == 0;
        most = counts && a > most ? a : most;
    }
    return (census){finite, zero, most};
}

CLONES static uint32_t count_above(const real *x, size_t n, real limit)
{
    uint32_t count = 0;
#pragma omp simd reduction(+ : count)
    for (size_t i = 0; i < n; i++) {
        const real a = (real)fabs(x[i]);
        count += a > limit && a <= REAL_LARGEST;
    }
    return count;
}

CLONES static uint32_t count_below(const real *x, size_t n, real limit)
{
    uint32_t count = 0;
#pragma omp simd reduction(+ : count)
    for (size_t i = 0; i < n; i++) count += (real)fabs(x[i]) < limit;
    return count;
}

CLONES static uint32_t count_up_to(const real *x, size_t n, real limit)
{
    uint32_t count = 0;
#pragma omp simd reduction(+ : count)
    for (size_t i = 0; i < n; i++) count += (real)fabs(x[i]) <= limit;
    return count;
}

double headroom_max(int k)
{
    return row(k)->max_finite;
}

bool headroom_is_metric(int m)
{
    return m >= (int)first[0] && m < (int)first[0] + HEADROOM_FORMATS * BLOCK;
}

bool headroom_is_of_gradients(int m)
{
    return (m - (int)first[0]) % BLOCK >= OF_VALUES;
}

void headroom_reset(headroom_counts *c)
{
    *c = (headroom_counts){0};
}

static void add_piece(headroom_counts *c, const real *x, size_t n)
{
    const census seen = take_census(x, n);
    c->n += seen.finite;
    c->max_abs = fmax(c->max_abs, (double)seen.most);
    for (int f = 0; f < HEADROOM_FORMATS; f++) {
        const double largest = row(f)->max_finite, normal = ldexp(1, row(f)->e_min);
        const double flush = ldexp(normal, -row(f)->mantissa - 1);
        if ((double)seen.most > largest) c->over[f] += count_above(x, n, (real)largest);
        const uint32_t small = count_below(x, n, (real)normal) - seen.zero;
        c->subnormal[f] += small;
        if (small) c->flushed[f] += count_up_to(x, n, (real)flush) - seen.zero;
    }
}

void headroom_add(headroom_counts *c, const real *x, size_t n)
{
    for (size_t i = 0; i < n; i += PIECE) add_piece(c, x + i, n - i < PIECE ? n - i : PIECE);
}

void headroom_merge(headroom_counts *into, const headroom_counts *from)
{
    into->n += from->n;
    into->max_abs = fmax(into->max_abs, from->max_abs);
    for (int f = 0; f < HEADROOM_FORMATS; f++) {
        into->over[f] += from->over[f];
        into->subnormal[f] += from->subnormal[f];
        into->flushed[f] += from->flushed[f];
    }
}

static metric_value headroom(const headroom_counts *c, int f)
{
    if (c->n == 0) return value_undefined(REASON_NO_ENTRIES);
    if (c->max_abs == 0) return value_undefined(REASON_ZERO);
    const double largest = row(f)->max_finite, ratio = largest / c->max_abs;
    return value_of(isinf(ratio) ? log2(largest) - log2(c->max_abs) : log2(ratio));
}

static metric_value share(const headroom_counts *c, uint64_t count)
{
    if (c->n == 0) return value_undefined(REASON_NO_ENTRIES);
    return value_of((double)count / (double)c->n);
}

void headroom_finish(const headroom_counts *c, bool gradients, metric_value out[])
{
    for (int f = 0; f < HEADROOM_FORMATS; f++) {
        metric_value *to = out + first[f] + (gradients ? OF_VALUES : 0), room = headroom(c, f);
        to[0] = room;
        to[1] = share(c, c->over[f]);
        to[2] = share(c, c->subnormal[f]);
        to[3] = share(c, c->flushed[f]);
        if (gradients) to[4] = room.reason ? room : value_of(exp2(floor(room.value - 1)));
    }
}
