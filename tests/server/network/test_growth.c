/* How streams and their gradients change over the blocks at the start, by the engine, against the
 * closed forms of the placement: means over seeds within what seeds of such a width may differ. */
#include "server/job/reader.h"
#include "tests/record.h"
#include "tests/suite.h"

enum { LAYERS_MAX = 128, ALIGNED_WIDTH = 64 };

typedef struct growth {
    double square[LAYERS_MAX + 1]; /* of block l, by that of block 0: mean over seeds */
    double logs[LAYERS_MAX + 1];   /* mean of its logarithm */
    double apart[LAYERS_MAX + 1];  /* what of it tokens differ in, by square of block 0 */
    double corr[LAYERS_MAX + 1];   /* token_corr */
    double grad[LAYERS_MAX + 1];   /* grad_norm */
    double alignment;              /* branch_alignment of the attention, mean over blocks, too */
    double angle;                  /* angle_exponent */
    double line;                   /* R^2 of a line through var, the least of the seeds */
    int depth;
} growth;

/* Stream of one run; layer 0 is the embedding. */
static void add_run(growth *g, const record *r, int n_runs)
{
    double square[LAYERS_MAX + 1] = {0}, apart[LAYERS_MAX + 1] = {0};
    for (size_t i = 0; i < r->n_measurements; i++) {
        const measurement *m = &r->measurements[i];
        bool stream = m->site == (m->layer ? SITE_resid_out : SITE_embed);
        if (m->metric == METRIC_rms && stream) square[m->layer] = m->value * m->value;
        if (m->metric == METRIC_var_token && stream) apart[m->layer] = m->value;
        if (m->metric == METRIC_token_corr && stream) g->corr[m->layer] += m->value / n_runs;
        if (m->metric == METRIC_grad_norm && stream) g->grad[m->layer] += m->value / n_runs;
        if (m->metric == METRIC_branch_alignment && m->site == SITE_attn_branch)
            g->alignment += m->value / (n_runs * (g->depth - 1));
        if (m->metric == METRIC_angle_exponent) g->angle += m->value / n_runs;
        if (m->metric == METRIC_var_growth_r2_linear) g->line = fmin(g->line, m->value);
    }
    for (int l = 0; l <= g->depth; l++) {
        g->square[l] += square[l] / square[0] / n_runs;
        g->apart[l] += apart[l] / square[0] / n_runs;
        g->logs[l] += log(square[l] / square[0]) / n_runs;
    }
}

