#pragma GCC optimize("fp-contract=fast")

#include "core/metric/slab.h"

#include "core/metric/lanes.h"

enum { ROW_ARRAYS = 8, COL_ARRAYS = 7, SUMS_ROWS = 4, CENTRE_ROWS = 2 };

static size_t padded(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
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
    return s->causal && i + 1 < s->cols ? i + 1 : s->cols;
}

/* R rows at once, so that a column sum is loaded and stored once for all of them. masked: entries
 * may be missing (R = 1); the part of the last eight beyond the row's end is filled with NaN and so
 * masked like one. Returns the largest |x|. */
INLINE double sum_rows(slab *s, size_t i, const int R, const bool masked)
{
    f64x8 sum[SUMS_ROWS] = {0}, sq[SUMS_ROWS] = {0}, mag[SUMS_ROWS] = {0}, count = {0}, most = {0};
    const size_t length = masked ? row_length(s, i) : s->cols;
    const real *x = s->x + i * s->ld;
    for (size_t j = 0; j < length; j += LANES) {
        f64x8 col_sum = *(f64x8 *)(s->col_sum + j), col_abs = *(f64x8 *)(s->col_abs + j);
        for (int r = 0; r < R; r++) {
            f64x8 v;
            if (!masked || j + LANES <= length) {
                v = LANES_LOAD(x + (size_t)r * s->ld + j);
            } else {
                LANES_LOAD_PART(v, x + j, length - j);
            }
            if (masked) {
                const i64x8 counts = v - v == 0;
                const f64x8 one = LANES_AND(LANES_ALL(1.0), counts);
                v = LANES_AND(v, counts);
                count += one;
                *(f64x8 *)(s->col_n + j) += one;
            }
            const f64x8 a = LANES_ABS(v);
            sum[r] += v;
            sq[r] += v * v;
            mag[r] += a;
            col_sum += v;
            col_abs += a;
            most = LANES_MAX(a, most);
        }
        *(f64x8 *)(s->col_sum + j) = col_sum;
        *(f64x8 *)(s->col_abs + j) = col_abs;
    }
    for (int r = 0; r < R; r++) {
        s->row_n[i + (size_t)r] = masked ? lanes_sum(&count) : (double)s->cols;
        s->row_sum[i + (size_t)r] = lanes_sum(&sum[r]);
        s->row_sq[i + (size_t)r] = lanes_sum(&sq[r]);
        s->row_abs[i + (size_t)r] = lanes_sum(&mag[r]);
    }
    return lanes_max(&most);
}

CLONES static double sums_plain(slab *s)
{
    double most = 0;
    size_t i = 0;
    for (; i + SUMS_ROWS <= s->rows; i += SUMS_ROWS)
        most = fmax(most, sum_rows(s, i, SUMS_ROWS, false));
    for (; i < s->rows; i++) most = fmax(most, sum_rows(s, i, 1, false));
    return most;
}

CLONES static double sums_masked(slab *s)
{
    double most = 0;
    for (size_t i = 0; i < s->rows; i++) most = fmax(most, sum_rows(s, i, 1, true));
    return most;
}

static double total(const double *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i];
    return sum;
}

static uint64_t visible(const slab *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->rows; i++) n += row_length(s, i);
    return n;
}

static void clear_sums(slab *s)
{
    clear(s->col_n, s->cols);
    clear(s->col_sum, s->cols);
    clear(s->col_abs, s->cols);
}

void slab_sums(
    slab *s, const real *x, size_t rows, size_t cols, size_t ld, bool causal, void *memory)
{
    *s = (slab){.x = x, .rows = rows, .cols = cols, .ld = ld, .causal = causal};
    carve(s, memory);
    clear_sums(s);
    bool whole = !causal && cols % LANES == 0;
    if (whole) {
        s->max_abs = sums_plain(s);
        /* A sum of magnitudes is finite only if every entry is. */
        whole = isfinite(total(s->row_abs, rows));
        if (whole) {
            for (size_t j = 0; j < cols; j++) s->col_n[j] = (double)rows;
        } else {
            clear_sums(s);
        }
    }
    if (!whole) s->max_abs = sums_masked(s);
    s->n = (uint64_t)total(s->row_n, rows);
    s->nonfinite = visible(s) - s->n;
    s->sum = total(s->row_sum, rows);
    s->sum_sq = total(s->row_sq, rows);
}

