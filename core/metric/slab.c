/* Fused multiply-adds: GCC 12 treats -ffp-contract=on as off. */
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

/* Eight entries of a row at x, of which the first `visible` are (possibly none or all): out, and in
 * counts which of them count. Reads no further than the row, of which `left` entries are left. */
#define LOAD_EDGE(out, counts, x, visible, left, masked)                                           \
    do {                                                                                           \
        const f64x8 lane_ = {0, 1, 2, 3, 4, 5, 6, 7};                                              \
        if ((left) >= LANES) {                                                                     \
            (out) = LANES_LOAD(x);                                                                 \
        } else {                                                                                   \
            LANES_LOAD_PART(out, x, left);                                                         \
        }                                                                                          \
        (counts) = lane_ < (double)(visible);                                                      \
        (out) = LANES_AND(out, counts);                                                            \
        if (masked) {                                                                              \
            const i64x8 finite_ = (out) - (out) == 0;                                              \
            (out) = LANES_AND(out, finite_);                                                       \
            (counts) &= finite_;                                                                   \
        }                                                                                          \
    } while (0)

/* Rows i..i+R-1, so that a column sum is loaded and stored once for all of them. First the columns
 * that all of them have, eight by eight, then the edge, where a row may end. masked: entries may be
 * NaN or Inf, and every column is edge. Returns the largest |x|. */
