/* Gram matrices, eigenvalues and ranks: LAPACK, closed forms, and bits that must not depend on the
 * company a matrix is in. */
#include "core/metric/gram.h"
#include "core/metric/spectrum.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <float.h>
#include <string.h>

extern void dsyevd_(const char *job,
                    const char *triangle,
                    const int *n,
                    double *a,
                    const int *lda,
                    double *w,
                    double *work,
                    const int *work_size,
                    int *iwork,
                    const int *iwork_size,
                    int *info);

enum { KINDS = 7 };
static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 64, 67, 128};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Lower triangle of X X'; the upper one is poison, because nobody may read it. */
static double *make(int kind, int n, uint64_t seed)
{
    const int D = 2 * n;
    double *x = malloc((size_t)(n * D) * sizeof *x), *base = malloc((size_t)D * sizeof *base);
    double *k = malloc((size_t)(n * n) * sizeof *k);
    for (int j = 0; j < D; j++) base[j] = numbers_normal(&seed);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < D; j++) {
            const double r = numbers_normal(&seed);
            const double choice[KINDS] = {r,
                                          base[j] + 1e-3 * r,            /* collapsed */
                                          base[j] * (1 + i % 3),         /* rank one */
                                          r * pow(10, -12.0 * i / n),    /* graded down */
                                          r * pow(10, 12.0 * i / n - 9), /* graded up */
                                          i == j ? 1 + i % 2 : 0,        /* diagonal */
                                          j % n < 2 ? r : 0};            /* rank four */
            x[i * D + j] = choice[kind];
        }
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int d = 0; d < D; d++) sum += x[i * D + d] * x[j * D + d];
            k[i * n + j] = j <= i ? sum : NAN;
        }
    }
    free(x);
    free(base);
    return k;
}

static void lapack(const double *k, int n, double *eig)
{
    double *a = malloc((size_t)(n * n) * sizeof *a);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) a[i * n + j] = j <= i ? k[i * n + j] : k[j * n + i];
    }
    int work_size = 2 * n + 1, iwork_size = 1, info, iwork;
    double *work = malloc((size_t)work_size * sizeof *work);
    dsyevd_("N", "U", &n, a, &n, eig, work, &work_size, &iwork, &iwork_size, &info);
    ck_assert_int_eq(info, 0);
    free(work);
    free(a);
}

static void solve_width(const double *const *k, int lanes, int n, double *const *eig, int width)
{
    void *scratch = numbers_block(spectrum_scratch_bytes(n));
    spectrum_lanes_width(k, lanes, n, eig, scratch, width);
    free(scratch);
}

static void solve(const double *const *k, int lanes, int n, double *const *eig)
{
    solve_width(k, lanes, n, eig, lanes_width());
}

static void solve_one(const double *k, int n, double *eig)
{
    solve(&k, 1, n, &eig);
}

START_TEST(test_eigenvalues_are_those_of_lapack)
{
    const int n = sizes[_i / 2];
    double *k[KINDS], *eig[KINDS], *want = malloc((size_t)n * sizeof *want);
    for (int q = 0; q < KINDS; q++) {
        k[q] = make(q, n, 100 + (uint64_t)q);
        eig[q] = malloc((size_t)n * sizeof **eig);
    }
    solve_width((const double *const *)k, KINDS, n, eig, numbers_width(_i));
    for (int q = 0; q < KINDS; q++) {
        lapack(k[q], n, want);
        for (int i = 0; i < n; i++) {
            ck_close(eig[q][i], want[i], 0, 4 * n * DBL_EPSILON * want[n - 1]);
            ck_assert(i == 0 || eig[q][i - 1] <= eig[q][i]);
        }
        free(k[q]);
        free(eig[q]);
    }
    free(want);
}
END_TEST