/* What the second pass adds up over the whole slab. */
typedef struct centred {
    f64x8 m2, m3, m4, col_var, residual_sq;
} centred;

INLINE void centre_rows(slab *s, size_t i, const int R, const bool masked, centred *out)
{
    f64x8 m2 = {0}, m3 = {0}, m4 = {0}, col_var = {0}, residual_sq = {0};
    f64x8 row_var[CENTRE_ROWS] = {0}, row_residual[CENTRE_ROWS] = {0};
    const size_t length = masked ? row_length(s, i) : s->cols;
    const real *x = s->x + i * s->ld;
    const f64x8 mean = LANES_ALL(s->mean);
    for (size_t j = 0; j < length; j += LANES) {
        const f64x8 col_mean = *(f64x8 *)(s->col_mean + j);
        f64x8 col_residual = *(f64x8 *)(s->col_residual + j), unit = *(f64x8 *)(s->col_unit + j);
        for (int r = 0; r < R; r++) {
            f64x8 v;
            if (!masked || j + LANES <= length) {
                v = LANES_LOAD(x + (size_t)r * s->ld + j);
            } else {
                LANES_LOAD_PART(v, x + j, length - j);
            }
            f64x8 d = v - mean, e = v - s->row_mean[i + (size_t)r], f = v - col_mean;
            if (masked) {
                const i64x8 counts = v - v == 0;
                v = LANES_AND(v, counts);
                d = LANES_AND(d, counts);
                e = LANES_AND(e, counts);
                f = LANES_AND(f, counts);
            }
            const f64x8 dd = d * d, magnitude = LANES_ABS(f);
            m2 += dd;
            m3 += dd * d;
            m4 += dd * dd;
            row_var[r] += e * e;
            residual_sq += f * f;
            if (masked) col_var += f * f * *(f64x8 *)(s->col_weight + j);
            row_residual[r] += magnitude;
            col_residual += magnitude;
            unit += v * s->row_scale[i + (size_t)r];
        }
        *(f64x8 *)(s->col_residual + j) = col_residual;
        *(f64x8 *)(s->col_unit + j) = unit;
    }
    out->m2 += m2;
    out->m3 += m3;
    out->m4 += m4;
    out->col_var += col_var;
    out->residual_sq += residual_sq;
    for (int r = 0; r < R; r++) {
        const double n = s->row_n[i + (size_t)r];
        s->row_var[i + (size_t)r] = n > 0 ? lanes_sum(&row_var[r]) / n : 0;
        s->row_residual[i + (size_t)r] = lanes_sum(&row_residual[r]);
    }
}

CLONES static void centre_plain(slab *s, centred *out)
{
    size_t i = 0;
    for (; i + CENTRE_ROWS <= s->rows; i += CENTRE_ROWS) centre_rows(s, i, CENTRE_ROWS, false, out);
    for (; i < s->rows; i++) centre_rows(s, i, 1, false, out);
}

CLONES static void centre_masked(slab *s, centred *out)
{
    for (size_t i = 0; i < s->rows; i++) centre_rows(s, i, 1, true, out);
}

void slab_centre(slab *s)
{
    const bool whole = !s->causal && s->cols % LANES == 0 && s->nonfinite == 0;
    centred c = {0};
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
    if (whole) {
        centre_plain(s, &c);
    } else {
        centre_masked(s, &c);
    }
    s->central[0] = lanes_sum(&c.m2);
    s->central[1] = lanes_sum(&c.m3);
    s->central[2] = lanes_sum(&c.m4);
    s->residual_sq = lanes_sum(&c.residual_sq);
    s->col_var = whole ? s->residual_sq / (double)s->rows : lanes_sum(&c.col_var);
}
