/* Attention entropies and the order statistics behind percentiles and medians. */
#include "core/metric/attention.h"
#include "core/metric/contraction.h"
#include "core/metric/order.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <string.h>

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double by_kind(int kind, size_t i, size_t n, uint64_t *seed)
{
    const double choice[] = {numbers_normal(seed),
                             (double)i,
                             -(double)i,
                             3,
                             (double)(i % 3),
                             i < n / 2 ? (double)i : (double)(n - i),
                             i % 7 == 0 ? INFINITY : -(double)(i % 5)};
    return choice[kind];
}

START_TEST(test_order_is_that_of_a_sorted_array)
{
    static const size_t sizes[] = {1, 2, 3, 4, 10, 31, 1000};
    uint64_t seed = 12;
    for (size_t q = 0; q < sizeof sizes / sizeof *sizes; q++) {
        const size_t n = sizes[q], bytes = n * sizeof(double);
        double *a = malloc(bytes), *sorted = malloc(bytes), *work = malloc(bytes);
        for (size_t i = 0; i < n; i++) sorted[i] = a[i] = by_kind(_i, i, n, &seed);
        qsort(sorted, n, sizeof *sorted, ascending);
        memcpy(work, a, bytes);
        order_sort(work, n);
        ck_assert(memcmp(work, sorted, bytes) == 0);
        for (size_t k = 0; k < n; k += 1 + n / 17) {
            memcpy(work, a, bytes);
            ck_assert(order_select(work, n, k) == sorted[k]);
        }
        free(a);
        free(sorted);
        free(work);
    }
}
END_TEST

/* numpy.percentile([1, 2, 4, 8], [0, 5, 25, 50, 100]) */
START_TEST(test_quantile_interpolates_like_numpy)
{
    const double q[] = {0, 0.05, 0.25, 0.5, 1}, want[] = {1, 1.15, 1.75, 3, 8};
    for (int i = 0; i < 5; i++) {
        double a[] = {8, 1, 4, 2};
        ck_close(order_quantile(a, 4, q[i]), want[i], 1e-15, 0);
    }
    double one[] = {7};
    ck_close(order_quantile(one, 1, 0.05), 7, 0, 0);
}
END_TEST

START_TEST(test_entropy_of_known_rows)
{
    const real uniform[] = {R(0.25), R(0.25), R(0.25), R(0.25)}, certain[] = {0, 1, 0, 0};
    const real half[] = {R(0.5), R(0.25), R(0.25)};
    ck_close(attention_row_entropy(uniform, 4), log(4), 1e-15, 0);
    ck_close(attention_row_entropy(certain, 4), 0, 0, 0);
    ck_close(attention_row_entropy(half, 3), 1.5 * log(2), 1e-15, 0);
    const real bad[] = {R(0.5), (real)NAN};
    ck_assert(isnan(attention_row_entropy(bad, 2)));
}
END_TEST

/* Two heads of three causal rows: the first row, which sees one key, does not count. */
START_TEST(test_rows_with_one_key_are_left_out)
{
    const real entropy[] = {9, R(0.5), R(1.0), 9, R(0.25), R(0.75)};
    const uint32_t visible[] = {1, 2, 3};
    double scratch[6];
    metric_value out[METRIC_COUNT];
    attention_finish(entropy, 2, 3, visible, scratch, out);
    const double a = 0.25 / log(2), b = 0.5 / log(2), c = 0.75 / log(3), d = 1 / log(3);
    ck_value(out[METRIC_attn_entropy], 0.625, 1e-15, 0);
    ck_value(out[METRIC_attn_entropy_norm], (a + b + c + d) / 4, 1e-14, 0);
    ck_value(out[METRIC_attn_entropy_norm_p5], a + 0.15 * (c - a), 1e-14, 0);
    ck_assert(a < c && c < b && b < d);
}
END_TEST

START_TEST(test_nothing_to_measure_and_nan)
{
    real entropy[64] = {0};
    uint32_t one[] = {1}, both[64];
    double scratch[64];
    for (int i = 0; i < 64; i++) {
        entropy[i] = (real)(i == 40 ? NAN : (i * 37 % 64) / 100.0);
        both[i] = 2;
    }
    metric_value out[METRIC_COUNT];
    attention_finish(entropy, 64, 1, one, scratch, out);
    ck_reason(out[METRIC_attn_entropy], REASON_NO_ENTRIES);
    ck_reason(out[METRIC_attn_entropy_norm_p5], REASON_NO_ENTRIES);
    attention_finish(entropy, 1, 64, both, scratch, out);
    ck_reason(out[METRIC_attn_entropy_norm], REASON_NAN);
    ck_reason(out[METRIC_attn_entropy_norm_p5], REASON_NAN);
}
END_TEST