INLINE double sum_rows(slab *s, size_t i, const int R, const bool masked)
{
    f64x8 sum[SUMS_ROWS] = {0}, sq[SUMS_ROWS] = {0}, mag[SUMS_ROWS] = {0}, n[SUMS_ROWS] = {0};
    f64x8 most = {0};
    const size_t whole = masked ? 0 : row_length(s, i) / LANES * LANES;
    const size_t end = row_length(s, i + (size_t)R - 1);
    const real *x = s->x + i * s->ld;
    for (size_t j = 0; j < whole; j += LANES) {
        f64x8 col_sum = *(f64x8 *)(s->col_sum + j), col_abs = *(f64x8 *)(s->col_abs + j);
        for (int r = 0; r < R; r++) {
            const f64x8 v = LANES_LOAD(x + (size_t)r * s->ld + j), a = LANES_ABS(v);
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
    for (size_t j = whole; j < end; j += LANES) {
        for (int r = 0; r < R; r++) {
            const size_t length = row_length(s, i + (size_t)r);
            i64x8 counts;
            f64x8 v;
            LOAD_EDGE(v, counts, x + (size_t)r * s->ld + j, length > j ? length - j : 0,
                      s->cols - j, masked);
            const f64x8 a = LANES_ABS(v), one = LANES_AND(LANES_ALL(1.0), counts);
            sum[r] += v;
            sq[r] += v * v;
            mag[r] += a;
            n[r] += one;
            *(f64x8 *)(s->col_sum + j) += v;
            *(f64x8 *)(s->col_abs + j) += a;
            if (masked) *(f64x8 *)(s->col_n + j) += one;
            most = LANES_MAX(a, most);
        }
    }
    for (int r = 0; r < R; r++) {
        s->row_n[i + (size_t)r] = (double)whole + lanes_sum(&n[r]);
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
    s->max_abs = sums_plain(s);
    if (isfinite(total(s->row_abs, rows))) {
        for (size_t j = 0; j < cols; j++)
            s->col_n[j] = (double)(!causal ? rows : j < rows ? rows - j : 0);
    } else { /* an entry is not, or float64 sums overflow */
        s->masked = true;
        clear_sums(s);
        s->max_abs = sums_masked(s);
    }
    s->n = (uint64_t)total(s->row_n, rows);
    s->nonfinite = visible(s) - s->n;
    s->sum = total(s->row_sum, rows);
    s->sum_sq = total(s->row_sq, rows);
}

/* What the second pass adds up over the whole slab. */
typedef struct centred {
    f64x8 m2, m3, m4, col_var, residual_sq;
} centred;

/* Where what is summed of eight entries goes: r is the row within the block. */
#define CENTRE(v, d, e, f, r)                                                                      \
    do {                                                                                           \
        const f64x8 dd_ = (d) * (d), ff_ = (f) * (f), magnitude_ = LANES_ABS(f);                   \
        m2 += dd_;                                                                                 \
        m3 += dd_ * (d);                                                                           \
        m4 += dd_ * dd_;                                                                           \
        row_var[r] += (e) * (e);                                                                   \
        residual_sq += ff_;                                                                        \
        if (weighted) col_var += ff_ * weight;                                                     \
        row_residual[r] += magnitude_;                                                             \
        col_residual += magnitude_;                                                                \
        unit += (v)*scale[r];                                                                      \
    } while (0)

/* weighted: the columns differ in how many entries they have. */
INLINE void
centre_rows(slab *s, size_t i, const int R, const bool masked, const bool weighted, centred *out)
{
    f64x8 m2 = {0}, m3 = {0}, m4 = {0}, col_var = {0}, residual_sq = {0};
    f64x8 row_var[CENTRE_ROWS] = {0}, row_residual[CENTRE_ROWS] = {0};
    f64x8 row_mean[CENTRE_ROWS], scale[CENTRE_ROWS];
    const f64x8 mean = LANES_ALL(s->mean);
    const size_t whole = masked ? 0 : row_length(s, i) / LANES * LANES;
    const size_t end = row_length(s, i + (size_t)R - 1);
    const real *x = s->x + i * s->ld;
    for (int r = 0; r < R; r++) {
        row_mean[r] = LANES_ALL(s->row_mean[i + (size_t)r]);
        scale[r] = LANES_ALL(s->row_scale[i + (size_t)r]);
    }
    for (size_t j = 0; j < end; j += LANES) {
        const f64x8 col_mean = *(f64x8 *)(s->col_mean + j), weight = *(f64x8 *)(s->col_weight + j);
        f64x8 col_residual = *(f64x8 *)(s->col_residual + j), unit = *(f64x8 *)(s->col_unit + j);
        for (int r = 0; r < R; r++) {
            const real *at = x + (size_t)r * s->ld + j;
            if (j < whole) {
                const f64x8 v = LANES_LOAD(at);
                CENTRE(v, v - mean, v - row_mean[r], v - col_mean, r);
            } else {
                const size_t length = row_length(s, i + (size_t)r);
                i64x8 counts;
                f64x8 v;
                LOAD_EDGE(v, counts, at, length > j ? length - j : 0, s->cols - j, masked);
                CENTRE(v, LANES_AND(v - mean, counts), LANES_AND(v - row_mean[r], counts),
                       LANES_AND(v - col_mean, counts), r);
            }
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
    for (; i + CENTRE_ROWS <= s->rows; i += CENTRE_ROWS)
        centre_rows(s, i, CENTRE_ROWS, false, false, out);
    for (; i < s->rows; i++) centre_rows(s, i, 1, false, false, out);
}

CLONES static void centre_causal(slab *s, centred *out)
{
    size_t i = 0;
    for (; i + CENTRE_ROWS <= s->rows; i += CENTRE_ROWS)
        centre_rows(s, i, CENTRE_ROWS, false, true, out);
    for (; i < s->rows; i++) centre_rows(s, i, 1, false, true, out);
}

CLONES static void centre_masked(slab *s, centred *out)
{
    for (size_t i = 0; i < s->rows; i++) centre_rows(s, i, 1, true, true, out);
}

void slab_centre(slab *s)
{
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
    if (s->masked) {
        centre_masked(s, &c);
    } else if (s->causal) {
        centre_causal(s, &c);
    } else {
        centre_plain(s, &c);
    }
    s->central[0] = lanes_sum(&c.m2);
    s->central[1] = lanes_sum(&c.m3);
    s->central[2] = lanes_sum(&c.m4);
    s->residual_sq = lanes_sum(&c.residual_sq);
    s->col_var = s->masked || s->causal ? lanes_sum(&c.col_var) : s->residual_sq / (double)s->rows;
}
