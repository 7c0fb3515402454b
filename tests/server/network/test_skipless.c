/* Attention without skips at its own initial weights: what it does to the kernel of tokens
 * K = X X'/D is known exactly, because W_Q = 0 leaves only the constants of the construction and
 * W_V, W_O are orthogonal. The mixing matrices are made here by plain elimination, independently of
 * core/math/target_kernel.c. */
#include "tests/small_net.h"
#include "tests/suite.h"

#include <check.h>

enum { N = SMALL_TOKENS, DEPTH = 5 };

/* --- kernels ---------------------------------------------------------------------------------- */

typedef double kernel[N][N];

static void kernel_of(const record_tensor *x, int b, kernel out)
{
    size_t width = x->dims[x->rank - 1];
    const double *row = x->data + (size_t)b * N * width;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            double sum = 0;
            for (size_t c = 0; c < width; c++) sum += row[i * width + c] * row[j * width + c];
            out[i][j] = sum / (double)width;
        }
}

/* Lower triangular, L L' = s. */
static void cholesky(kernel s, kernel out)
{
    memset(out, 0, sizeof(kernel));
    for (int j = 0; j < N; j++)
        for (int i = j; i < N; i++) {
            double rest = s[i][j];
            for (int k = 0; k < j; k++) rest -= out[i][k] * out[j][k];
            out[i][j] = i == j ? sqrt(rest) : rest / out[j][j];
        }
}

/* out = a b^-1, b lower triangular. */
static void divide(kernel a, kernel b, kernel out)
{
    for (int i = 0; i < N; i++)
        for (int j = N - 1; j >= 0; j--) {
            double rest = a[i][j];
            for (int k = j + 1; k < N; k++) rest -= out[i][k] * b[k][j];
            out[i][j] = rest / b[j][j];
        }
}

static void carry(kernel a, kernel k, kernel out)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            out[i][j] = 0;
            for (int m = 0; m < N; m++)
                for (int n = 0; n < N; n++) out[i][j] += a[i][m] * k[m][n] * a[j][n];
        }
}

/* Largest difference as a share of the largest entry of b. */
static double distance(kernel a, kernel b)
{
    double most = 0, off = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            most = fmax(most, fabs(b[i][j]));
            off = fmax(off, fabs(a[i][j] - b[i][j]));
        }
    return off / most;
}

typedef void target(int layer, kernel out);

static void identity(int layer, kernel out)
{
    (void)layer;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) out[i][j] = i == j;
}

/* rho_L = 0.6, 1 - rho_l = (1 - rho_L)^(l/L). */
static void uniform(int layer, kernel out)
{
    double rho = 1 - pow(1 - 0.6, (double)layer / DEPTH);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) out[i][j] = i == j ? 1 : rho;
}

/* gamma_L = 0.1, gamma_l = -ln(1 - alpha^{2l/L})/2, alpha^2 = 1 - exp(-2 gamma_L). */
static void exponential(int layer, kernel out)
{
    double power = pow(1 - exp(-2 * 0.1), (double)layer / DEPTH), gamma = -0.5 * log(1 - power);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) out[i][j] = i == j ? 1 : exp(-gamma * abs(i - j));
}

static void mixing(target *sigma, int layer, kernel out)
{
    kernel now, before, factor, factor_before;
    sigma(layer, now);
    sigma(layer - 1, before);
    cholesky(now, factor);
    cholesky(before, factor_before);
    divide(factor, factor_before, out);
}

/* --- tests ------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *strategy, *mask;
    target *sigma;
} rows[] = {
    {"value_skipinit", "", "causal", identity},
    {"value_skipinit", "", "bidirectional", identity},
    {"shaped_attention", "", "causal", identity},
    {"shaped_attention", "", "bidirectional", identity},
    {"u_spa", ",\"rho_last\":0.6", "causal", uniform},
    {"e_spa", ",\"gamma_last\":0.1", "causal", exponential},
};
enum { ROWS = sizeof rows / sizeof *rows };

static small_net net_of(int i)
{
    return (small_net){.name = rows[i].name,
                       .strategy = rows[i].strategy,
                       .mask = rows[i].mask,
                       .activation = "gelu",
                       .depth = DEPTH,
                       .own_weights = true};
}

/* Largest distance of any block's K after attention from A_l K A_l' before it. */
static double off_target(const small_run *run, target *sigma)
{
    double worst = 0;
    for (int l = 1; l <= DEPTH; l++)
        for (int b = 0; b < 3; b++) {
            kernel before, after, a, carried;
            kernel_of(small_value(run, l - 1, l == 1 ? "embed" : "resid_out"), b, before);
            kernel_of(small_value(run, l, "resid_mid"), b, after);
            mixing(sigma, l, a);
            carry(a, before, carried);
            worst = fmax(worst, distance(after, carried));
        }
    return worst;
}

START_TEST(test_attention_carries_the_kernel_as_constructed)
{
    small_run run;
    small_start(&run, net_of(_i));
    small_holds(rows[_i].name, "K = A_l K A_l'", off_target(&run, rows[_i].sigma));
    if (rows[_i].sigma != identity)
        small_must_fail(rows[_i].name, "K unchanged", off_target(&run, identity));
    small_end(&run);
}
END_TEST

static void gaussian_values(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    if (!small_has_role(t->name, "attn.v")) return;
    for (size_t i = 0; i < pattern_count(t); i++)
        pattern_store(t, i, 0.5 * pattern_load(t, i) * (i % 3 == 0 ? 2 : 1));
}

/* Only orthogonal values do that. */
START_TEST(test_other_values_do_not_carry_it)
{
    small_run run;
    small_net net = net_of(_i);
    net.change = gaussian_values;
    small_start(&run, net);
    small_must_fail(rows[_i].name, "K = A_l K A_l' with values that are not orthogonal",
                    off_target(&run, rows[_i].sigma));
    small_end(&run);
}
END_TEST

/* With W_Q = 0 the keys have no gradient and the queries have one; where attention itself starts at
 * 0 (beta of value_skipinit) neither has. */
START_TEST(test_keys_learn_only_after_queries)
{
    small_run run;
    small_start(&run, net_of(_i));
    const record_tensor *k = small_gradient(&run, 0, "blocks.1.attn.k.weight"),
                        *q = small_gradient(&run, 0, "blocks.1.attn.q.weight");
    bool is_mixed = strcmp(rows[_i].name, "value_skipinit") != 0; /* beta = 0 there */
    ck_assert(small_dot(k, k) == 0);
    ck_assert(is_mixed ? small_dot(q, q) > 0 : small_dot(q, q) == 0);
    small_end(&run);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("skipless");
    TCase *t = tcase_create("initial weights");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_attention_carries_the_kernel_as_constructed, 0, ROWS);
    tcase_add_loop_test(t, test_other_values_do_not_carry_it, 0, ROWS);
    tcase_add_loop_test(t, test_keys_learn_only_after_queries, 0, ROWS);
    suite_add_tcase(s, t);
    return suite_run(s);
}
