/* Token geometry and gradient norms: closed forms, identities, and pair loops in long double. */
#include "core/metric/geometry.h"
#include "core/metric/gradient.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <string.h>

typedef struct batch {
    const real *x;
    size_t sequences, rows, cols;
} batch;

static void measure_width(const batch *b, int width, metric_value out[])
{
    void *memory = numbers_block(slab_bytes(b->rows, b->cols));
    geometry g, one;
    gradient h;
    geometry_reset(&g);
    gradient_reset(&h);
    for (size_t k = 0; k < b->sequences; k++) {
        slab s;
        slab_sums_width(&s, b->x + k * b->rows * b->cols, b->rows, b->cols, b->cols, false, 0,
                        memory, width);
        gradient_add(&h, &s);
        slab_centre(&s);
        geometry_reset(&one);
        geometry_add(&one, &s);
        geometry_merge(&g, &one);
    }
    geometry_finish(&g, out);
    gradient_finish(&h, out);
    free(memory);
}

static void measure(const batch *b, metric_value out[])
{
    measure_width(b, lanes_width(), out);
}

static long double dot(const real *a, const real *b, size_t n)
{
    long double sum = 0;
    for (size_t j = 0; j < n; j++) sum += (long double)a[j] * (long double)b[j];
    return sum;
}

/* sqrt of largest column sum of |x - shift| times largest row sum, and ||x - shift||_F. */
static void norms(const batch *b, const real *x, bool centred, long double *mixed, long double *fro)
{
    long double by_column = 0, *row = calloc(b->rows, sizeof *row), by_row = 0, squares = 0;
    for (size_t j = 0; j < b->cols; j++) {
        long double mean = 0, sum = 0;
        for (size_t i = 0; i < b->rows; i++) mean += (long double)x[i * b->cols + j] / b->rows;
        for (size_t i = 0; i < b->rows; i++) {
            const long double d = (long double)x[i * b->cols + j] - (centred ? mean : 0);
            sum += fabsl(d);
            row[i] += fabsl(d);
            squares += d * d;
        }
        by_column = fmaxl(by_column, sum);
    }
    for (size_t i = 0; i < b->rows; i++) by_row = fmaxl(by_row, row[i]);
    free(row);
    *mixed = sqrtl(by_column * by_row);
    *fro = sqrtl(squares);
}

static void expect(const batch *b, long double want[4])
{
    memset(want, 0, 4 * sizeof *want);
    for (size_t k = 0; k < b->sequences; k++) {
        const real *x = b->x + k * b->rows * b->cols;
        long double cosine = 0, off = 0, energy = 0, mixed, fro, whole_mixed, whole_fro;
        for (size_t i = 0; i < b->rows; i++) {
            energy += dot(x + i * b->cols, x + i * b->cols, b->cols);
            for (size_t j = 0; j < b->rows; j++) {
                const real *u = x + i * b->cols, *v = x + j * b->cols;
                const long double uv = dot(u, v, b->cols);
                if (i == j) continue;
                off += uv;
                cosine += uv / sqrtl(dot(u, u, b->cols) * dot(v, v, b->cols));
            }
        }
        norms(b, x, true, &mixed, &fro);
        norms(b, x, false, &whole_mixed, &whole_fro);
        want[0] += cosine / (b->rows * (b->rows - 1)) / b->sequences;
        want[1] += off / ((b->rows - 1) * energy) / b->sequences;
        want[2] += fro / whole_fro / b->sequences;
        want[3] += mixed / whole_mixed / b->sequences;
    }
}

static const batch sizes[] = {
    {NULL, 1, 2, 8}, {NULL, 3, 7, 13}, {NULL, 2, 16, 32}, {NULL, 2, 65, 24}, {NULL, 1, 128, 256}};

START_TEST(test_geometry_is_its_definition)
{
    batch b = sizes[_i / 2];
    real *x = numbers_matrix(b.sequences * b.rows * b.cols, 77 + (uint64_t)_i);
    for (size_t i = 0; i < b.sequences * b.rows * b.cols; i++)
        x[i] += (real)(0.5 * (double)(i % 3));
    b.x = x;
    metric_value out[METRIC_COUNT];
    long double want[4];
    measure_width(&b, numbers_width(_i), out);
    expect(&b, want);
    ck_value(out[METRIC_cos_mean], (double)want[0], 1e-12, 1e-14);
    ck_value(out[METRIC_token_corr], (double)want[1], 1e-12, 1e-14);
    ck_value(out[METRIC_residual_fro], (double)want[2], 1e-12, 0);
    ck_value(out[METRIC_residual_1inf], (double)want[3], 1e-12, 0);
    free(x);
}
END_TEST

