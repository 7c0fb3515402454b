/* Moments against their definitions in long double, entry by entry. */
#include "core/metric/moments.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <string.h>

/* Two float64 sums of the same numbers in another order; kurtosis and small variances of numbers
 * with a large mean lose what the subtraction costs. */
static const double RELATIVE = 1e-12, FLOOR = 1e-13;

typedef struct shape {
    size_t slabs, rows, cols, ld;
    bool causal;
    double mean;
    int spoil; /* every spoil-th entry is NaN or Inf; 0: none */
    size_t window;
} shape;

static const shape shapes[] = {
    {1, 1, 1, 1, false, 0, 0, 0},       {1, 1, 8, 8, false, 0, 0, 0},
    {2, 5, 8, 8, false, 0.5, 0, 0},     {3, 7, 13, 13, false, 0, 0, 0},
    {1, 9, 64, 80, false, -3, 0, 0},    {2, 128, 256, 256, false, 0, 0, 0},
    {3, 33, 40, 40, false, 1000, 0, 0}, {2, 6, 5, 5, false, 0, 0, 0},
    {2, 17, 17, 17, true, 0, 0, 0},     {3, 64, 64, 64, true, 1, 0, 0},
    {1, 1, 1, 1, true, 0, 0, 0},        {2, 12, 16, 16, false, 0, 7, 0},
    {2, 12, 11, 12, false, 2, 5, 0},    {2, 24, 24, 24, true, 0, 6, 0},
    {1, 3, 8, 8, false, 0, 1, 0},       {2, 16, 8, 8, false, 0, 2, 0},
    {2, 33, 33, 33, true, 0, 0, 1},     {2, 64, 64, 64, true, 1, 0, 5},
    {1, 70, 70, 70, true, 0, 0, 33},    {1, 30, 30, 31, false, 0, 0, 1},
    {2, 65, 65, 65, false, 2, 0, 9},    {1, 24, 24, 24, true, 0, 6, 7},
    {2, 24, 24, 24, false, 0, 5, 4},    {1, 9, 9, 9, false, 0, 0, 100},
};

static bool is_visible(const shape *s, size_t i, size_t j)
{
    size_t apart = i > j ? i - j : j - i;
    return (!s->causal || j <= i) && (!s->window || apart < s->window);
}

static bool counts(const shape *s, const real *x, size_t i, size_t j)
{
    return is_visible(s, i, j) && isfinite(x[i * s->ld + j]);
}

static real *make(const shape *s, uint64_t seed)
{
    const size_t n = s->slabs * s->rows * s->ld;
    real *x = numbers_matrix(n, seed);
    static const real bad[] = {(real)NAN, (real)INFINITY, -(real)INFINITY};
    for (size_t i = 0; i < n; i++) {
        x[i] += (real)s->mean;
        if (s->spoil && i % (size_t)s->spoil == 0) x[i] = bad[i % 3];
    }
    return x;
}

static void measure_width(const shape *s, const real *x, int width, metric_value out[])
{
    double *token_sq = malloc(s->slabs * s->rows * sizeof *token_sq);
    void *memory = numbers_block(slab_bytes(s->rows, s->cols));
    moments m;
    moments_reset(&m);
    for (size_t b = 0; b < s->slabs; b++) {
        slab one;
        slab_sums_width(&one, x + b * s->rows * s->ld, s->rows, s->cols, s->ld, s->causal,
                        s->window, memory, width);
        slab_centre(&one);
        moments_add(&m, &one, token_sq + b * s->rows);
    }
    moments_finish(&m, token_sq, s->slabs * s->rows, out);
    free(token_sq);
    free(memory);
}

static void measure(const shape *s, const real *x, metric_value out[])
{
    measure_width(s, x, lanes_width(), out);
}

/* Variance of the entries of one line of a matrix (a row or a column) that count; how many do. */
static size_t line_variance(
    const shape *s, const real *x, size_t at, bool is_row, long double *var, long double *mean_sq)
{
    const size_t length = is_row ? s->cols : s->rows;
    long double n = 0, sum = 0, sq = 0, centred = 0;
    for (size_t k = 0; k < length; k++) {
        const size_t i = is_row ? at : k, j = is_row ? k : at;
        if (!counts(s, x, i, j)) continue;
        n++;
        sum += (long double)x[i * s->ld + j];
        sq += (long double)x[i * s->ld + j] * (long double)x[i * s->ld + j];
    }
    for (size_t k = 0; k < length; k++) {
        const size_t i = is_row ? at : k, j = is_row ? k : at;
        if (!counts(s, x, i, j)) continue;
        const long double d = (long double)x[i * s->ld + j] - sum / n;
        centred += d * d;
    }
    *var = n > 0 ? centred / n : 0;
    *mean_sq = n > 0 ? sq / n : 0;
    return (size_t)n;
}