/* Uniform attention of tokens that see w - 1 on either side, or with causal all before them. */
static real *uniform(size_t T, size_t w, bool causal)
{
    real *A = calloc(T * T, sizeof *A);
    for (size_t i = 0; i < T; i++) {
        const size_t end = causal ? i + 1 : i + w < T ? i + w : T;
        const size_t first = w && i >= w ? i - w + 1 : 0;
        for (size_t j = first; j < end; j++) A[i * T + j] = (real)(1.0 / (double)(end - first));
    }
    return A;
}

/* kappa of A^l over that of A^(l-1) after so many layers. */
static double late_rate(const real *A, size_t T, int layers)
{
    double *path = numbers_block(T * T * sizeof *path), before = NAN;
    void *work = numbers_block(contraction_work_bytes(T));
    contraction c = {.path = NAN};
    for (int l = 0; l < layers; l++) {
        before = c.path;
        contraction_add(&c, A, 1, T, path, l == 0, work);
    }
    free(path);
    free(work);
    return c.path / before;
}

/* A has the eigenvalues 1/i; what is left of it besides the common token shrinks by 1/2. */
START_TEST(test_causal_uniform_attention_halves)
{
    const size_t T = (size_t)(16 << _i);
    real *A = uniform(T, 0, true);
    ck_close(late_rate(A, T, 60), 0.5, 0, REAL_BITS == 64 ? 1e-8 : 1e-6);
    free(A);
}
END_TEST

/* |lambda_2| of windows of +-1, 2, 4, 8 tokens at T = 64; the next one is
 * about its fourth power, so that few layers need be made of wide windows. */
START_TEST(test_windows_contract_by_their_second_eigenvalue)
{
    static const double want[] = {0.9992, 0.9975, 0.9914, 0.9672};
    static const int layers[] = {4000, 1600, 500, 150};
    real *A = uniform(64, ((size_t)1 << _i) + 1, false);
    ck_close(late_rate(A, 64, layers[_i]), want[_i], 0, 6e-5);
    free(A);
}
END_TEST

/* Everybody looks at everybody: nothing is left. Everybody at himself: everything. Everybody at
 * one token with p, else at himself: 1 - p. */
START_TEST(test_contraction_of_known_matrices)
{
    enum { T = 12, HEADS = 9 };
    real *A = calloc(HEADS * T * T, sizeof *A);
    void *work = numbers_block(contraction_work_bytes(T));
    double *path = numbers_block(T * T * sizeof *path);
    metric_value out[METRIC_COUNT];
    for (int kind = 0; kind < 3; kind++) {
        const double keeps = kind == 0 ? 0 : kind == 1 ? 1 : 0.75;
        for (size_t k = 0; k < HEADS * T * T; k++) {
            const size_t i = k / T % T, j = k % T;
            A[k] = (real)(kind == 0 ? 1.0 / T : keeps * (i == j) + (1 - keeps) * (j == 3));
        }
        contraction c[2];
        contraction_add(&c[0], A, HEADS, T, path, true, work);
        contraction_add(&c[1], A, HEADS, T, path, false, work);
        contraction_merge(&c[0], &c[1]);
        contraction_finish(&c[0], out);
        const double floor = kind == 0 && REAL_BITS == 32 ? 1e-7 : 1e-15;
        ck_value(out[METRIC_attn_contraction], keeps, 1e-14, floor);
        ck_value(out[METRIC_attn_contraction_mean], keeps, 1e-14, floor);
        ck_value(out[METRIC_attn_path_contraction], (keeps + keeps * keeps) / 2, 1e-14, floor);
        if (kind == 2) continue;
        ck_value(out[METRIC_attn_stable_rank], kind == 0 ? 1 : T, 1e-12, 0);
        ck_value(out[METRIC_attn_effective_rank], kind == 0 ? 1 : T, 1e-12, 0);
        ck_value(out[METRIC_attn_participation_rank], kind == 0 ? 1 : T, 1e-12, 0);
    }
    A[5] = (real)NAN;
    contraction bad;
    contraction_add(&bad, A, HEADS, T, NULL, true, work);
    contraction_finish(&bad, out);
    ck_reason(out[METRIC_attn_contraction], REASON_NAN);
    const real one = 1;
    contraction_add(&bad, &one, 1, 1, NULL, true, work);
    contraction_finish(&bad, out);
    ck_reason(out[METRIC_attn_contraction], REASON_ONE_TOKEN);
    ck_value(out[METRIC_attn_stable_rank], 1, 1e-15, 0);
    free(A);
    free(work);
    free(path);
}
END_TEST

