#include "core/math/orthogonal.h"

#include "core/real.h"

#include <math.h>
#include <string.h>

enum { W = ORTHOGONAL_PANEL };

static size_t blocks(size_t n)
{
    return (n + RNG_BLOCK - 1) / RNG_BLOCK;
}

size_t orthogonal_doubles(size_t m)
{
    return m * W + blocks(m) * RNG_BLOCK;
}

/* p := p - s v (v' p) for each of the W columns of p [n, W]. */
CLONES static void reflect(double *restrict p, const double *restrict v, size_t n, double s)
{
    double dot[W] = {0};
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < W; j++) dot[j] += v[i] * p[i * W + j];
    for (int j = 0; j < W; j++) dot[j] *= s;
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < W; j++) p[i * W + j] -= v[i] * dot[j];
}

CLONES static double sum_of_squares(const double *x, size_t n)
{
    enum { LANES = 16 };
    double lanes[LANES] = {0}, sum = 0;
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++) lanes[j] += x[i + j] * x[i + j];
    for (int j = 0; j < LANES; j++) sum += lanes[j];
    for (size_t i = whole; i < n; i++) sum += x[i] * x[i];
    return sum;
}

void orthogonal_panel(double *work, size_t m, size_t first, size_t width, const rng *r)
{
    double *panel = work, *v = work + m * W;
    memset(panel, 0, m * W * sizeof *panel);
    for (size_t k = first + width; k-- > 0;) {
        size_t n = m - k;
        for (size_t b = 0; b < blocks(n); b++)
            rng_normal_block(r, k * blocks(m) + b, v + b * RNG_BLOCK);
        double norm = sqrt(sum_of_squares(v, n)), head = fabs(v[0]);
        if (k >= first) panel[k * W + (k - first)] = v[0] < 0 ? 1 : -1;
        v[0] += copysign(norm, v[0]);
        reflect(panel + k * W, v, n, 1 / (norm * (norm + head)));
    }
}