static void read_job(job *j, const char *text)
{
    error err = {0};
    limits lim = limits_default();
    job_init(j);
    if (reader_job(text, strlen(text), &lim, j, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
}

static growth grow(const char *text, record_edit *edit)
{
    job j;
    read_job(&j, text);
    growth g = {.line = 1, .depth = j.runs[0].spec.depth};
    for (int i = 0; i < j.n_runs; i++) {
        record r;
        record_run(&r, engine_for(j.runs[i].spec.precision), &j.runs[i].spec, 1, false, edit, NULL);
        add_run(&g, &r, j.n_runs);
        record_deinit(&r);
    }
    job_deinit(&j);
    return g;
}

#define MEASURE(metrics)                                                                           \
    "\"measure\":{\"steps\":[0],\"sites\":[\"embed\",\"resid_out\",\"run\"],\"metrics\":[" metrics \
    "]},\"train\":{\"steps\":0,\"loss\":\"grad_iid\"},\"init\":\"lecun\""

/* 12 blocks of width 512, ReLU, 4 seeds, tokens of correlation 0.1. */
static growth of_strategy(const char *name)
{
    char text[700];
    snprintf(text, sizeof text,
             "{\"strategy\":\"%s\",\"depth\":12,\"seeds\":[0,1,2,3],\"data\":{\"source\":"
             "\"gaussian\",\"batch\":1,\"seq_len\":32,\"token_corr\":0.1},\"model\":{\"d_model\":"
             "512,\"n_heads\":8,\"d_ff\":512,\"activation\":\"relu\",\"mask\":\"bidirectional\","
             "\"position\":\"none\"}," MEASURE("\"rms\",\"token_corr\",\"fit\"") "}",
             name);
    return grow(text, NULL);
}

/* q_l = 1 + 2 l exactly but for the products of stream and branch, 4/sqrt(D S). */
START_TEST(test_peri_ln_grows_by_two_a_block)
{
    growth g = of_strategy("peri_ln");
    for (int l = 1; l <= g.depth; l++)
        ck_assert_double_eq_tol(g.square[l] / (1 + 2 * l), 1, 4 / sqrt(512.0 * 4));
    ck_assert_double_ge(g.line, 0.99);
}
END_TEST

/* Between 1/2 a block, for tokens that have nothing in common, and 3/2, for tokens that are one
 * (arXiv:2002.04745); what lies between bends the line a little in the first blocks. */
START_TEST(test_pre_ln_grows_linearly)
{
    growth g = of_strategy("pre_ln");
    ck_assert_double_ge(g.line, 0.98);
    for (int l = 1; l <= g.depth; l++) {
        ck_assert_double_ge(g.square[l], 1 + 0.5 * l);
        ck_assert_double_le(g.square[l], (1 + 1.5 * l) * (1 + 4 / sqrt(512.0 * 4)));
    }
}
END_TEST

/* Once tokens are alike attention halves what they differ in and an MLP keeps it. */
START_TEST(test_post_ln_tokens_become_one_by_half_a_block)
{
    growth g = of_strategy("post_ln");
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (int l = 1; l <= g.depth; l++) {
        double rest = log2(1 - g.corr[l]);
        if (g.corr[l] < 0.8 || g.corr[l] > 0.999) continue;
        n++, x += l, y += rest, xx += l * l, xy += l * rest;
    }
    ck_assert_double_ge(n, 5);
    ck_assert_double_eq_tol((n * xy - x * y) / (n * xx - x * x), -1, 0.15);
}
END_TEST

/* The same as a metric, between rho = 0.8 and 0.999; and of 48 blocks, of which two in five are
 * left out because their tokens differ by no more than rounding, in either precision. */
static double angle_of_post_ln(const char *precision, int depth, int width, const char *seeds)
{
    char text[700];
    snprintf(text, sizeof text,
             "{\"strategy\":\"post_ln\",\"depth\":%d,\"seeds\":%s,\"precision\":\"%s\",\"data\":{"
             "\"source\":\"gaussian\",\"batch\":1,\"seq_len\":32,\"token_corr\":0.7},\"model\":{"
             "\"d_model\":%d,\"n_heads\":8,\"d_ff\":%d,\"activation\":\"relu\",\"mask\":"
             "\"bidirectional\",\"position\":\"none\"}," MEASURE("\"rms\",\"angle_exponent\"") "}",
             depth, seeds, precision, width, width);
    return grow(text, NULL).angle;
}

START_TEST(test_angle_exponent_of_post_ln_is_half_a_block)
{
    double half = log(0.5);
    ck_assert_double_eq_tol(angle_of_post_ln("float32", 8, 512, "[0,1,2,3]"), half, -0.15 * half);
    double single = angle_of_post_ln("float32", 48, 128, "[0]"),
           exact = angle_of_post_ln("float64", 48, 128, "[0]");
    ck_assert_double_eq_tol(exact, half, -0.15 * half);
    ck_assert_double_eq_tol(single, exact, 1e-3);
}
END_TEST

static void without_attention(void *user, const run_spec *spec, const tensor_view *t)
{
    (void)user;
    (void)spec;
    if (!strstr(t->name, "attn.o.weight")) return;
    for (size_t i = 0; i < pattern_count(t); i++) pattern_store(t, i, 0);
}

/* Pre-LN with MLPs alone: a ReLU passes as much of a gradient's square as it does of the signal's,
 * so block l multiplies both by q_l/q_{l-1}: |G_l|^2/|G_L|^2 = q_L/q_l. One seed. */
START_TEST(test_pre_ln_gradients_are_the_stream_reversed)
{
    growth g = grow(
        "{\"strategy\":\"pre_ln\",\"depth\":32,\"seeds\":[0],\"data\":{\"source\":"
        "\"gaussian\",\"batch\":2,\"seq_len\":8,\"token_corr\":0},\"model\":{\"d_model\":"
        "512,\"n_heads\":8,\"d_ff\":512,\"activation\":\"relu\",\"position\":\"none\"}," MEASURE(
            "\"rms\",\"grad_norm\"") "}",
        without_attention);
    int L = g.depth;
    for (int l = 1; l < L; l++) {
        double grad = g.grad[l] * g.grad[l] / (g.grad[L] * g.grad[L]);
        ck_assert_double_eq_tol(grad / (g.square[L] / g.square[l]), 1, 0.1);
    }
    ck_assert_double_ge(g.square[L] / g.square[1], 8);
}
END_TEST

/* Without norms, n = 2 L branches that keep the variance, one token: (1 + lambda^2)^n, up to 2^128,
 * where float32 ends. What 2^n multiplies by is compared by its logarithm, within a factor 1.5;
 * else 15 %. Two matrices a branch, 2/D of its square each. */
static const struct {
    const char *rule;
    int depth;
    double lambda_sq, allowed;
} scaled[] = {
    {"constant", 4, 1, 0.405},
    {"constant", 16, 1, 0.405},
    {"constant", 64, 1, 0.405},
    {"inv_sqrt_sublayers", 4, 1 / 8.0, 0.14},
    {"inv_sqrt_sublayers", 16, 1 / 32.0, 0.14},
    {"inv_sqrt_sublayers", 64, 1 / 128.0, 0.14},
    {"inv_depth", 16, 1 / 256.0, 0.14},
};

START_TEST(test_sums_without_norms_multiply)
{
    char text[700];
    int L = scaled[_i].depth;
    snprintf(
        text, sizeof text,
        "{\"strategy\":{\"placement\":\"none\",\"norm\":\"none\",\"final_norm\":false,"
        "\"residual_rule\":\"%s\"},\"depth\":%d,\"seeds\":[0,1,2,3,4,5],\"precision\":"
        "\"float64\",\"data\":{\"source\":\"gaussian\",\"batch\":1,\"seq_len\":1,\"token_corr\""
        ":0},\"model\":{\"d_model\":256,\"n_heads\":4,\"d_ff\":256,\"activation\":\"identity\""
        ",\"position\":\"none\"}," MEASURE("\"rms\"") "}",
        scaled[_i].rule, L);
    growth g = grow(text, NULL);
    const double a = scaled[_i].lambda_sq, share = a / (1 + a), D = 256;
    double variance = 2 * L * share * share * 4 / D; /* of ln, which its mean is half of below */
    double expected = 2 * L * log1p(a) - variance / 2;
    double got = a == 1 ? g.logs[L] : log(g.square[L]) - variance / 2;
    ck_assert_msg(fabs(got - expected) <= scaled[_i].allowed, "%s, %d branches: %g, expected %g",
                  scaled[_i].rule, 2 * L, exp(got), exp(expected));
}
END_TEST

/* Every block has the values and outputs of the first, and no MLP. */
static void shared_by_blocks(void *user, const run_spec *spec, const tensor_view *t)
{
    static double kept[2][ALIGNED_WIDTH * ALIGNED_WIDTH];
    (void)user;
    (void)spec;
    bool output = strstr(t->name, "attn.o.weight") != NULL,
         first = strncmp(t->name, "blocks.0.", 9) == 0;
    for (size_t i = 0; i < pattern_count(t); i++) {
        if (strstr(t->name, "mlp.down.weight")) pattern_store(t, i, 0);
        if (!output && !strstr(t->name, "attn.v.weight")) continue;
        ck_assert_uint_lt(i, sizeof kept[0] / sizeof kept[0][0]);
        if (first) kept[output][i] = pattern_load(t, i);
        pattern_store(t, i, kept[output][i]);
    }
}

static void without_mlps(void *user, const run_spec *spec, const tensor_view *t)
{
    (void)user;
    (void)spec;
    for (size_t i = 0; strstr(t->name, "mlp.down.weight") && i < pattern_count(t); i++)
        pattern_store(t, i, 0);
}

/* (1 + a W)^n x of one random W: the powers of W keep lengths and are orthogonal, so that |x_n|^2 =
 * sum_k C(n, k)^2 a^2k |x_0|^2, against (1 + a^2)^n of independent ones (arXiv:2510.03470). */
static double aligned_growth(int n, double a)
{
    double sum = 1, term = 1;
    for (int k = 1; k <= n; k++) {
        double by = a * (n - k + 1) / k;
        term *= by * by;
        sum += term;
    }
    return sum;
}

static growth of_branches(const char *rule, int n, record_edit *edit)
{
    char text[700];
    snprintf(
        text, sizeof text,
        "{\"strategy\":{\"placement\":\"none\",\"norm\":\"none\",\"final_norm\":false,"
        "\"residual_rule\":\"%s\"},\"depth\":%d,\"seeds\":[0,1],\"precision\":\"float64\","
        "\"data\":{\"source\":\"gaussian\",\"batch\":8,\"seq_len\":1,\"token_corr\":0},\"model\":{"
        "\"d_model\":64,\"n_heads\":1,\"d_ff\":1,\"activation\":\"identity\",\"position\":"
        "\"none\"},\"measure\":{\"steps\":[0],\"sites\":[\"embed\",\"attn_branch\",\"resid_out\"],"
        "\"metrics\":[\"rms\",\"branch_alignment\"]},\"train\":{\"steps\":0,\"loss\":\"grad_iid\"},"
        "\"init\":\"lecun\"}",
        rule, n);
    return grow(text, edit);
}

static const int aligned[] = {8, 32, 128};

/* With the weights of one block in all, 1/sqrt(n) explodes and 1/n does not, and branch_alignment
 * tells them from independent ones: 29, 4.7e3 and 2.4e8 beside 2.2 and 2.7. Powers of a matrix of
 * width 64 are not quite orthogonal: a factor of e where they explode, else 15 %. */
START_TEST(test_branches_that_agree_need_one_over_n)
{
    int n = aligned[_i];
    growth root = of_branches("inv_sqrt_depth", n, shared_by_blocks),
           whole = of_branches("inv_depth", n, shared_by_blocks),
           apart = of_branches("inv_sqrt_depth", n, without_mlps);
    ck_assert_double_eq_tol(root.logs[n], log(aligned_growth(n, 1 / sqrt(n))), 1);
    ck_assert_double_eq_tol(whole.square[n] / aligned_growth(n, 1.0 / n), 1, 0.15);
    ck_assert_double_eq_tol(apart.square[n] / pow(1 + 1.0 / n, n), 1, 0.15);
    ck_assert_double_gt(root.alignment, 0.95);
    ck_assert_double_gt(whole.alignment, 0.99);
    ck_assert_double_eq_tol(apart.alignment, 0, 0.05);
}
END_TEST

/* Uniform attention, linear MLPs, no norms, branches by 1/sqrt(L) (arXiv:2206.03126): the squared
 * length of the sum of tokens grows by (1 + 1/L)^2 a block, that of all tokens by what theory makes
 * of it (tests/core/theory/test_block.c). Mean over 8 sequences of 4 seeds; the products of stream and
 * branch of 2 L sublayers have a relative variance of 2 L 4/(L D) for one vector: 4 standard
 * deviations. */
START_TEST(test_moments_of_uniform_attention)
{
    enum { L = 20, T = 16, WIDTH = 256 };
    growth g =
        grow("{\"strategy\":{\"placement\":\"none\",\"norm\":\"none\",\"final_norm\":false,"
             "\"residual_rule\":\"inv_sqrt_depth\"},\"depth\":20,\"seeds\":[0,1,2,3],\"data\":{"
             "\"source\":\"gaussian\",\"batch\":8,\"seq_len\":16,\"token_corr\":0},"
             "\"model\":{\"d_model\":256,\"n_heads\":4,\"d_ff\":256,\"activation\":\"identity\","
             "\"mask\":\"bidirectional\",\"position\":\"none\",\"logit_factor\":1e-9}," MEASURE(
                 "\"rms\",\"var_token\"") "}",
             NULL);
    double grown = pow(1 + 1.0 / L, L), off = 4 * sqrt(2 * 4.0 / WIDTH / (8 * 4));
    double mean_0 = 1 - g.apart[0], mean_L = g.square[L] - g.apart[L];
    ck_assert_double_eq_tol(mean_0 * T, 1, 0.1); /* of independent tokens */
    ck_assert_double_eq_tol(mean_L / (grown * grown * mean_0), 1, off);
    ck_assert_double_eq_tol(g.square[L] / (grown * (1 + (grown - 1) * mean_0)), 1, off);
}
END_TEST

/* out [n, m] = a [n, k] b [k, m], or with a [k, n] or b [m, k] transposed. */
static double *
product(const double *a, bool ta, const double *b, bool tb, size_t n, size_t k, size_t m)
{
    double *out = calloc(n * m, sizeof *out);
    ck_assert_ptr_nonnull(out);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            for (size_t l = 0; l < k; l++)
                out[i * m + j] += a[ta ? l * n + i : i * k + l] * b[tb ? j * k + l : l * m + j];
    return out;
}

static void without_queries(void *user, const run_spec *spec, const tensor_view *t)
{
    (void)user;
    (void)spec;
    if (!strstr(t->name, "attn.q.weight")) return;
    for (size_t i = 0; i < pattern_count(t); i++) pattern_store(t, i, 0);
}

/* At zero logits the heads' output S changes with W_Q by dS = X dW_Q' M, M = W_K (X'CX) W_V'/
 * (T sqrt(d_k)), so that |dS/dW_Q|_F = |X|_F |M|_F (arXiv:2206.03126), and the gradient for a
 * gradient G of S is M G'X: of what tokens differ in. Exact for every draw. */
START_TEST(test_query_gradient_is_of_the_centred_covariance)
{
    enum { T = 6, D = 10 };
    job j;
    record r;
    read_job(
        &j, "{\"strategy\":\"pre_ln\",\"depth\":1,\"seeds\":[0],\"precision\":\"float64\",\"init\":"
            "\"lecun\",\"data\":{\"source\":\"gaussian\",\"batch\":1,\"seq_len\":6,\"token_corr\":"
            "0.5},\"model\":{\"d_model\":10,\"n_heads\":1,\"d_ff\":10,\"mask\":\"bidirectional\","
            "\"position\":\"none\"},\"train\":{\"steps\":0,\"loss\":\"grad_iid\"},\"measure\":{"
            "\"steps\":[0],\"sites\":[\"norm1_out\",\"attn_head_out\",\"param\"],\"metrics\":["
            "\"grad_norm\",\"param_grad_norm\"]}}");
    record_run(&r, engine_for(j.runs[0].spec.precision), &j.runs[0].spec, 1, true, without_queries,
               NULL);
    double *x = record_need(&r, TENSOR_PROBE, 0, "act.1.norm1_out")->data;
    const double *g = record_need(&r, TENSOR_PROBE, 0, "grad.1.attn_head_out")->data,
                 *got = record_need(&r, TENSOR_PROBE, 0, "grad.blocks.0.attn.q.weight")->data,
                 *k = record_need(&r, TENSOR_FINAL, -1, "blocks.0.attn.k.weight")->data,
                 *v = record_need(&r, TENSOR_FINAL, -1, "blocks.0.attn.v.weight")->data;
    double *gx = product(g, true, x, false, D, T, D);
    for (int c = 0; c < D; c++) {
        double mean = 0;
        for (int i = 0; i < T; i++) mean += x[i * D + c] / T;
        for (int i = 0; i < T; i++) x[i * D + c] -= mean;
    }
    double *covariance = product(x, true, x, false, D, T, D),
           *kc = product(k, false, covariance, false, D, D, D),
           *m = product(kc, false, v, true, D, D, D), *mgx = product(m, false, gx, false, D, D, D);
    for (int i = 0; i < D * D; i++) ck_assert_double_eq_tol(got[i], mgx[i] / (T * sqrt(D)), 1e-12);
    free(gx), free(covariance), free(kc), free(m), free(mgx);
    record_deinit(&r);
    job_deinit(&j);
}
END_TEST

/* MLPs that are the identity. */
static void without_mixing_features(void *user, const run_spec *spec, const tensor_view *t)
{
    (void)user;
    if (!strstr(t->name, "mlp.up.weight") && !strstr(t->name, "mlp.down.weight")) return;
    size_t width = (size_t)spec->model.d_model;
    for (size_t i = 0; i < pattern_count(t); i++) pattern_store(t, i, i / width == i % width);
}

typedef struct norms {
    double one, inf; /* largest sum of magnitudes of a column, of a row */
} norms;

static norms norms_of(const double *a, size_t rows, size_t cols)
{
    norms n = {0, 0};
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < cols; j++) sum += fabs(a[i * cols + j]);
        n.inf = fmax(n.inf, sum);
    }
    for (size_t j = 0; j < cols; j++) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++) sum += fabs(a[i * cols + j]);
        n.one = fmax(n.one, sum);
    }
    return n;
}

