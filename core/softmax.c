#include "core/softmax.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void clear(real *x, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) x[i] = 0;
}

INLINE real row_max(const real *x, size_t n)
{
    real max = x[0];
#pragma omp simd reduction(max : max)
    for (size_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

INLINE real row_exp(real *x, real max, size_t n)
{
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        real e = EXP(x[i] - max);
        sum += e;
        x[i] = e;
    }
    return sum;
}

INLINE real row_exp_along(real *x, real max, size_t n, double *along)
{
    real sum = 0;
    double total = 0;
#pragma omp simd reduction(+ : sum, total)
    for (size_t i = 0; i < n; i++) {
        real s = x[i] - max, e = EXP(s);
        sum += e;
        total += e > 0 ? (double)(e * s) : 0;
        x[i] = e;
    }
    *along = total;
    return sum;
}

CLONES static void forward(
    softmax_block b, real *x, real *restrict max, real *restrict inverse, real *restrict entropy)
{
    for (size_t r = 0; r < b.rows; r++, x += b.width) {
        size_t n = b.n + r * b.step;
        double along = 0;
        real top = row_max(x, n),
             sum = entropy ? row_exp_along(x, top, n, &along) : row_exp(x, top, n);
        real factor = 1 / sum;
        for (size_t i = 0; i < n; i++) x[i] *= factor;
        clear(x, n, b.width);
        max[r] = top;
        inverse[r] = factor;
        if (entropy) entropy[r] = (real)(log((double)sum) - along / (double)sum);
    }
}

CLONES static void
again(softmax_block b, real *x, const real *restrict max, const real *restrict inverse)
{
    for (size_t r = 0; r < b.rows; r++, x += b.width) {
        size_t n = b.n + r * b.step;
        real top = max[r], factor = inverse[r];
#pragma omp simd
        for (size_t i = 0; i < n; i++) x[i] = EXP(x[i] - top) * factor;
        clear(x, n, b.width);
    }
}

CLONES static void backward(softmax_block b, real *dx, real *dy, const real *restrict y)
{
    for (size_t r = 0; r < b.rows; r++, dx += b.width, dy += b.width, y += b.width) {
        size_t n = b.n + r * b.step;
        real dot = 0;
#pragma omp simd reduction(+ : dot)
        for (size_t i = 0; i < n; i++) dot += y[i] * dy[i];
#pragma omp simd
        for (size_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - dot);
        clear(dx, n, b.width);
        if (dx != dy) clear(dy, n, b.width);
    }
}

void softmax_forward(const softmax_block *b, real *x, real *max, real *inverse, real *entropy)
{
    forward(*b, x, max, inverse, entropy);
}

void softmax_again(const softmax_block *b, real *x, const real *max, const real *inverse)
{
    again(*b, x, max, inverse);
}

void softmax_backward(const softmax_block *b, real *dx, real *dy, const real *y)
{
    backward(*b, dx, dy, y);
}