typedef struct expected {
    long double n, seen, mean, m[5], rms, max_abs, var_feat, var_token, rms_min, rms_max, rms_cv;
} expected;

static void expect_entries(const shape *s, const real *x, expected *e)
{
    long double sum = 0, sq = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t b = 0; b < s->slabs; b++) {
            const real *y = x + b * s->rows * s->ld;
            for (size_t i = 0; i < s->rows; i++) {
                for (size_t j = 0; j < s->cols; j++) {
                    const long double v = (long double)y[i * s->ld + j], d = v - e->mean;
                    if (pass == 0) e->seen += is_visible(s, i, j);
                    if (!counts(s, y, i, j)) continue;
                    if (pass == 0) {
                        e->n++;
                        sum += v;
                        sq += v * v;
                        e->max_abs = fmaxl(e->max_abs, fabsl(v));
                        continue;
                    }
                    for (int k = 2; k < 5; k++) e->m[k] += powl(d, k) / e->n;
                }
            }
        }
        e->mean = sum / e->n;
        e->rms = sqrtl(sq / e->n);
    }
}

static void expect_tokens(const shape *s, const real *x, expected *e)
{
    long double var, mean_sq, tokens = 0, slabs = 0, sum = 0, sq = 0;
    e->rms_min = INFINITY;
    for (size_t b = 0; b < s->slabs; b++) {
        const real *y = x + b * s->rows * s->ld;
        long double token_var = 0, features = 0;
        for (size_t i = 0; i < s->rows; i++) {
            if (line_variance(s, y, i, true, &var, &mean_sq) == 0) continue;
            tokens++;
            e->var_feat += var;
            sum += sqrtl(mean_sq);
            sq += mean_sq;
            e->rms_min = fminl(e->rms_min, sqrtl(mean_sq));
            e->rms_max = fmaxl(e->rms_max, sqrtl(mean_sq));
        }
        for (size_t j = 0; j < s->cols; j++) {
            if (line_variance(s, y, j, false, &var, &mean_sq) == 0) continue;
            features++;
            token_var += var;
        }
        if (features > 0) {
            slabs++;
            e->var_token += token_var / features;
        }
    }
    e->var_feat /= tokens;
    e->var_token /= slabs;
    const long double mean = sum / tokens;
    e->rms_cv = sqrtl(fmaxl(sq / tokens - mean * mean, 0)) / mean;
}

START_TEST(test_moments_are_their_definitions)
{
    const shape *s = &shapes[_i / 2];
    real *x = make(s, 11 + (uint64_t)_i);
    metric_value out[METRIC_COUNT];
    expected e = {0};
    measure_width(s, x, numbers_width(_i), out);
    expect_entries(s, x, &e);
    ck_value(out[METRIC_nonfinite], (double)(e.seen - e.n), 0, 0);
    if (e.n == 0) {
        ck_reason(out[METRIC_var], REASON_NO_ENTRIES);
        ck_reason(out[METRIC_token_rms_median], REASON_NO_ENTRIES);
        free(x);
        return;
    }
    expect_tokens(s, x, &e);
    const double size = (double)(e.rms * e.rms);
    ck_value(out[METRIC_mean], (double)e.mean, RELATIVE, FLOOR * (double)e.rms);
    ck_value(out[METRIC_var], (double)e.m[2], RELATIVE, 1e-15 * size);
    ck_value(out[METRIC_var_feat], (double)e.var_feat, RELATIVE, 1e-15 * size);
    ck_value(out[METRIC_var_token], (double)e.var_token, RELATIVE, 1e-15 * size);
    ck_value(out[METRIC_rms], (double)e.rms, RELATIVE, 0);
    ck_value(out[METRIC_max_abs], (double)e.max_abs, 0, 0);
    ck_value(out[METRIC_token_rms_min], (double)e.rms_min, RELATIVE, 0);
    ck_value(out[METRIC_token_rms_max], (double)e.rms_max, RELATIVE, 0);
    ck_value(out[METRIC_token_rms_cv], (double)e.rms_cv, 1e-10, 1e-9);
    if (e.m[2] < 1e-30L * e.rms * e.rms) {
        ck_reason(out[METRIC_kurtosis], REASON_ZERO);
    } else {
        const double kurtosis = (double)(e.m[4] / e.m[2] / e.m[2] - 3);
        ck_value(out[METRIC_kurtosis], kurtosis, 1e-10, 1e-11);
    }
    free(x);
}
END_TEST