/* Also matrices that are no Gram matrices: eigenvalues of both signs. */
START_TEST(test_indefinite_matrices)
{
    const int n = sizes[_i];
    uint64_t seed = 6;
    double *k = malloc((size_t)(n * n) * sizeof *k);
    double *eig = malloc((size_t)n * sizeof *eig), *want = malloc((size_t)n * sizeof *want);
    for (int sign = -1; sign < 2; sign++) {
        for (int i = 0; i < n * n; i++)
            k[i] = numbers_normal(&seed) + (i / n == i % n ? sign * n : 0);
        lapack(k, n, want);
        solve_one(k, n, eig);
        for (int i = 0; i < n; i++)
            ck_close(eig[i], want[i], 0, 4 * n * DBL_EPSILON * fmax(-want[0], want[n - 1]));
    }
    free(k);
    free(eig);
    free(want);
}
END_TEST

/* Tridiagonal, and its shift is exactly the last entry: the sweep begins with 0 and a cosine of 0.
 */
START_TEST(test_shift_that_hits_an_entry)
{
    const double k[9] = {0, 0, 0, 1, 0, 0, 0, 1, -1};
    double eig[3], want[3];
    lapack(k, 3, want);
    solve_one(k, 3, eig);
    for (int i = 0; i < 3; i++) ck_close(eig[i], want[i], 0, 1e-15);
}
END_TEST

/* A pair whose trace is negative and whose determinant is zero: the small one is not a quotient of
 * two roundings. */
START_TEST(test_negative_singular_pair)
{
    const double k[4] = {-1, 0, 0x1p-20, -0x1p-40};
    double eig[2];
    solve_one(k, 2, eig);
    ck_close(eig[0], -(1 + 0x1p-40), 1e-15, 0);
    ck_close(eig[1], 0, 0, 1e-16);
}
END_TEST

/* Every matrix alone, in every lane, beside any other matrix, NaN and zero included: the same bits.
 */
START_TEST(test_lanes_do_not_see_each_other)
{
    const int n = sizes[_i / 2], width = numbers_width(_i);
    const size_t bytes = (size_t)n * sizeof(double);
    double *k[SPECTRUM_LANES], *alone[SPECTRUM_LANES], *eig[SPECTRUM_LANES];
    for (int q = 0; q < SPECTRUM_LANES; q++) {
        k[q] = make(q % KINDS, n, 40 + (uint64_t)q);
        alone[q] = malloc(bytes);
        eig[q] = malloc(bytes);
        if (q == 6) memset(k[q], 0, bytes * (size_t)n);
        if (q == 7) k[q][(n - 1) * n] = NAN;
        solve_width((const double *const *)&k[q], 1, n, &alone[q], width);
    }
    for (int turn = 0; turn < SPECTRUM_LANES; turn++) {
        const double *turned[SPECTRUM_LANES];
        const int lanes = SPECTRUM_LANES - (turn == 3 ? 3 : 0);
        for (int q = 0; q < SPECTRUM_LANES; q++) turned[q] = k[(q + turn) % SPECTRUM_LANES];
        solve_width(turned, lanes, n, eig, width);
        for (int q = 0; q < lanes; q++) {
            const int from = (q + turn) % SPECTRUM_LANES;
            ck_assert_msg(memcmp(eig[q], alone[from], bytes) == 0,
                          "n %d: matrix %d differs in lane %d", n, from, q);
        }
    }
    for (int q = 0; q < SPECTRUM_LANES; q++) {
        free(k[q]);
        free(alone[q]);
        free(eig[q]);
    }
}
END_TEST

START_TEST(test_nan_and_infinity_end_in_nan)
{
    enum { N = 20 };
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int place = 0; place < N * (N + 1) / 2; place += 13) {
        double *k = make(0, N, 3), eig[N];
        int i = 0;
        while ((i + 1) * (i + 2) / 2 <= place) i++;
        k[i * N + place - i * (i + 1) / 2] = bad[place % 3];
        solve_one(k, N, eig);
        for (int q = 0; q < N; q++) ck_assert(isnan(eig[q]));
        free(k);
    }
}
END_TEST

/* Largest and smallest numbers of float64: the matrix is scaled by a power of two, so bits follow.
 */
