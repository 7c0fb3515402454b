/* The passes of slab.c over LANES columns at a time; included there once for each width. */
/* Rows at a time: as many as there are registers for. */
#define SUMS_ROWS (LANES / 2)
#define CENTRE_ROWS (LANES / 4)

#ifndef LOAD_EDGE
/* LANES entries of a row at x, of which the first `visible` are (possibly none or all), but not the
 * first `hidden`: out, and in counts which of them count. Reads no further than the row, of which
 * `left` entries are left. */
#define LOAD_EDGE(out, counts, x, hidden, visible, left, masked)                                   \
    do {                                                                                           \
        const f64v lane_ = LANES_INDEX;                                                            \
        if ((left) >= LANES) {                                                                     \
            (out) = LANES_LOAD(x);                                                                 \
        } else {                                                                                   \
            LANES_LOAD_PART(out, x, left);                                                         \
        }                                                                                          \
        (counts) = lane_ < (double)(visible);                                                      \
        if (masked) (counts) &= lane_ >= (double)(hidden);                                         \
        (out) = LANES_AND(out, counts);                                                            \
        if (masked) {                                                                              \
            const i64v finite_ = (out) - (out) == 0;                                               \
            (out) = LANES_AND(out, finite_);                                                       \
            (counts) &= finite_;                                                                   \
        }                                                                                          \
    } while (0)
#endif

/* Rows i..i+R-1, so that a column sum is loaded and stored once for all of them. First the columns
 * that all of them have, LANES by LANES, then the edge, where a row may end. masked (one row):
 * entries may be NaN or Inf or lie before a window, and every column is edge. norms: row_sum,
 * row_abs and col_abs are left 0. Returns the largest |x|. */
LANES_INLINE double L(sum_rows)(slab *s, size_t i, const int R, const bool masked, const bool norms)
{
    f64v sum[SUMS_ROWS] = {0}, sq[SUMS_ROWS] = {0}, mag[SUMS_ROWS] = {0}, n[SUMS_ROWS] = {0};
    f64v most = {0};
    const size_t whole = masked ? 0 : row_length(s, i) / LANES * LANES;
    const size_t begin = masked ? row_first(s, i) / LANES * LANES : 0;
    const size_t end = row_length(s, i + (size_t)R - 1);
    const real *x = s->x + i * s->ld;
    for (size_t j = 0; j < whole; j += LANES) {
        f64v col_sum = *(f64v *)(s->col_sum + j), col_abs = *(f64v *)(s->col_abs + j);
        for (int r = 0; r < R; r++) {
            const f64v v = LANES_LOAD(x + (size_t)r * s->ld + j), a = LANES_ABS(v);
            sq[r] += v * v;
            col_sum += v;
            most = LANES_MAX(a, most);
            if (norms) continue;
            sum[r] += v;
            mag[r] += a;
            col_abs += a;
        }
        *(f64v *)(s->col_sum + j) = col_sum;
        if (!norms) *(f64v *)(s->col_abs + j) = col_abs;
    }
    for (size_t j = begin + whole; j < end; j += LANES) {
        for (int r = 0; r < R; r++) {
            const size_t length = row_length(s, i + (size_t)r);
            i64v counts;
            f64v v;
            const size_t first = row_first(s, i + (size_t)r);
            LOAD_EDGE(v, counts, x + (size_t)r * s->ld + j, first > j ? first - j : 0,
                      length > j ? length - j : 0, s->cols - j, masked);
            const f64v a = LANES_ABS(v), one = LANES_AND(LANES_ALL(1.0), counts);
            sq[r] += v * v;
            n[r] += one;
            *(f64v *)(s->col_sum + j) += v;
            if (masked) *(f64v *)(s->col_n + j) += one;
            most = LANES_MAX(a, most);
            if (norms) continue;
            sum[r] += v;
            mag[r] += a;
            *(f64v *)(s->col_abs + j) += a;
        }
    }
    for (int r = 0; r < R; r++) {
        s->row_n[i + (size_t)r] = (double)whole + L(lanes_sum)(&n[r]);
        s->row_sum[i + (size_t)r] = L(lanes_sum)(&sum[r]);
        s->row_sq[i + (size_t)r] = L(lanes_sum)(&sq[r]);
        s->row_abs[i + (size_t)r] = L(lanes_sum)(&mag[r]);
    }
    return L(lanes_max)(&most);
}

LANES_INLINE double L(sum_all)(slab *s, const bool norms)
{
    double most = 0;
    size_t i = 0;
    for (; i + SUMS_ROWS <= s->rows; i += SUMS_ROWS)
        most = fmax(most, L(sum_rows)(s, i, SUMS_ROWS, false, norms));
    for (; i < s->rows; i++) most = fmax(most, L(sum_rows)(s, i, 1, false, norms));
    return most;
}

LANES_CLONES static double L(sums_plain)(slab *s)
{
    return s->norms ? L(sum_all)(s, true) : L(sum_all)(s, false);
}

