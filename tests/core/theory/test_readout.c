/* The kernel of the loss's gradient against sampled output matrices, where the matrix is the
 * embedding and finds nearly every token in its stream. */
#include "core/base/rng.h"
#include "core/init/init.h"
#include "core/loss/loss.h"
#include "core/theory/readout.h"
#include "tests/spec_defaults.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 64, WIDTH = 256, VOCAB = 32, DRAWS = 16 };

static const double LOGIT_VAR = 0.2;

/* x.x, mean over places, and x.y over pairs of two. */
typedef struct moments_of_rows {
    double own, other;
} moments_of_rows;

static double dot(const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < WIDTH; i++) sum += a[i] * b[i];
    return sum;
}

static void add_moments(moments_of_rows *m, double rows[LENGTH][WIDTH], double weight)
{
    for (int i = 0; i < LENGTH; i++)
        for (int j = 0; j < LENGTH; j++) {
            double d = weight * dot(rows[i], rows[j]);
            if (i == j) m->own += d / LENGTH;
            if (i != j) m->other += d / (LENGTH * (LENGTH - 1.0));
        }
}

static void scale_to(double *row, double length)
{
    double by = length / sqrt(dot(row, row));
    for (int i = 0; i < WIDTH; i++) row[i] *= by;
}

/* One draw: streams of share s of the token's row, the rest of correlation common. */
typedef struct draw {
    double w[VOCAB][WIDTH], x[LENGTH][WIDTH], g[LENGTH][WIDTH], past[LENGTH][WIDTH];
    double loss;
} draw;

static void make_streams(draw *d, const int32_t *held, double share, double common, uint64_t seed)
{
    rng rows = rng_stream(seed, "test", "rows"), rest = rng_stream(seed, "test", "rest"),
        shared = rng_stream(seed, "test", "shared");
    for (uint64_t i = 0; i < VOCAB * WIDTH; i++)
        d->w[i / WIDTH][i % WIDTH] = sqrt(LOGIT_VAR / WIDTH) * rng_normal(&rows, i);
    for (uint64_t i = 0; i < LENGTH; i++) {
        double *x = d->x[i], own[WIDTH];
        for (uint64_t c = 0; c < WIDTH; c++)
            x[c] = sqrt(common) * rng_normal(&shared, c) +
                   sqrt(1 - common) * rng_normal(&rest, i * WIDTH + c);
        memcpy(own, d->w[held[i]], sizeof own);
        scale_to(x, sqrt(1 - share));
        scale_to(own, sqrt(share));
        for (int c = 0; c < WIDTH; c++) x[c] += own[c];
        scale_to(x, sqrt(WIDTH));
    }
}

static void differentiate(draw *d, const int32_t *targets)
{
    d->loss = 0;
    for (int i = 0; i < LENGTH; i++) {
        double z[VOCAB], sum = 0;
        for (int v = 0; v < VOCAB; v++) sum += z[v] = exp(dot(d->w[v], d->x[i]));
        d->loss += log(sum / z[targets[i]]) / LENGTH;
        for (int c = 0; c < WIDTH; c++) {
            double g = -d->w[targets[i]][c];
            for (int v = 0; v < VOCAB; v++) g += z[v] / sum * d->w[v][c];
            d->g[i][c] = g / LENGTH;
        }
        double along = dot(d->g[i], d->x[i]) / WIDTH;
        for (int c = 0; c < WIDTH; c++) d->past[i][c] = d->g[i][c] - along * d->x[i][c];
    }
}

static const struct {
    double share, common;
} cases[] = {{0.95, 0}, {0.6, 0}, {0.6, 0.8}, {0.3, 0.8}};

static run_spec spec_of_case(void)
{
    run_spec spec = {.depth = 1};
    spec.model = (spec_model){.d_model = WIDTH, .vocab = VOCAB, .tied = true, .mask = MASK_CAUSAL};
    spec.data = (spec_data){.batch = 1, .seq_len = LENGTH};
    spec.train.loss = registry_find(&loss_registry, "cross_entropy");
    spec_defaults(&spec, 0);
    spec.init.scheme = registry_find(&init_registry, "gpt2");
    spec.init.embed_std = sqrt(LOGIT_VAR / WIDTH);
    return spec;
}

/* Within 2 % of |g_i|^2, and for pairs of places within 1 % of that: of 16 matrices, and with what
 * orders of 1/V leave out. */
START_TEST(test_gradients_of_a_tied_matrix_that_finds_its_tokens)
{
    static draw d;
    int32_t held[LENGTH + 1];
    moments_of_rows x = {0}, at = {0}, past = {0};
    double loss_mean = 0;
    rng r = rng_stream(7, "test", "tokens");
    for (uint64_t i = 0; i <= LENGTH; i++) held[i] = (int32_t)rng_below(&r, i, VOCAB);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        make_streams(&d, held, cases[_i].share, cases[_i].common, seed);
        differentiate(&d, held + 1);
        add_moments(&x, d.x, 1.0 / DRAWS);
        add_moments(&at, d.g, 1.0 / DRAWS);
        add_moments(&past, d.past, 1.0 / DRAWS);
        loss_mean += d.loss / DRAWS;
    }
    const run_spec spec = spec_of_case();
    const setting s = {.spec = &spec};
    const theory_data data = {.tokens = held};
    const kernel_mean final = {.q = x.own / WIDTH, .pairs = x.other / WIDTH};
    readout out = readout_of(&s, &data, final, (double)NAN, cases[_i].share, 0);
    double other = out.past.other + out.along * x.other / x.own;
    ck_assert_int_eq(out.reason, REASON_NONE);
    ck_assert_double_eq_tol(out.loss, loss_mean, 0.03);
    ck_assert_double_eq_tol(out.at.own / at.own, 1, 0.02);
    ck_assert_double_eq_tol(out.past.own / past.own, 1, 0.02);
    ck_assert_double_eq_tol(out.at.other / at.own, at.other / at.own, 0.01);
    ck_assert_double_eq_tol(other / past.own, past.other / past.own, 0.015);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("readout");
    TCase *c = tcase_create("tied");
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_gradients_of_a_tied_matrix_that_finds_its_tokens, 0,
                        sizeof cases / sizeof *cases);
    suite_add_tcase(s, c);
    return suite_run(s);
}
