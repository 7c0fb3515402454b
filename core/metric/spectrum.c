/* Fused multiply-adds: GCC 12 treats -ffp-contract=on as off. */
#pragma GCC optimize("fp-contract=fast")

#include "core/metric/spectrum.h"

#include "core/metric/lanes.h"

#include <float.h>
#include <stdbool.h>

/* VECTORS: arrays of n that the reduction works with, GROUP_VECTORS those that each group of
 * matrices keeps. TOGETHER: groups that share the sweeps of the last stage. */
enum { VECTORS = 5, GROUP_VECTORS = 3, TOGETHER = 2 };

/* From here on eight triangles are too much more than a second-level cache of 2 MiB; four fit up to
 * 1.4 times 256. Measured, 8 pairs, 4 and 8 wide: 6.8 and 6.0 ms at 256, 9.1 and 8.6 at 288, 12.3
 * and 12.7 at 320. */
enum { SECOND_CACHE_N = 300 };

static size_t triangle(size_t n)
{
    return n * (n + 1) / 2;
}

size_t spectrum_scratch_bytes(int n)
{
    const size_t groups = SPECTRUM_LANES / LANES_WIDEST;
    return (triangle((size_t)n) + (VECTORS + groups * GROUP_VECTORS) * (size_t)n) * sizeof(f64x8);
}

/* The exponent e for which 2^-e brings the largest entry below 1, or -1 for an entry that is not
 * finite. Magnitudes are compared as integers, where NaN and Inf are the largest. */
CLONES static bool exponent_of(const double *gram, int n, int *exponent)
{
    int64_t most = 0;
    for (int i = 0; i < n; i++) {
        const int64_t *row = (const int64_t *)(const void *)(gram + (size_t)i * (size_t)n);
        for (int j = 0; j <= i; j++) {
            const int64_t bits = row[j] & INT64_MAX;
            most = bits > most ? bits : most;
        }
    }
    double largest;
    memcpy(&largest, &most, sizeof largest);
    *exponent = 0;
    if (!isfinite(largest)) return false;
    frexp(largest, exponent);
    if (*exponent < -1000) *exponent = -1000;
    return true;
}

/* What one lane is filled from: a matrix and the power of two that brings it below 1; a lane
 * without a matrix, or with one that is not finite, is zero. */
typedef struct source {
    const double *gram;
    double factor;
    int exponent;
    bool finite;
} source;

static void scale(source *from, const double *gram, int n, double corner)
{
    int other = 0;
    *from = (source){.gram = gram};
    from->finite = gram && exponent_of(gram, n, &from->exponent) && isfinite(corner);
    if (from->finite) frexp(corner, &other);
    if (corner > 0 && other > from->exponent) from->exponent = other;
    from->factor = ldexp(1, -from->exponent);
}

/* What is asked for: see spectrum_pairs. */
typedef struct lanes_job {
    const double *const *gram;
    const double *corner; /* [lanes], or NULL */
    int lanes, n;
    double *const *first, *const *second; /* second may be NULL */
} lanes_job;

/* Eigenvalues of [[a, b], [b, c]], bb = b^2: the larger by adding what has one sign, the other from
 * the determinant (as LAPACK dlae2). */
static void solve_2x2(double *a, double *c, double bb)
{
    const double sum = *a + *c, gap = *a - *c, root = sqrt(gap * gap + 4 * bb);
    const double big = fabs(*a) > fabs(*c) ? *a : *c, small = fabs(*a) > fabs(*c) ? *c : *a;
    if (sum == 0) {
        *a = root / 2;
        *c = -root / 2;
        return;
    }
    const double first = sum < 0 ? (sum - root) / 2 : (sum + root) / 2;
    *a = first;
    *c = big / first * small - sqrt(bb) / first * sqrt(bb);
}

#define LANES 8
#include "core/metric/lanes_kernel.h"
#include "core/metric/spectrum_kernel.h"
#undef LANES
#define LANES 4
#include "core/metric/lanes_kernel.h"
#include "core/metric/spectrum_kernel.h"

static void solve(const lanes_job *job, void *scratch, int width)
{
    if (width == 8) {
        solve_8(job, scratch);
    } else {
        solve_4(job, scratch);
    }
}

static int width_for(int n)
{
    return n < SECOND_CACHE_N ? lanes_width() : 4;
}

void spectrum_lanes(
    const double *const *gram, int lanes, int n, double *const *eigenvalues, void *scratch)
{
    spectrum_lanes_width(gram, lanes, n, eigenvalues, scratch, width_for(n));
}

void spectrum_lanes_width(const double *const *gram,
                          int lanes,
                          int n,
                          double *const *eigenvalues,
                          void *scratch,
                          int width)
{
    const lanes_job job = {.gram = gram, .lanes = lanes, .n = n, .first = eigenvalues};
    solve(&job, scratch, width);
}

void spectrum_pairs(const double *const *gram,
                    const double *corner,
                    int lanes,
                    int n,
                    double *const *first,
                    double *const *second,
                    void *scratch)
{
    spectrum_pairs_width(gram, corner, lanes, n, first, second, scratch, width_for(n));
}

void spectrum_pairs_width(const double *const *gram,
                          const double *corner,
                          int lanes,
                          int n,
                          double *const *first,
                          double *const *second,
                          void *scratch,
                          int width)
{
    const lanes_job job = {gram, corner, lanes, n, first, second};
    solve(&job, scratch, width);
}
