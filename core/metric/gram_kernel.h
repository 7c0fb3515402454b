/* K = Y Y' of factors Y [n, depth] that are made on the way; included by gram.c once for each
 * width.
 *
 * DEPTH columns at a time, Y is packed into panels of LANES rows: entry (i, k) of panel p, row
 * p LANES + i, is at panel[p][k][i]. The product goes tile by tile, LANES rows of TALL panels
 * against LANES rows of one: of each column, TALL vectors and LANES broadcast numbers make TALL
 * LANES multiply-adds. */

/* Columns k..k+LANES-1 of `rows` rows of Y from row i, of which `left` are there: row i of Y is row
 * i of x - 1 shift', or `last` where that is given and i is the last one. Rows beyond are zero. */
LANES_INLINE void L(pack_block)(
    f64v *panel, const factors *y, size_t i, size_t k, const size_t rows, const size_t left)
{
    const f64v shift = *(const loose_f64 *)(y->shift + k);
    const real *at = y->x + i * y->ld + k;
    f64v part[LANES];
    for (size_t r = 0; r < LANES; r++) {
        if (r >= rows) {
            part[r] = (f64v){0};
        } else if (left >= LANES) {
            part[r] = LANES_LOAD(at + r * y->ld) - shift;
        } else {
            LANES_LOAD_PART(part[r], at + r * y->ld, left);
            part[r] -= shift;
        }
    }
    if (y->last && i + rows == y->n) part[rows - 1] = *(const loose_f64 *)(y->last + k);
    L(transpose)(part);
    for (size_t j = 0; j < LANES && j < left; j++) panel[j] = part[j];
}

LANES_INLINE void L(pack_rows)(f64v *panel, const factors *y, size_t p, size_t from, size_t depth)
{
    const size_t i = p * LANES, rows = y->n - i < LANES ? y->n - i : LANES;
    size_t k = 0;
    for (; rows == LANES && k + LANES <= depth; k += LANES)
        L(pack_block)(panel + k, y, i, from + k, LANES, LANES);
    for (; k < depth; k += LANES) {
        const size_t left = depth - k < LANES ? depth - k : LANES;
        L(pack_block)(panel + k, y, i, from + k, rows, left);
    }
}

/* Row i of Y is column i of x - 1 shift'. */
LANES_INLINE void
L(pack_columns)(f64v *panel, const factors *y, size_t p, size_t from, size_t depth)
{
    const size_t i = p * LANES, left = y->n - i;
    const f64v shift = *(const loose_f64 *)(y->shift + i);
    for (size_t k = 0; k < depth; k++) {
        const real *at = y->x + (from + k) * y->ld + i;
        if (left >= LANES) {
            panel[k] = LANES_LOAD(at) - shift;
        } else {
            LANES_LOAD_PART(panel[k], at, left);
            panel[k] -= shift;
        }
    }
}

/* Rows of one panel times rows of another, on the tile of K where they meet. */
LANES_INLINE void
L(store_tile)(double *K, size_t n, size_t p, size_t q, f64v sum[LANES], bool first)
{
    const size_t i = p * LANES, j = q * LANES;
    L(transpose)(sum);
    for (size_t r = 0; r < LANES && i + r < n; r++) {
        double *row = K + (i + r) * n + j;
        if (j + LANES <= n) {
            if (!first) sum[r] += *(loose_f64 *)row;
            *(loose_f64 *)row = sum[r];
            continue;
        }
        for (size_t c = 0; j + c < n; c++) row[c] = first ? sum[r][c] : row[c] + sum[r][c];
    }
}

/* Panels p..p+tall-1 against panel q. */
LANES_INLINE void L(tiles)(double *K,
                           size_t n,
                           const f64v *panels,
                           size_t p,
                           const size_t tall,
                           size_t q,
                           size_t depth,
                           bool first)
{
    f64v sum[TALL][LANES];
    for (size_t t = 0; t < tall; t++)
        for (size_t c = 0; c < LANES; c++) sum[t][c] = (f64v){0};
    const f64v *above = panels + p * DEPTH;
    const double *beside = (const double *)(panels + q * DEPTH);
    for (size_t k = 0; k < depth; k++) {
        for (size_t c = 0; c < LANES; c++) {
            const f64v one = LANES_ALL(beside[k * LANES + c]);
            for (size_t t = 0; t < tall; t++) sum[t][c] += above[t * DEPTH + k] * one;
        }
    }
    for (size_t t = 0; t < tall; t++) L(store_tile)(K, n, p + t, q, sum[t], first);
}

LANES_CLONES static void L(multiply)(double *K, const factors *y, double *memory)
{
    f64v *const panels = (f64v *)memory;
    const size_t n_panels = (y->n + LANES - 1) / LANES;
    for (size_t from = 0; from < y->depth; from += DEPTH) {
        const size_t left = y->depth - from, depth = left < DEPTH ? left : DEPTH;
        for (size_t p = 0; p < n_panels; p++) {
            if (y->by_column)
                L(pack_columns)(panels + p * DEPTH, y, p, from, depth);
            else
                L(pack_rows)(panels + p * DEPTH, y, p, from, depth);
        }
        for (size_t p = 0; p < n_panels; p += TALL) {
            const bool whole = p + TALL <= n_panels;
            for (size_t q = 0; q <= p && whole; q++)
                L(tiles)(K, y->n, panels, p, TALL, q, depth, from == 0);
            for (size_t t = whole ? 1 : 0; t < TALL && p + t < n_panels; t++)
                for (size_t q = whole ? p + 1 : 0; q <= p + t; q++)
                    L(tiles)(K, y->n, panels, p + t, 1, q, depth, from == 0);
        }
    }
}
