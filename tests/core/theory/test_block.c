/* Sublayers of theory in settings that have closed forms: tokens that are exchangeable (one group),
 * uniform attention, weights that keep the variance. */
#include "core/theory/block.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 16, DEPTH_MAX = 32 };

/* A chain of sublayers: the kernels that they read, those of the stream and of its gradient. */
typedef struct chain {
    tokens t;
    sight sight;
    pair act;
    stream x;
    stream read[2 * DEPTH_MAX];
    trace trace[2 * DEPTH_MAX];
    double *memory, *grad, *to_base, *work;
    hermite_series series[2];
    int n;
} chain;

static double *take(double **memory, size_t n)
{
    double *at = *memory;
    *memory += n;
    return at;
}

static void chain_init(chain *c, const char *curve, int length)
{
    memset(c, 0, sizeof *c);
    tokens_init(&c->t, length, true, 1);
    sight_init(&c->sight, &c->t, false, 0);
    pair_of_activation(&c->act, activation_table[registry_find(&activation_registry, curve)]);
    size_t each = kernel_doubles(1), traces = trace_doubles(1, 1);
    c->memory = calloc(3 * each + sublayer_work_doubles(1, 1) + 2 * DEPTH_MAX * (each + traces),
                       sizeof *c->memory);
    ck_assert_ptr_nonnull(c->memory);
    double *free_at = c->memory;
    c->x.k = take(&free_at, each);
    c->grad = take(&free_at, each);
    c->to_base = take(&free_at, each);
    c->work = take(&free_at, sublayer_work_doubles(1, 1));
    for (int i = 0; i < 2 * DEPTH_MAX; i++) {
        c->read[i].k = take(&free_at, each);
        trace_place(&c->trace[i], take(&free_at, traces), &c->t);
    }
}

/* Pairs of different tokens, and a token with itself. */
static void fill(double *k, double pairs, double own)
{
    k[0] = pairs;
    k[1] = own;
}

/* beta: factor of the branch. */
static sublayer mlp_of(const chain *c, int width, double beta)
{
    return (sublayer){.is_mlp = true,
                      .alpha = 1,
                      .beta = beta,
                      .in_scale = 1,
                      .act = &c->act,
                      .gain_in = 1,
                      .gain_out = 1,
                      .boost = 1,
                      .width = width,
                      .hidden = width};
}

static sublayer uniform_attention_of(const chain *c, int width, double beta)
{
    return (sublayer){.alpha = 1,
                      .beta = beta,
                      .in_scale = 1,
                      .mix = {.tokens = &c->t, .sight = &c->sight, .gain = 1, .query_var = 1},
                      .gain_out = 1,
                      .matrix = {0, 1, 1},
                      .width = width,
                      .hidden = width};
}

static void forward(chain *c, const sublayer *s)
{
    double *keep = c->read[c->n].k;
    memcpy(keep, c->x.k, kernel_doubles(1) * sizeof *keep);
    c->read[c->n] = c->x;
    c->read[c->n].k = keep;
    sublayer_forward(s, &c->t, &c->x, NULL, &c->trace[c->n], c->work, c->series);
    c->n++;
}

static void backward(chain *c, const sublayer *s, matrix_grads *m)
{
    c->n--;
    sublayer_backward(s, &c->t, &c->read[c->n], NULL, &c->trace[c->n], c->grad, c->to_base, NULL, m,
                      c->work, c->series);
}

/* Pre-LN, MLPs alone: a ReLU passes as much of a gradient's square as of the signal's, so |G_l|^2/
 * |G_L|^2 = q_L/q_l, and q_l = q_0 + l/2. The norms take 2/D off what passes them; measured by
 * another program, one seed: 10 %. */