/* Slabs of different length and mean, put together, are the moments of all their entries. */
START_TEST(test_merge_is_the_moments_of_the_union)
{
    const size_t rows[] = {2, 9, 4}, D = 8;
    real *x = numbers_matrix(15 * D, 31);
    double token_sq[15];
    void *memory = numbers_block(slab_bytes(15, D));
    moments all, part, sum;
    slab s;
    for (size_t i = 0; i < 15 * D; i++) x[i] += i < 2 * D ? 20 : i < 11 * D ? -3 : 1;
    moments_reset(&all);
    slab_sums(&s, x, 15, D, D, false, memory);
    slab_centre(&s);
    moments_add(&all, &s, token_sq);
    moments_reset(&sum);
    for (size_t k = 0, at = 0; k < 3; at += rows[k++]) {
        moments_reset(&part);
        slab_sums(&s, x + at * D, rows[k], D, D, false, memory);
        slab_centre(&s);
        moments_add(&part, &s, token_sq + at);
        moments_merge(&sum, &part);
    }
    ck_assert(sum.n == all.n && sum.tokens == all.tokens);
    ck_close(sum.mean, all.mean, 1e-13, 1e-13);
    ck_close(sum.m2, all.m2, 1e-13, 0);
    ck_close(sum.m3, all.m3, 1e-13, 0);
    ck_close(sum.m4, all.m4, 1e-13, 0);
    free(x);
    free(memory);
}
END_TEST

/* mean x^2 = var_token + ||mean token||^2/D, exactly. */
START_TEST(test_var_token_and_mean_token_make_the_mean_square)
{
    const shape s = {1, 24, 32, 32, false, 0.3, 0, 0};
    real *x = make(&s, 5);
    metric_value out[METRIC_COUNT];
    measure(&s, x, out);
    long double rest = 0;
    for (size_t j = 0; j < s.cols; j++) {
        long double sum = 0;
        for (size_t i = 0; i < s.rows; i++) sum += (long double)x[i * s.ld + j];
        rest += sum / s.rows * sum / s.rows / s.cols;
    }
    const double rms = out[METRIC_rms].value;
    ck_value(out[METRIC_var_token], rms * rms - (double)rest, 1e-12, 0);
    free(x);
}
END_TEST

START_TEST(test_signs_have_kurtosis_minus_two_and_equal_tokens)
{
    real x[4 * 16];
    for (int i = 0; i < 64; i++) x[i] = i % 2 ? 3 : -3;
    const shape s = {1, 4, 16, 16, false, 0, 0, 0};
    metric_value out[METRIC_COUNT];
    measure(&s, x, out);
    ck_value(out[METRIC_kurtosis], -2, 0, 1e-15);
    ck_value(out[METRIC_var], 9, 0, 0);
    ck_value(out[METRIC_var_token], 0, 0, 0);
    ck_value(out[METRIC_token_rms_median], 3, 0, 0);
    ck_value(out[METRIC_token_rms_cv], 0, 0, 0);
}
END_TEST

START_TEST(test_token_rms_median_of_an_even_number_is_the_middle)
{
    real x[4 * 8];
    const real size[] = {4, 1, 3, 10};
    for (int i = 0; i < 32; i++) x[i] = size[i / 8];
    const shape s = {1, 4, 8, 8, false, 0, 0, 0};
    metric_value out[METRIC_COUNT];
    measure(&s, x, out);
    ck_value(out[METRIC_token_rms_median], 3.5, 1e-15, 0);
    ck_value(out[METRIC_token_rms_min], 1, 0, 0);
    ck_value(out[METRIC_token_rms_max], 10, 0, 0);
}
END_TEST

