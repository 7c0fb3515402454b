/* Fused multiply-adds: GCC 12 treats -ffp-contract=on as off. */
#pragma GCC optimize("fp-contract=fast")

#include "core/metric/slab.h"

#include "core/metric/lanes.h"

enum { ROW_ARRAYS = 8, COL_ARRAYS = 7 };

static size_t padded(size_t n)
{
    return (n + LANES_WIDEST - 1) / LANES_WIDEST * LANES_WIDEST;
}

size_t slab_bytes(size_t rows, size_t cols)
{
    return (ROW_ARRAYS * padded(rows) + COL_ARRAYS * padded(cols)) * sizeof(double);
}

static void carve(slab *s, double *at)
{
    double **const row[ROW_ARRAYS] = {&s->row_n,   &s->row_sum,      &s->row_sq,   &s->row_abs,
                                      &s->row_var, &s->row_residual, &s->row_mean, &s->row_scale};
    double **const col[COL_ARRAYS] = {&s->col_n,        &s->col_sum,  &s->col_abs,   &s->col_mean,
                                      &s->col_residual, &s->col_unit, &s->col_weight};
    for (int k = 0; k < ROW_ARRAYS; k++, at += padded(s->rows)) *row[k] = at;
    for (int k = 0; k < COL_ARRAYS; k++, at += padded(s->cols)) *col[k] = at;
}

static void clear(double *a, size_t n)
{
    memset(a, 0, padded(n) * sizeof *a);
}

INLINE size_t row_length(const slab *s, size_t i)
{
    size_t end = s->causal ? i + 1 : s->window ? i + s->window : s->cols;
    return end < s->cols ? end : s->cols;
}

INLINE size_t row_first(const slab *s, size_t i)
{
    return s->window && i >= s->window ? i - s->window + 1 : 0;
}

#define LANES 8
#include "core/metric/lanes_kernel.h"
#include "core/metric/slab_kernel.h"
#undef LANES
#define LANES 4
#include "core/metric/lanes_kernel.h"
#include "core/metric/slab_kernel.h"

static double total(const double *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i];
    return sum;
}

static uint64_t visible(const slab *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->rows; i++) n += row_length(s, i) - row_first(s, i);
    return n;
}

static void clear_sums(slab *s)
{
    clear(s->col_n, s->cols);
    clear(s->col_sum, s->cols);
    clear(s->col_abs, s->cols);
}

static void sums_one_by_one(slab *s)
{
    s->masked = true;
    clear_sums(s);
    s->max_abs = s->width == 8 ? sums_masked_8(s) : sums_masked_4(s);
}

static void sums_whole(slab *s)
{
    clear_sums(s);
    s->max_abs = s->width == 8 ? sums_plain_8(s) : sums_plain_4(s);
    /* an entry is not, or float64 sums overflow */
    if (!isfinite(total(s->norms ? s->row_sq : s->row_abs, s->rows))) {
        sums_one_by_one(s);
        return;
    }
    for (size_t j = 0; j < s->cols; j++)
        s->col_n[j] = (double)(!s->causal ? s->rows : j < s->rows ? s->rows - j : 0);
}

static void sum_up(slab *s, void *memory)
{
    carve(s, memory);
    if (s->window)
        sums_one_by_one(s);
    else
        sums_whole(s);
    s->n = (uint64_t)total(s->row_n, s->rows);
    s->nonfinite = visible(s) - s->n;
    s->sum = total(s->row_sum, s->rows);
    s->sum_sq = total(s->row_sq, s->rows);
}

void slab_sums(
    slab *s, const real *x, size_t rows, size_t cols, size_t ld, bool causal, void *memory)
{
    slab_sums_width(s, x, rows, cols, ld, causal, 0, memory, lanes_width());
}

void slab_sums_window(
    slab *s, const real *x, size_t rows, size_t ld, bool causal, size_t window, void *memory)
{
    slab_sums_width(s, x, rows, rows, ld, causal, window, memory, lanes_width());
}

void slab_sums_width(slab *s,
                     const real *x,
                     size_t rows,
                     size_t cols,
                     size_t ld,
                     bool causal,
                     size_t window,
                     void *memory,
                     int width)
{
    *s = (slab){.x = x,
                .rows = rows,
                .cols = cols,
                .ld = ld,
                .causal = causal,
                .window = window,
                .width = width};
    sum_up(s, memory);
}

void slab_norms(slab *s,
                const real *x,
                size_t rows,
                size_t cols,
                size_t ld,
                bool causal,
                size_t window,
                void *memory)
{
    *s = (slab){.x = x,
                .rows = rows,
                .cols = cols,
                .ld = ld,
                .causal = causal,
                .norms = true,
                .window = window,
                .width = lanes_width()};
    sum_up(s, memory);
}

void slab_centre(slab *s)
{
    s->mean = s->n > 0 ? s->sum / (double)s->n : 0;
    for (size_t i = 0; i < s->rows; i++) {
        s->row_mean[i] = s->row_n[i] > 0 ? s->row_sum[i] / s->row_n[i] : 0;
        s->row_scale[i] = s->row_sq[i] > 0 ? 1 / sqrt(s->row_sq[i]) : 0;
    }
    clear(s->col_mean, s->cols);
    clear(s->col_weight, s->cols);
    clear(s->col_residual, s->cols);
    clear(s->col_unit, s->cols);
    for (size_t j = 0; j < s->cols; j++) {
        if (s->col_n[j] == 0) continue;
        s->col_weight[j] = 1 / s->col_n[j];
        s->col_mean[j] = s->col_sum[j] / s->col_n[j];
    }
    if (s->width == 8) {
        centre_8(s);
    } else {
        centre_4(s);
    }
}