/* Gaussian logits of standard deviation sigma: entropy near ln n - sigma^2/2, n sum A^2 near
 * e^(sigma^2)/(1 + (e^(sigma^2) - 1)/n), and their scale is sigma. */
START_TEST(test_gaussian_logits)
{
    enum { N = 1024, ROWS = 512 };
    const double sigma = 0.25 * (_i + 1), grown = exp(sigma * sigma);
    uint64_t seed = 77;
    real *s = calloc(N * N, sizeof *s), *A = calloc(N * N, sizeof *A);
    double entropy = 0;
    void *memory = numbers_block(slab_bytes(N, N));
    for (size_t i = 0; i < ROWS; i++) {
        double sum = 0;
        for (size_t j = 0; j < N; j++) {
            s[i * N + j] = (real)(sigma * numbers_normal(&seed));
            sum += exp((double)s[i * N + j]);
        }
        for (size_t j = 0; j < N; j++) A[i * N + j] = (real)(exp((double)s[i * N + j]) / sum);
        entropy += attention_row_entropy(A + i * N, N) / ROWS;
    }
    attention_rows logits, probs;
    metric_value out[METRIC_COUNT];
    slab x;
    attention_rows_reset(&logits);
    attention_rows_reset(&probs);
    slab_sums(&x, s, ROWS, N, N, false, memory);
    slab_centre(&x);
    attention_rows_add(&logits, &x);
    slab_sums(&x, A, ROWS, N, N, false, memory);
    slab_centre(&x);
    attention_rows_add(&probs, &x);
    attention_rows_finish(&logits, out);
    ck_value(out[METRIC_logit_scale], sigma, 0.01, 0);
    ck_value(out[METRIC_logit_scale_centred], sigma, 0.01, 0);
    attention_rows_finish(&probs, out);
    ck_value(out[METRIC_attn_participation], grown / (1 + (grown - 1) / N), 0.02, 0);
    ck_close(entropy, log(N) - sigma * sigma / 2, 0.02, 0);
    free(s);
    free(A);
    free(memory);
}
END_TEST

/* A common shift of a row is no scale that softmax sees; rows with one key do not count. */
START_TEST(test_centred_scale_ignores_row_shifts)
{
    const real s[] = {50, 0, 0, R(1.0), R(3.0), 0, R(-4.0), R(-2.0), R(0.0)};
    void *memory = numbers_block(slab_bytes(3, 3));
    attention_rows r, none;
    metric_value out[METRIC_COUNT];
    slab x;
    attention_rows_reset(&r);
    attention_rows_reset(&none);
    slab_sums(&x, s, 3, 3, 3, true, memory);
    slab_centre(&x);
    attention_rows_add(&r, &x);
    attention_rows_finish(&r, out);
    const double mean = -0.4, squares = 1 + 9 + 16 + 4 + 0;
    ck_value(out[METRIC_logit_scale], sqrt(squares / 5 - mean * mean), 1e-14, 0);
    ck_value(out[METRIC_logit_scale_centred], sqrt((1 + 8.0 / 3) / 2), 1e-14, 0);
    ck_value(out[METRIC_logit_max], 3, 0, 0);
    attention_rows_finish(&none, out);
    ck_reason(out[METRIC_logit_scale], REASON_NO_ENTRIES);
    ck_reason(out[METRIC_attn_participation], REASON_NO_ENTRIES);
    free(memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attention metrics");
    TCase *c = tcase_create("attention");
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_order_is_that_of_a_sorted_array, 0, 7);
    tcase_add_test(c, test_quantile_interpolates_like_numpy);
    tcase_add_test(c, test_entropy_of_known_rows);
    tcase_add_test(c, test_rows_with_one_key_are_left_out);
    tcase_add_test(c, test_nothing_to_measure_and_nan);
    tcase_add_loop_test(c, test_causal_uniform_attention_halves, 0, 3);
    tcase_add_loop_test(c, test_windows_contract_by_their_second_eigenvalue, 0, 4);
    tcase_add_test(c, test_contraction_of_known_matrices);
    tcase_add_loop_test(c, test_gaussian_logits, 0, 4);
    tcase_add_test(c, test_centred_scale_ignores_row_shifts);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