START_TEST(test_zero_and_constant_have_no_kurtosis)
{
    real x[3 * 8];
    const shape s = {1, 3, 8, 8, false, 0, 0, 0};
    metric_value out[METRIC_COUNT];
    for (int c = 0; c < 2; c++) {
        for (int i = 0; i < 24; i++) x[i] = (real)(c * 0.1);
        measure(&s, x, out);
        ck_reason(out[METRIC_kurtosis], REASON_ZERO);
        ck_value(out[METRIC_var], 0, 0, 1e-30);
        ck_value(out[METRIC_max_abs], (double)(real)(c * 0.1), 0, 0);
    }
    memset(x, 0, sizeof x);
    measure(&s, x, out);
    ck_reason(out[METRIC_token_rms_cv], REASON_ZERO);
    ck_value(out[METRIC_rms], 0, 0, 0);
}
END_TEST

START_TEST(test_masked_entries_are_not_read)
{
    const shape s = {2, 19, 19, 19, _i % 2, 0, 0, _i / 2 ? 6 : 0};
    real *x = make(&s, 3);
    metric_value once[METRIC_COUNT], again[METRIC_COUNT];
    measure(&s, x, once);
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < 19; i++)
            for (size_t j = 0; j < 19; j++)
                if (!is_visible(&s, i, j))
                    x[(b * 19 + i) * 19 + j] = j % 2 ? (real)NAN : (real)1e30;
    measure(&s, x, again);
    for (metric m = METRIC_mean; m <= METRIC_nonfinite; m++)
        ck_assert(once[m].value == again[m].value && once[m].reason == again[m].reason);
    free(x);
}
END_TEST

/* float64 squares overflow where float32 ones cannot: a result, and the entries are finite. */
START_TEST(test_overflow_of_squares_is_infinity_not_a_count)
{
    const shape s = {1, 4, 8, 8, false, 0, 0, 0};
    real *x = make(&s, 9);
    for (int i = 0; i < 32; i++) x[i] *= REAL_BITS == 64 ? (real)1e200 : (real)1e30;
    metric_value out[METRIC_COUNT];
    measure(&s, x, out);
    ck_value(out[METRIC_nonfinite], 0, 0, 0);
    if (REAL_BITS == 64) {
        ck_reason(out[METRIC_var], REASON_POS_INF);
    } else {
        ck_assert_int_eq(out[METRIC_var].reason, REASON_NONE);
        ck_assert_double_gt(out[METRIC_var].value, 1e59);
    }
    free(x);
}
END_TEST

/* Where no second pass follows: the bits of the first one. */
START_TEST(test_norms_are_those_of_the_sums)
{
    const shape *s = &shapes[_i];
    void *memory = numbers_block(slab_bytes(s->rows, s->cols));
    void *other = numbers_block(slab_bytes(s->rows, s->cols));
    real *x = make(s, 5);
    slab whole, norms;
    slab_sums_width(&whole, x, s->rows, s->cols, s->ld, s->causal, s->window, memory,
                    lanes_width());
    slab_norms(&norms, x, s->rows, s->cols, s->ld, s->causal, s->window, other);
    ck_assert_uint_eq(norms.n, whole.n);
    ck_assert_uint_eq(norms.nonfinite, whole.nonfinite);
    ck_assert(norms.sum_sq == whole.sum_sq && norms.max_abs == whole.max_abs);
    ck_assert_mem_eq(norms.row_n, whole.row_n, s->rows * sizeof(double));
    ck_assert_mem_eq(norms.row_sq, whole.row_sq, s->rows * sizeof(double));
    ck_assert_mem_eq(norms.col_n, whole.col_n, s->cols * sizeof(double));
    ck_assert_mem_eq(norms.col_sum, whole.col_sum, s->cols * sizeof(double));
    free(x);
    free(memory);
    free(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("moments");
    TCase *c = tcase_create("moments");
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_moments_are_their_definitions, 0,
                        2 * (int)(sizeof shapes / sizeof *shapes));
    tcase_add_loop_test(c, test_norms_are_those_of_the_sums, 0,
                        (int)(sizeof shapes / sizeof *shapes));
    tcase_add_test(c, test_merge_is_the_moments_of_the_union);
    tcase_add_test(c, test_var_token_and_mean_token_make_the_mean_square);
    tcase_add_test(c, test_signs_have_kurtosis_minus_two_and_equal_tokens);
    tcase_add_test(c, test_token_rms_median_of_an_even_number_is_the_middle);
    tcase_add_test(c, test_zero_and_constant_have_no_kurtosis);
    tcase_add_loop_test(c, test_masked_entries_are_not_read, 0, 4);
    tcase_add_test(c, test_overflow_of_squares_is_infinity_not_a_count);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