START_TEST(test_scale_follows_exactly)
{
    enum { N = 16 };
    double *k = make(0, N, 8), once[N], again[N];
    solve_one(k, N, once);
    const int powers[] = {900, -900, 1, -52};
    for (int p = 0; p < 4; p++) {
        double scaled[N * N];
        for (int i = 0; i < N * N; i++) scaled[i] = ldexp(k[i], powers[p]);
        solve_one(scaled, N, again);
        for (int i = 0; i < N; i++) ck_assert(again[i] == ldexp(once[i], powers[p]));
    }
    double tiny[N * N] = {0};
    tiny[0] = 5e-324;
    solve_one(tiny, N, again);
    ck_assert(again[N - 1] == 5e-324 && again[0] == 0);
    tiny[0] = DBL_MAX;
    solve_one(tiny, N, again);
    ck_assert(again[N - 1] == DBL_MAX && again[0] == 0);
    free(k);
}
END_TEST

/* -- Gram -- */

/* T, D, ld: also more than is packed at a time, and an odd number of panels. */
static const size_t shapes[][3] = {{1, 1, 1},    {1, 9, 9},    {5, 12, 16},    {12, 5, 5},
                                   {33, 20, 24}, {16, 16, 16}, {24, 261, 264}, {300, 41, 41}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(test_gram_is_its_definition)
{
    const size_t *shape = shapes[_i / 2], T = shape[0], D = shape[1], ld = shape[2];
    const size_t n = gram_n(T, D);
    real *x = numbers_matrix(T * ld, 17);
    double *k = numbers_block(gram_bytes(T, D)), *mean = calloc(D, sizeof *mean);
    void *work = numbers_block(gram_work_bytes(T, D));
    for (int centred = 0; centred < 2; centred++) {
        for (size_t i = 0; centred && i < T * D; i++)
            mean[i % D] += (double)x[i / D * ld + i % D] / (double)T;
        gram_of_width(k, x, T, D, ld, centred ? mean : NULL, work, numbers_width(_i));
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j <= i; j++) {
                long double sum = 0;
                for (size_t q = 0; q < (T <= D ? D : T); q++) {
                    const size_t ri = T <= D ? i : q, ci = T <= D ? q : i;
                    const size_t rj = T <= D ? j : q, cj = T <= D ? q : j;
                    sum += ((long double)x[ri * ld + ci] - mean[ci]) *
                           ((long double)x[rj * ld + cj] - mean[cj]);
                }
                ck_close(k[i * n + j], (double)sum, 1e-13, 1e-13);
            }
        }
    }
    free(x);
    free(k);
    free(mean);
    free(work);
}
END_TEST

/* Both spectra of one turned matrix beside those of the two Gram matrices on their own: gaussian,
 * with a mean, and collapsed so far that no digit of the centred one is left in X X'. */
START_TEST(test_turned_gram_has_both_spectra)
{
    const size_t *shape = shapes[_i / 2 % SHAPES], T = shape[0], D = shape[1], ld = shape[2];
    const size_t n = gram_n(T, D), bytes = gram_bytes(T, D);
    const double offsets[] = {0, 1, REAL_BITS == 64 ? 0x1p40 : 0x1p12};
    void *memory = numbers_block(slab_bytes(T, D)), *work = numbers_block(gram_work_bytes(T, D));
    void *scratch = numbers_block(spectrum_scratch_bytes((int)n));
    double *k = numbers_block(bytes), *plain = numbers_block(bytes),
           *centred = numbers_block(bytes);
    double *eig[4];
    for (int q = 0; q < 4; q++) eig[q] = calloc(n, sizeof **eig);
    for (int o = 0; o < 3; o++) {
        real *x = numbers_matrix(T * ld, 23);
        for (size_t i = 0; i < T * ld; i++) x[i] += (real)(offsets[o] * (1 + (double)(i % ld % 3)));
        slab s;
        slab_sums(&s, x, T, D, ld, false, memory);
        slab_centre(&s);
        const double corner = gram_turned_width(k, &s, work, numbers_width(_i));
        gram_of(plain, x, T, D, ld, NULL, work);
        gram_of(centred, x, T, D, ld, s.col_mean, work);
        const bool by_token = T <= D;
        spectrum_pairs_width((const double *const *)&k, by_token ? NULL : &corner, 1, (int)n,
                             &eig[!by_token], &eig[by_token], scratch, numbers_width(_i));
        solve_one(plain, (int)n, eig[2]);
        solve_one(centred, (int)n, eig[3]);
        for (size_t i = 0; i < n; i++) {
            ck_close(eig[0][i], eig[2][i], 0, 4e-15 * (double)n * eig[2][n - 1]);
            /* the common mean has rounding of its own: what it adds to all rows */
            const double mean_noise = 1e-15 * offsets[o] * sqrt(eig[3][n - 1] * (double)(T * D));
            ck_close(eig[1][i], eig[3][i], 0, 4e-15 * (double)n * eig[3][n - 1] + mean_noise);
        }
        free(x);
    }
    for (int q = 0; q < 4; q++) free(eig[q]);
    free(k);
    free(plain);
    free(centred);
    free(memory);
    free(work);
    free(scratch);
}
END_TEST