enum { DONG_T = 32, DONG_D = 64, DONG_L = 4 };

/* sqrt(|res|_1 |res|_inf) of the stream after block l, 0 the embedding. */
static double dong_residual(const record *r, int l)
{
    char name[32];
    double rest[DONG_T * DONG_D];
    snprintf(name, sizeof name, l ? "act.%d.resid_out" : "act.%d.embed", l);
    const double *x = record_need(r, TENSOR_PROBE, 0, name)->data;
    for (int c = 0; c < DONG_D; c++) {
        double mean = 0;
        for (int i = 0; i < DONG_T; i++) mean += x[i * DONG_D + c] / DONG_T;
        for (int i = 0; i < DONG_T; i++) rest[i * DONG_D + c] = x[i * DONG_D + c] - mean;
    }
    norms n = norms_of(rest, DONG_T, DONG_D);
    return sqrt(n.one * n.inf);
}

static const double *dong_matrix(const record *r, int l, char which)
{
    char name[32];
    snprintf(name, sizeof name, "blocks.%d.attn.%c.weight", l - 1, which);
    return record_need(r, TENSOR_FINAL, -1, name)->data;
}

/* 4 beta/sqrt(d), beta = |W_QK|_1 sqrt(|W_VO|_1 |W_VO|_inf), of block l. */
static double dong_factor(const record *r, int l)
{
    const size_t D = DONG_D;
    double *qk = product(dong_matrix(r, l, 'q'), true, dong_matrix(r, l, 'k'), false, D, D, D),
           *vo = product(dong_matrix(r, l, 'v'), true, dong_matrix(r, l, 'o'), true, D, D, D);
    norms a = norms_of(qk, D, D), b = norms_of(vo, D, D);
    free(qk), free(vo);
    return 4 * a.one * sqrt(b.one * b.inf) / sqrt(DONG_D);
}

