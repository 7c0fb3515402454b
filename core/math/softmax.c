#include "core/math/softmax.h"

#include "core/math/exp_down.h"

#define INLINE static inline __attribute__((always_inline))

enum { VECTOR_ENTRIES = 16 };

INLINE void fill(real *x, size_t from, size_t to, real with)
{
    for (size_t i = from; i < to; i++) x[i] = with;
}

/* Loops run over whole vectors: the few masked entries at both ends are made harmless first,
 * because a scalar exp for each left-over entry costs more than all the vectors of a row. */
INLINE size_t vector_before(size_t n)
{
    return n / VECTOR_ENTRIES * VECTOR_ENTRIES;
}

INLINE size_t vector_after(const softmax_block *b, size_t n)
{
    size_t up = vector_before(n + VECTOR_ENTRIES - 1);
    return up < b->width ? up : b->width;
}

/* -Inf is below every logit, however low a network without norms makes them. */
#define MASKED ((real)-INFINITY)

INLINE size_t row_end(const softmax_block *b, size_t r)
{
    size_t n = b->n + r * b->step;
    return n < b->width ? n : b->width;
}

INLINE size_t row_first(const softmax_block *b, size_t r)
{
    long first = b->windowed ? b->skip + (long)r : 0;
    return first > 0 ? (size_t)first : 0;
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
        real e = exp_down(x[i] - max);
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
        real s = x[i] - max, e = exp_down(s);
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
        size_t n = row_end(&b, r), first = row_first(&b, r);
        size_t low = vector_before(first), count = vector_after(&b, n) - low;
        real *at = x + low;
        double along = 0;
        fill(x, low, first, MASKED);
        fill(x, n, low + count, MASKED);
        real top = row_max(at, count);
        real sum = entropy ? row_exp_along(at, top, count, &along) : row_exp(at, top, count);
        real factor = 1 / sum;
        for (size_t i = 0; i < count; i++) at[i] *= factor;
        fill(x, b.left, first, 0);
        fill(x, n, b.right, 0);
        max[r] = top;
        inverse[r] = factor;
        if (entropy) entropy[r] = (real)(log((double)sum) - along / (double)sum);
    }
}

CLONES static void
again(softmax_block b, real *x, const real *restrict max, const real *restrict inverse)
{
    for (size_t r = 0; r < b.rows; r++, x += b.width) {
        size_t n = row_end(&b, r), first = row_first(&b, r);
        size_t low = vector_before(first), count = vector_after(&b, n) - low;
        real top = max[r], factor = inverse[r], *at = x + low;
        fill(x, low, first, MASKED);
        fill(x, n, low + count, MASKED);
#pragma omp simd
        for (size_t i = 0; i < count; i++) at[i] = exp_down(at[i] - top) * factor;
        fill(x, b.left, first, 0);
        fill(x, n, b.right, 0);
    }
}

CLONES static void backward(softmax_block b, real *dx, real *dy, const real *restrict y)
{
    for (size_t r = 0; r < b.rows; r++, dx += b.width, dy += b.width, y += b.width) {
        size_t n = row_end(&b, r), first = row_first(&b, r);
        size_t low = vector_before(first), count = vector_after(&b, n) - low;
        real dot = 0, *dx_at = dx + low, *dy_at = dy + low;
        const real *y_at = y + low;
        fill(dy, low < b.left ? low : b.left, first, 0);
        fill(dy, n, low + count > b.right ? low + count : b.right, 0);
#pragma omp simd reduction(+ : dot)
        for (size_t i = 0; i < count; i++) dot += y_at[i] * dy_at[i];
#pragma omp simd
        for (size_t i = 0; i < count; i++) dx_at[i] = y_at[i] * (dy_at[i] - dot);
        fill(dx, b.left, first, 0);
        fill(dx, n, b.right, 0);
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