/* The second spectrum in any lane, beside any other matrix: the bits of that matrix alone; and the
 * matrix without its last row and column, where that is 1e20 as large as the rest. */
START_TEST(test_pairs_do_not_see_each_other)
{
    const int n = sizes[_i / 2], width = numbers_width(_i);
    const size_t row = (size_t)n * sizeof(double);
    void *scratch = numbers_block(spectrum_scratch_bytes(n));
    double *k[SPECTRUM_PAIRS], *eig[4][SPECTRUM_PAIRS], corner[SPECTRUM_PAIRS];
    for (int q = 0; q < SPECTRUM_PAIRS; q++) {
        k[q] = make(q % KINDS, n, 70 + (uint64_t)q);
        corner[q] = pow(10, q);
        for (int j = 0; q % 2 && j < n; j++) k[q][(n - 1) * n + j] *= j == n - 1 ? 1e20 : 1e10;
        for (int e = 0; e < 4; e++) eig[e][q] = calloc((size_t)n, sizeof(double));
    }
    for (int how = 0; how < 2; how++) {
        spectrum_pairs_width((const double *const *)k, how ? corner : NULL, SPECTRUM_PAIRS, n,
                             eig[0], eig[1], scratch, width);
        for (int q = SPECTRUM_PAIRS - 1; q >= 0; q--) {
            spectrum_pairs_width((const double *const *)&k[q], how ? &corner[q] : NULL, 1, n,
                                 &eig[2][q], &eig[3][q], scratch, width);
            ck_assert(memcmp(eig[0][q], eig[2][q], row) == 0);
            ck_assert(memcmp(eig[1][q], eig[3][q], row) == 0);
        }
        for (int q = 0; q < SPECTRUM_PAIRS; q++) {
            double *other = calloc((size_t)(n * n), sizeof *other), *want = calloc((size_t)n, 8);
            for (int i = 0; i < n - 1 + how; i++) memcpy(other + i * n, k[q] + i * n, row);
            if (how) other[n * n - 1] += corner[q];
            lapack(other, n, want);
            for (int i = 0; i < n; i++)
                ck_close(eig[1][q][i], want[i], 0, 4 * n * DBL_EPSILON * want[n - 1]);
            free(other);
            free(want);
        }
    }
    for (int q = 0; q < SPECTRUM_PAIRS; q++) {
        free(k[q]);
        for (int e = 0; e < 4; e++) free(eig[e][q]);
    }
    free(scratch);
}
END_TEST

/* Centring takes away one rank, and what is left of its eigenvalue is recognized as noise. */
START_TEST(test_centred_rank_is_one_less)
{
    const size_t T = _i % 2 ? 8 : 5, D = _i % 3 ? 8 : 24, n = gram_n(T, D);
    real *x = numbers_matrix(T * D, 900 + (uint64_t)_i);
    for (size_t i = 0; i < T * D; i++) x[i] += (real)(0.2 * (_i % 9));
    void *memory = numbers_block(slab_bytes(T, D)), *work = numbers_block(gram_work_bytes(T, D));
    double *k = numbers_block(gram_bytes(T, D));
    double eig[8], out[RANKS_COUNT];
    slab s;
    slab_sums(&s, x, T, D, D, false, memory);
    slab_centre(&s);
    const double corner = gram_turned(k, &s, work);
    double whole[8], *first = whole, *second = eig;
    void *scratch = numbers_block(spectrum_scratch_bytes((int)n));
    if (T > D) first = eig, second = whole;
    spectrum_pairs((const double *const *)&k, T > D ? &corner : NULL, 1, (int)n, &first, &second,
                   scratch);
    free(scratch);
    ck_assert_int_eq(ranks_of(eig, (int)n, T, D, 0x1p-52, out), REASON_NONE);
    ck_close(out[4], (double)(T - 1), 0, 0);
    free(x);
    free(memory);
    free(work);
    free(k);
}
END_TEST