/* Attention alone (arXiv:2103.03404): what tokens differ in is at most its cube times 4
 * beta/sqrt(d) after a block, and the logarithm of residual_1inf at least doubles, down to 1e-13.
 */
START_TEST(test_attention_alone_collapses_doubly_exponentially)
{
    char text[900];
    job j;
    record r;
    double share[DONG_L + 1] = {0};
    int steps = 0;
    snprintf(
        text, sizeof text,
        "{\"strategy\":{\"placement\":\"deepnorm\",\"norm\":\"none\",\"alpha\":0,\"beta\":1,"
        "\"final_norm\":false},\"depth\":%d,\"seeds\":[%d],\"precision\":\"float64\",\"init\":"
        "\"xavier\",\"data\":{\"source\":\"gaussian\",\"batch\":1,\"seq_len\":%d,\"token_corr\":"
        "0},\"model\":{\"d_model\":%d,\"n_heads\":1,\"d_ff\":%d,\"activation\":\"identity\","
        "\"mask\":\"bidirectional\",\"position\":\"none\"},\"train\":{\"steps\":0,\"loss\":"
        "\"grad_iid\"},\"measure\":{\"steps\":[0],\"sites\":[\"embed\",\"resid_out\"],"
        "\"metrics\":[\"residual_1inf\"]}}",
        DONG_L, _i, DONG_T, DONG_D, DONG_D);
    read_job(&j, text);
    record_run(&r, engine_for(j.runs[0].spec.precision), &j.runs[0].spec, 1, true,
               without_mixing_features, NULL);
    for (size_t i = 0; i < r.n_measurements; i++)
        share[r.measurements[i].layer] = r.measurements[i].value;
    for (int l = 1; l <= DONG_L && share[l] > 1e-13; l++) {
        double before = dong_residual(&r, l - 1), after = dong_residual(&r, l);
        ck_assert_double_le(after, dong_factor(&r, l) * before * before * before);
        if (l > 1) ck_assert_double_le(log(share[l]), 2 * log(share[l - 1]));
        steps++;
    }
    ck_assert_int_ge(steps, 3);
    record_deinit(&r);
    job_deinit(&j);
}
END_TEST