/* residual_fro^2 = (1 - 1/T)(1 - token_corr), exactly, for one sequence. */
START_TEST(test_residual_and_correlation_are_tied)
{
    const size_t T = 24, D = 40;
    real *x = numbers_matrix(T * D, 4);
    for (size_t i = 0; i < T * D; i++) x[i] += (real)(_i * 0.7);
    const batch b = {x, 1, T, D};
    metric_value out[METRIC_COUNT];
    measure(&b, out);
    const double fro = out[METRIC_residual_fro].value;
    ck_close(fro * fro, (1 - 1.0 / T) * (1 - out[METRIC_token_corr].value), 1e-12, 1e-14);
    free(x);
}
END_TEST

START_TEST(test_equal_tokens_are_collapsed)
{
    real x[8 * 16];
    for (int i = 0; i < 128; i++) x[i] = (real)(i % 16) - 5;
    const batch b = {x, 1, 8, 16};
    metric_value out[METRIC_COUNT];
    measure(&b, out);
    ck_value(out[METRIC_cos_mean], 1, 1e-15, 0);
    ck_value(out[METRIC_token_corr], 1, 1e-15, 0);
    ck_value(out[METRIC_residual_fro], 0, 0, 0);
    ck_value(out[METRIC_residual_1inf], 0, 0, 0);
    ck_value(out[METRIC_grad_token_corr], 1, 1e-15, 0);
}
END_TEST

/* A residual of 1e-7 comes out with its digits, because the mean is subtracted and not its square.
 */
START_TEST(test_small_residual_keeps_its_digits)
{
    const real step = REAL_BITS == 64 ? (real)0x1p-40 : (real)0x1p-20;
    real x[2 * 8];
    for (int j = 0; j < 8; j++) {
        x[j] = 1 + step;
        x[8 + j] = 1 - step;
    }
    const batch b = {x, 1, 2, 8};
    metric_value out[METRIC_COUNT];
    measure(&b, out);
    const double d = (double)step;
    ck_value(out[METRIC_residual_fro], d / sqrt(1 + d * d), 1e-12, 0);
}
END_TEST

START_TEST(test_orthogonal_and_opposite_tokens)
{
    real x[8 * 8] = {0}, y[2 * 8];
    for (int i = 0; i < 8; i++) x[i * 8 + i] = (real)(i + 1);
    for (int j = 0; j < 8; j++) {
        y[j] = (real)(j + 1);
        y[8 + j] = -(real)(j + 1);
    }
    const batch orthogonal = {x, 1, 8, 8}, opposite = {y, 1, 2, 8};
    metric_value out[METRIC_COUNT];
    measure(&orthogonal, out);
    ck_value(out[METRIC_cos_mean], 0, 0, 1e-16);
    ck_value(out[METRIC_token_corr], 0, 0, 1e-16);
    ck_value(out[METRIC_residual_fro], sqrt(7.0 / 8), 1e-14, 0);
    measure(&opposite, out);
    ck_value(out[METRIC_cos_mean], -1, 1e-15, 0);
    ck_value(out[METRIC_token_corr], -1, 1e-15, 0);
    ck_value(out[METRIC_residual_fro], 1, 1e-15, 0);
    ck_value(out[METRIC_residual_1inf], 1, 1e-15, 0);
}
END_TEST

START_TEST(test_zero_rows_are_left_out_of_the_cosine)
{
    real x[4 * 8] = {0};
    for (int j = 0; j < 8; j++) {
        x[j] = 2;
        x[16 + j] = 5;
    }
    batch b = {x, 1, 4, 8};
    metric_value out[METRIC_COUNT];
    measure(&b, out);
    ck_value(out[METRIC_cos_mean], 1, 1e-15, 0);
    memset(x + 16, 0, 8 * sizeof *x); /* one token left: no pair, but a residual */
    measure(&b, out);
    ck_reason(out[METRIC_cos_mean], REASON_ZERO);
    ck_value(out[METRIC_token_corr], 0, 0, 0);
    ck_value(out[METRIC_residual_fro], sqrt(0.75), 1e-15, 0);
}
END_TEST