/* -- ranks -- */

START_TEST(test_equal_eigenvalues_count_themselves)
{
    enum { N = 12 };
    double eig[N] = {0}, out[RANKS_COUNT];
    for (int i = N - _i; i < N; i++) eig[i] = 2.5;
    ck_assert_int_eq(ranks_of(eig, N, N, 30, DBL_EPSILON, out), REASON_NONE);
    for (int m = 0; m < 7; m++) ck_close(out[m], _i, 1e-14, 0);
    ck_close(out[7], 1.0 / _i, 1e-15, 0);
    ck_close(out[8], sqrt(1 - 1.0 / _i), 1e-15, 0);
}
END_TEST

START_TEST(test_ranks_are_their_definitions)
{
    const double s[] = {1e-4, 5e-4, 0.004, 0.05, 1, 3}, eps = 1e-5;
    double eig[6], out[RANKS_COUNT];
    long double sum = 0, squares = 0, fourth = 0, entropy = 0, energy = 0;
    for (int i = 0; i < 6; i++) {
        eig[i] = s[i] * s[i];
        sum += s[i];
        squares += (long double)s[i] * s[i];
        fourth += powl(s[i], 4);
    }
    for (int i = 0; i < 6; i++) {
        entropy -= s[i] / sum * logl(s[i] / sum);
        energy -= s[i] * s[i] / squares * logl(s[i] * s[i] / squares);
    }
    ck_assert_int_eq(ranks_of(eig, 6, 6, 10, eps, out), REASON_NONE);
    const double want[] = {(double)(squares / 9),
                           (double)(squares * squares / fourth),
                           (double)expl(entropy),
                           (double)expl(energy),
                           5, /* above 10 eps s_1 = 3e-4 */
                           4,
                           3,
                           (double)(9 / squares),
                           (double)sqrtl((squares - 9) / squares)};
    for (int m = 0; m < RANKS_COUNT; m++) {
        ck_assert_msg(fabs(out[m] - want[m]) <= 1e-13 * want[m], "rank %d: %.17g, wanted %.17g", m,
                      out[m], want[m]);
    }
}
END_TEST

/* What forming the Gram matrix leaves of a zero singular value does not count, of either sign. */
START_TEST(test_rounding_noise_is_no_rank)
{
    double eig[] = {-3e-16, 1e-15, 1, 1}, out[RANKS_COUNT];
    ck_assert_int_eq(ranks_of(eig, 4, 4, 64, 0x1p-52, out), REASON_NONE);
    for (int m = 0; m < 7; m++) ck_close(out[m], 2, 1e-15, 0);
    double zero[3] = {-1e-30, 0, 0}, bad[2] = {NAN, NAN};
    ck_assert_int_eq(ranks_of(zero, 3, 3, 3, 0x1p-52, out), REASON_ZERO);
    ck_assert_int_eq(ranks_of(bad, 2, 2, 2, 0x1p-52, out), REASON_NONE);
    for (int m = 0; m < RANKS_COUNT; m++) ck_assert(isnan(out[m]));
}
END_TEST

/* The noise of a small residual stays in rank1_residual as long as it is above the floor. */
START_TEST(test_rank1_residual_keeps_its_digits)
{
    const double small = 0x1p-30;
    double eig[] = {small / 2, small / 2, 1}, out[RANKS_COUNT];
    ck_assert_int_eq(ranks_of(eig, 3, 3, 3, 0x1p-52, out), REASON_NONE);
    ck_close(out[8], sqrt(small / (1 + small)), 1e-15, 0);
}
END_TEST