/* |dW_Q|/|dW_V| of one block for tokens of correlation rho, mean of the logarithm over seeds. */
static double log_query_share(double rho)
{
    char text[700];
    job j;
    double sum = 0;
    snprintf(
        text, sizeof text,
        "{\"strategy\":\"pre_ln\",\"depth\":1,\"seeds\":[0,1,2,3],\"init\":\"lecun\",\"data\":{"
        "\"source\":\"gaussian\",\"batch\":1,\"seq_len\":16,\"token_corr\":%g},\"model\":{\"d_"
        "model\""
        ":128,\"n_heads\":4,\"d_ff\":128,\"mask\":\"bidirectional\",\"position\":\"none\"},"
        "\"train\":{"
        "\"steps\":0,\"loss\":\"grad_iid\"},\"measure\":{\"steps\":[0],\"sites\":[\"param\"],"
        "\"metrics\":[\"param_grad_norm\"]}}",
        rho);
    read_job(&j, text);
    for (int i = 0; i < j.n_runs; i++) {
        record r;
        record_run(&r, engine_for(j.runs[i].spec.precision), &j.runs[i].spec, 1, false, NULL, NULL);
        for (size_t k = 0; k < r.n_measurements; k++) {
            const measurement *m = &r.measurements[k];
            if (m->layer != 1 || !m->param) continue;
            if (strcmp(m->param, "attn.q.weight") == 0) sum += log(m->value) / j.n_runs;
            if (strcmp(m->param, "attn.v.weight") == 0) sum -= log(m->value) / j.n_runs;
        }
        record_deinit(&r);
    }
    job_deinit(&j);
    return sum;
}