START_TEST(test_undefined_cases_say_why)
{
    real x[3 * 8] = {0};
    batch zero = {x, 1, 3, 8};
    metric_value out[METRIC_COUNT];
    measure(&zero, out);
    for (metric m = METRIC_cos_mean; m <= METRIC_residual_1inf; m++) ck_reason(out[m], REASON_ZERO);
    ck_reason(out[METRIC_grad_token_corr], REASON_ZERO);
    ck_value(out[METRIC_grad_norm], 0, 0, 0);
    x[3] = 1;
    const batch one_token = {x, 3, 1, 8};
    measure(&one_token, out);
    for (metric m = METRIC_cos_mean; m <= METRIC_residual_1inf; m++)
        ck_reason(out[m], REASON_ONE_TOKEN);
    ck_reason(out[METRIC_grad_token_corr], REASON_ONE_TOKEN);
    ck_value(out[METRIC_grad_norm], 1, 0, 0);
    x[5] = (real)INFINITY;
    measure(&zero, out);
    for (metric m = METRIC_cos_mean; m <= METRIC_residual_1inf; m++) ck_reason(out[m], REASON_NAN);
    ck_reason(out[METRIC_grad_token_corr], REASON_NAN);
    ck_value(out[METRIC_grad_nonfinite], 1, 0, 0);
    ck_value(out[METRIC_grad_norm], 1, 0, 0);
    for (int i = 0; i < 24; i++) x[i] = (real)NAN;
    measure(&zero, out);
    ck_reason(out[METRIC_grad_norm], REASON_NO_ENTRIES);
    ck_value(out[METRIC_grad_nonfinite], 24, 0, 0);
}
END_TEST

START_TEST(test_a_zero_sequence_is_left_out_of_the_mean)
{
    real *x = numbers_matrix(3 * 6 * 8, 21);
    memset(x + 48, 0, 48 * sizeof *x);
    const batch all = {x, 3, 6, 8}, first = {x, 1, 6, 8}, last = {x + 96, 1, 6, 8};
    metric_value a[METRIC_COUNT], b[METRIC_COUNT], c[METRIC_COUNT];
    measure(&all, a);
    measure(&first, b);
    measure(&last, c);
    for (metric m = METRIC_cos_mean; m <= METRIC_residual_1inf; m++)
        ck_value(a[m], (b[m].value + c[m].value) / 2, 1e-14, 1e-16);
    free(x);
}
END_TEST

/* Powers of two scale every sum exactly: the same bits. */
START_TEST(test_scale_by_two_changes_no_bit)
{
    real *x = numbers_matrix(2 * 9 * 16, 8);
    const batch b = {x, 2, 9, 16};
    metric_value once[METRIC_COUNT], again[METRIC_COUNT];
    measure(&b, once);
    for (size_t i = 0; i < 2 * 9 * 16; i++) x[i] *= 2;
    measure(&b, again);
    for (metric m = METRIC_cos_mean; m <= METRIC_residual_1inf; m++)
        ck_assert(once[m].value == again[m].value);
    ck_assert(2 * once[METRIC_grad_norm].value == again[METRIC_grad_norm].value);
    free(x);
}
END_TEST

START_TEST(test_gradient_norms_are_their_definitions)
{
    batch b = sizes[_i];
    const size_t n = b.sequences * b.rows * b.cols;
    real *x = numbers_matrix(n, 5 + (uint64_t)_i);
    for (size_t i = 0; i < n; i++) x[i] += (real)(0.2 * (double)(i % 5));
    b.x = x;
    metric_value out[METRIC_COUNT];
    measure(&b, out);
    long double energy = 0, common = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        energy += (long double)x[i] * (long double)x[i];
        most = fmaxl(most, fabsl((long double)x[i]));
    }
    for (size_t k = 0; k < b.sequences; k++) {
        for (size_t j = 0; j < b.cols; j++) {
            long double sum = 0;
            for (size_t i = 0; i < b.rows; i++)
                sum += (long double)x[(k * b.rows + i) * b.cols + j];
            common += sum * sum;
        }
    }
    ck_value(out[METRIC_grad_norm], (double)sqrtl(energy), 1e-13, 0);
    ck_value(out[METRIC_grad_rms], (double)sqrtl(energy / n), 1e-13, 0);
    ck_value(out[METRIC_grad_max_abs], (double)most, 0, 0);
    ck_value(out[METRIC_grad_token_corr], (double)((common - energy) / ((b.rows - 1) * energy)),
             1e-12, 1e-14);
    free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("geometry");
    TCase *c = tcase_create("geometry");
    const int n = (int)(sizeof sizes / sizeof *sizes);
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_geometry_is_its_definition, 0, 2 * n);
    tcase_add_loop_test(c, test_residual_and_correlation_are_tied, 0, 4);
    tcase_add_test(c, test_equal_tokens_are_collapsed);
    tcase_add_test(c, test_small_residual_keeps_its_digits);
    tcase_add_test(c, test_orthogonal_and_opposite_tokens);
    tcase_add_test(c, test_zero_rows_are_left_out_of_the_cosine);
    tcase_add_test(c, test_undefined_cases_say_why);
    tcase_add_test(c, test_a_zero_sequence_is_left_out_of_the_mean);
    tcase_add_test(c, test_scale_by_two_changes_no_bit);
    tcase_add_loop_test(c, test_gradient_norms_are_their_definitions, 0, n);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