START_TEST(test_pre_ln_gradients_are_the_stream_reversed)
{
    enum { WIDTH = 512, L = 32 };
    static const struct {
        int layer;
        double measured;
    } rows[] = {{0, 17.2}, {1, 11.5}, {4, 5.85}, {8, 3.44}, {16, 1.90}, {24, 1.32}};
    chain c;
    double growth[L + 1];
    chain_init(&c, "relu", TOKENS);
    sublayer s = mlp_of(&c, WIDTH, 1);
    s.in = (norm_step){.kind = STEP_ROW, .target = 1, .kept = 1 - 2.0 / WIDTH, .centres = true};
    fill(c.x.k, 0, 1);
    for (int l = 0; l < L; l++) forward(&c, &s);
    ck_assert_double_eq_tol(c.x.k[1], 1 + L / 2.0, 1e-9);
    fill(c.grad, 0, 1);
    for (int l = L; l > 0; l--) {
        growth[l] = c.grad[1];
        backward(&c, &s, NULL);
    }
    growth[0] = c.grad[1];
    for (int l = 0; l <= L; l++)
        ck_assert_double_eq_tol(growth[l] / ((1 + L / 2.0) / (1 + l / 2.0)), 1, 2.0 / WIDTH * 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_double_eq_tol(growth[rows[i].layer] / rows[i].measured, 1, 0.1);
    free(c.memory);
}
END_TEST

/* Uniform attention, linear MLPs, no norms, C = |1'X|^2 (arXiv:2206.03126):
 *
 *   C_L = (1 + a^2)^L (1 + b^2)^L C_0
 *   |X_L|^2 = (1 + b^2)^L (|X_0|^2 + ((1 + a^2)^L - 1) C_0/T)
 *
 * a, b the factors of attention and MLP. */
START_TEST(test_moments_of_uniform_attention)
{
    enum { WIDTH = 256, L = 20 };
    const double a_sq = _i ? 1 : 1.0 / L, b_sq = _i ? 0.5 : 1.0 / L, T = TOKENS;
    chain c;
    chain_init(&c, "identity", TOKENS);
    sublayer attn = uniform_attention_of(&c, WIDTH, sqrt(a_sq)),
             mlp = mlp_of(&c, WIDTH, sqrt(b_sq));
    fill(c.x.k, 0.1 * _i, 1);
    kernel_mean first = kernel_means(c.x.k, &c.t);
    for (int l = 0; l < L; l++) {
        forward(&c, &attn);
        forward(&c, &mlp);
    }
    kernel_mean last = kernel_means(c.x.k, &c.t);
    double a = pow(1 + a_sq, L), b = pow(1 + b_sq, L);
    const double exact = REAL_BITS == 64 ? 1e-9 : 1e-5; /* the identity is the engine's own */
    ck_assert_double_eq_tol(last.p / (a * b * first.p), 1, exact);
    ck_assert_double_eq_tol(last.q / (b * (first.q + (a - 1) * first.p)), 1, exact);
    if (!_i) { /* X_0 of T D entries of variance 1: measured there 31244 and 12009, of 40 seeds */
        ck_assert_double_eq_tol(last.p * T * T * WIDTH / 28834, 1, 1e-4);
        ck_assert_double_eq_tol(last.q * T * WIDTH / 11988, 1, 0.01);
    }
    free(c.memory);
}
END_TEST

/* At zero logits, for gradients of the heads' outputs with entries of variance 1,
 *
 *   |dW_Q|^2 = s_K^2 s_V^2 D |X|^2 |X'CX|^2/T^2,   |dW_V|^2 = D |1'X|^2/T,
 *
 * s^2 the variances of entries, C = I - 11'/T: one with what tokens differ in, squared, the other
 * with what they share (arXiv:2206.03126). */
START_TEST(test_query_gradients_are_of_what_tokens_differ_in)
{
    enum { WIDTH = 128 };
    static const double rho[] = {0, 0.5, 0.9, 0.999};
    const double T = TOKENS, D = WIDTH, apart = 1 - rho[_i];
    chain c;
    matrix_grads m;
    chain_init(&c, "identity", TOKENS);
    sublayer s = uniform_attention_of(&c, WIDTH, 1);
    fill(c.x.k, rho[_i], 1);
    forward(&c, &s);
    fill(c.grad, 0, D); /* |g|^2; W_O keeps it */
    backward(&c, &s, &m);
    double all = T * D, covariance = D * D * apart * apart * (T - 1),
           mean = T * D * (1 + (T - 1) * rho[_i]);
    ck_assert_double_eq_tol(m.weight[0] / (all * covariance / (D * T * T)), 1,
                            1e-13 / (apart * apart)); /* its terms cancel */
    ck_assert_double_eq_tol(m.weight[2] / (D * mean / T), 1, 1e-9);
    free(c.memory);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("block");
    TCase *c = tcase_create("closed forms");
    tcase_set_timeout(c, 10);
    tcase_add_test(c, test_pre_ln_gradients_are_the_stream_reversed);
    tcase_add_loop_test(c, test_moments_of_uniform_attention, 0, 2);
    tcase_add_loop_test(c, test_query_gradients_are_of_what_tokens_differ_in, 0, 4);
    suite_add_tcase(s, c);
    return suite_run(s);
}