/* The gradient of W_Q goes with what tokens differ in, that of W_V does not: their ratio falls like
 * 1 - rho (arXiv:2206.03126). */
START_TEST(test_queries_learn_as_much_as_tokens_differ)
{
    const double rho[] = {0.9, 0.95, 0.99, 0.999};
    double last = log_query_share(0.8), first = last;
    for (int i = 0; i < 4; i++) {
        double now = log_query_share(rho[i]);
        ck_assert_double_lt(now, last);
        last = now;
    }
    ck_assert_double_eq_tol((last - first) / log(0.001 / 0.2), 1, 0.1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("growth");
    TCase *c = tcase_create("growth");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_peri_ln_grows_by_two_a_block);
    tcase_add_test(c, test_pre_ln_grows_linearly);
    tcase_add_test(c, test_post_ln_tokens_become_one_by_half_a_block);
    tcase_add_test(c, test_angle_exponent_of_post_ln_is_half_a_block);
    tcase_add_test(c, test_pre_ln_gradients_are_the_stream_reversed);
    tcase_add_loop_test(c, test_branches_that_agree_need_one_over_n, 0,
                        sizeof aligned / sizeof *aligned);
    tcase_add_test(c, test_moments_of_uniform_attention);
    tcase_add_test(c, test_query_gradient_is_of_the_centred_covariance);
    tcase_add_loop_test(c, test_attention_alone_collapses_doubly_exponentially, 0, 4);
    tcase_add_test(c, test_queries_learn_as_much_as_tokens_differ);
    tcase_add_loop_test(c, test_sums_without_norms_multiply, 0, sizeof scaled / sizeof *scaled);
    suite_add_tcase(s, c);
    return suite_run(s);
}