LANES_CLONES static double L(sums_masked)(slab *s)
{
    double most = 0;
    for (size_t i = 0; i < s->rows; i++) most = fmax(most, L(sum_rows)(s, i, 1, true, false));
    return most;
}

#undef centred
#define centred L(centred)

/* What the second pass adds up over the whole slab. */
typedef struct centred {
    f64v m2, m3, m4, col_var, residual_sq;
} centred;

#ifndef CENTRE
/* Where what is summed of LANES entries goes: r is the row within the block. */
#define CENTRE(v, d, e, f, r)                                                                      \
    do {                                                                                           \
        const f64v dd_ = (d) * (d), ff_ = (f) * (f), magnitude_ = LANES_ABS(f);                    \
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
#endif

/* weighted: the columns differ in how many entries they have. */
LANES_INLINE void
L(centre_rows)(slab *s, size_t i, const int R, const bool masked, const bool weighted, centred *out)
{
    f64v m2 = {0}, m3 = {0}, m4 = {0}, col_var = {0}, residual_sq = {0};
    f64v row_var[CENTRE_ROWS] = {0}, row_residual[CENTRE_ROWS] = {0};
    f64v row_mean[CENTRE_ROWS], scale[CENTRE_ROWS];
    const f64v mean = LANES_ALL(s->mean);
    const size_t whole = masked ? 0 : row_length(s, i) / LANES * LANES;
    const size_t begin = masked ? row_first(s, i) / LANES * LANES : 0;
    const size_t end = row_length(s, i + (size_t)R - 1);
    const real *x = s->x + i * s->ld;
    for (int r = 0; r < R; r++) {
        row_mean[r] = LANES_ALL(s->row_mean[i + (size_t)r]);
        scale[r] = LANES_ALL(s->row_scale[i + (size_t)r]);
    }
    for (size_t j = begin; j < end; j += LANES) {
        const f64v col_mean = *(f64v *)(s->col_mean + j), weight = *(f64v *)(s->col_weight + j);
        f64v col_residual = *(f64v *)(s->col_residual + j), unit = *(f64v *)(s->col_unit + j);
        for (int r = 0; r < R; r++) {
            const real *at = x + (size_t)r * s->ld + j;
            if (j < whole) {
                const f64v v = LANES_LOAD(at);
                CENTRE(v, v - mean, v - row_mean[r], v - col_mean, r);
            } else {
                const size_t length = row_length(s, i + (size_t)r);
                i64v counts;
                f64v v;
                const size_t first = row_first(s, i + (size_t)r);
                LOAD_EDGE(v, counts, at, first > j ? first - j : 0, length > j ? length - j : 0,
                          s->cols - j, masked);
                CENTRE(v, LANES_AND(v - mean, counts), LANES_AND(v - row_mean[r], counts),
                       LANES_AND(v - col_mean, counts), r);
            }
        }
        *(f64v *)(s->col_residual + j) = col_residual;
        *(f64v *)(s->col_unit + j) = unit;
    }
    out->m2 += m2;
    out->m3 += m3;
    out->m4 += m4;
    out->col_var += col_var;
    out->residual_sq += residual_sq;
    for (int r = 0; r < R; r++) {
        const double n = s->row_n[i + (size_t)r];
        s->row_var[i + (size_t)r] = n > 0 ? L(lanes_sum)(&row_var[r]) / n : 0;
        s->row_residual[i + (size_t)r] = L(lanes_sum)(&row_residual[r]);
    }
}

LANES_INLINE void L(centre_plain)(slab *s, centred *out)
{
    size_t i = 0;
    for (; i + CENTRE_ROWS <= s->rows; i += CENTRE_ROWS)
        L(centre_rows)(s, i, CENTRE_ROWS, false, false, out);
    for (; i < s->rows; i++) L(centre_rows)(s, i, 1, false, false, out);
}

LANES_INLINE void L(centre_causal)(slab *s, centred *out)
{
    size_t i = 0;
    for (; i + CENTRE_ROWS <= s->rows; i += CENTRE_ROWS)
        L(centre_rows)(s, i, CENTRE_ROWS, false, true, out);
    for (; i < s->rows; i++) L(centre_rows)(s, i, 1, false, true, out);
}

LANES_INLINE void L(centre_masked)(slab *s, centred *out)
{
    for (size_t i = 0; i < s->rows; i++) L(centre_rows)(s, i, 1, true, true, out);
}

LANES_CLONES static void L(centre)(slab *s)
{
    centred c = {0};
    if (s->masked) {
        L(centre_masked)(s, &c);
    } else if (s->causal) {
        L(centre_causal)(s, &c);
    } else {
        L(centre_plain)(s, &c);
    }
    s->central[0] = L(lanes_sum)(&c.m2);
    s->central[1] = L(lanes_sum)(&c.m3);
    s->central[2] = L(lanes_sum)(&c.m4);
    s->residual_sq = L(lanes_sum)(&c.residual_sq);
    s->col_var =
        s->masked || s->causal ? L(lanes_sum)(&c.col_var) : s->residual_sq / (double)s->rows;
}