START_TEST(test_gaussian_matrix_has_the_ranks_of_theory)
{
    const size_t T = 64, D = 512;
    real *x = numbers_matrix(T * D, 2026);
    double *k = numbers_block(gram_bytes(T, D)), eig[64], out[RANKS_COUNT];
    void *work = numbers_block(gram_work_bytes(T, D));
    gram_of(k, x, T, D, D, NULL, work);
    solve_one(k, 64, eig);
    ck_assert_int_eq(ranks_of(eig, 64, T, D, REAL_EPSILON, out), REASON_NONE);
    ck_close(out[1], 56.8, 0, 1.0); /* T D/(T + D + 1) */
    ck_close(out[0], 37, 0, 2);     /* T D/(sqrt T + sqrt D)^2, finite-size */
    ck_close(out[2], 62.96, 0, 0.1);
    ck_close(out[3], 60.14, 0, 0.3);
    ck_close(out[4], 64, 0, 0);
    free(x);
    free(k);
    free(work);
}
END_TEST

START_TEST(test_mean_of_ranks_and_its_reasons)
{
    const double one[2] = {0, 4}, two[2] = {4, 4}, zero[2] = {0, 0}, bad[2] = {NAN, NAN};
    metric_value out[METRIC_COUNT];
    ranks r, more;
    ranks_reset(&r);
    ranks_finish(&r, false, out);
    ck_reason(out[METRIC_stable_rank], REASON_NO_ENTRIES);
    ranks_add(&r, zero, 2, 2, 2, 1e-16);
    ranks_finish(&r, false, out);
    ck_reason(out[METRIC_rank1_residual], REASON_ZERO);
    ranks_add(&r, one, 2, 2, 2, 1e-16);
    ranks_reset(&more);
    ranks_add(&more, two, 2, 2, 2, 1e-16);
    ranks_merge(&r, &more);
    ranks_finish(&r, true, out);
    ck_value(out[METRIC_stable_rank_centred], 1.5, 1e-15, 0);
    ck_value(out[METRIC_rank1_residual_centred], sqrt(0.5) / 2, 1e-15, 0);
    ranks_add(&r, bad, 2, 2, 2, 1e-16);
    ranks_finish(&r, true, out);
    ck_reason(out[METRIC_stable_rank_centred], REASON_NAN);
    ranks_reset(&r);
    ranks_add(&r, zero, 1, 1, 2, 1e-16);
    ranks_finish(&r, true, out);
    ck_reason(out[METRIC_effective_rank_centred], REASON_ONE_TOKEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spectrum");
    TCase *c = tcase_create("spectrum");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_eigenvalues_are_those_of_lapack, 0, 2 * SIZES);
    tcase_add_loop_test(c, test_indefinite_matrices, 0, SIZES);
    tcase_add_test(c, test_shift_that_hits_an_entry);
    tcase_add_test(c, test_negative_singular_pair);
    tcase_add_loop_test(c, test_lanes_do_not_see_each_other, 0, 2 * SIZES);
    tcase_add_test(c, test_nan_and_infinity_end_in_nan);
    tcase_add_test(c, test_scale_follows_exactly);
    tcase_add_loop_test(c, test_gram_is_its_definition, 0, 2 * SHAPES);
    tcase_add_loop_test(c, test_turned_gram_has_both_spectra, 0, 2 * SHAPES);
    tcase_add_loop_test(c, test_pairs_do_not_see_each_other, 0, 2 * SIZES);
    tcase_add_loop_test(c, test_centred_rank_is_one_less, 0, 60);
    tcase_add_loop_test(c, test_equal_eigenvalues_count_themselves, 1, 13);
    tcase_add_test(c, test_ranks_are_their_definitions);
    tcase_add_test(c, test_rounding_noise_is_no_rank);
    tcase_add_test(c, test_rank1_residual_keeps_its_digits);
    tcase_add_test(c, test_gaussian_matrix_has_the_ranks_of_theory);
    tcase_add_test(c, test_mean_of_ranks_and_its_reasons);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
