/* Networks that are one function in two forms: Pre-LN as Pre-RMSNorm and as Pre-CRMSNorm, with
 * weights converted as Jiang et al. 2023 (arXiv:2305.14858) say, and strategies that become another
 * one at a value of a field. float64; weights of tests/pattern.h.
 */
#include "server/job/reader.h"
#include "tests/record.h"
#include "tests/suite.h"
#include "tests/tolerance.h"

enum { DEPTH = 3, WIDTH = 12 };

extern void openblas_set_num_threads(int n);

/* One network that has run, with its weights, which the next one is made of. */
typedef struct net {
    job j;
    record r;
} net;

/* Writes the initial weights and the data of a run. */
typedef void load(const net *from, const run_spec *spec, const tensor_view *t);

typedef struct loading {
    load *weights;
    const net *from;
} loading;

static void edit(void *user, const run_spec *spec, const tensor_view *t)
{
    const loading *l = user;
    l->weights(l->from, spec, t);
}

/* model, further members; strategy, train: JSON. */
static void run_model(net *n,
                      const char *model,
                      const char *strategy,
                      const char *train,
                      load *weights,
                      const net *from)
{
    char text[1536];
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    error err = {0};
    snprintf(text, sizeof text,
             "{\"model\":{%s,\"d_model\":%d,\"n_heads\":2,\"d_ff\":20,\"vocab\":17,"
             "\"position\":"
             "\"learned\",\"activation\":\"gelu\",\"bias\":true},\"strategy\":%s,"
             "\"depth\":%d,\"data\":{\"source\":\"random_tokens\",\"batch\":3,\"seq_len\":7,"
             "\"batches\":2},\"measure\":{\"steps\":[0],\"sites\":[\"embed\",\"mlp_pre\","
             "\"resid_out\",\"lm_logits\",\"param\"],\"metrics\":[\"rms\",\"grad_norm\"]},"
             "\"train\":%s,\"seeds\":[0],\"precision\":\"float64\"}",
             model, WIDTH, strategy, DEPTH, train);
    job_init(&n->j);
    if (reader_job(text, strlen(text), &lim, &n->j, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
    loading l = {weights, from};
    record_run(&n->r, &engine_f64, &n->j.runs[0].spec, 1, true, weights ? edit : NULL, &l);
}

static void run(net *n, const char *strategy, const char *train, load *weights, const net *from)
{
    run_model(n, "\"tied\":false", strategy, train, weights, from);
}

static void end(net *n)
{
    record_deinit(&n->r);
    job_deinit(&n->j);
}

/* --- weights --- */

static bool is_data(const char *name)
{
    return strncmp(name, "data.", 5) == 0;
}

static void pattern(const net *from, const run_spec *spec, const tensor_view *t)
{
    (void)from;
    pattern_fill(spec, t, false);
    /* The output matrix has no bias into which this one could be folded. */
    if (strcmp(t->name, "final_norm.bias") == 0)
        for (size_t i = 0; i < pattern_count(t); i++) pattern_store(t, i, 0);
}

static void as_they_are(const net *from, const run_spec *spec, const tensor_view *t)
{
    if (is_data(t->name)) {
        pattern_fill(spec, t, false);
        return;
    }
    const record_tensor *w = record_need(&from->r, TENSOR_FINAL, -1, t->name);
    ck_assert_uint_eq(w->n, pattern_count(t));
    for (size_t i = 0; i < w->n; i++) pattern_store(t, i, w->data[i]);
}

static double *weight(net *n, int block, const char *role)
{
    char name[96];
    if (block < 0)
        snprintf(name, sizeof name, "%s", role);
    else
        snprintf(name, sizeof name, "blocks.%d.%s", block, role);
    return record_need(&n->r, TENSOR_FINAL, -1, name)->data;
}

static size_t rows_of(const net *n, int block, const char *role)
{
    char name[96];
    snprintf(name, sizeof name, block < 0 ? "%.0d%s" : "blocks.%d.%s", block < 0 ? 0 : block, role);
    return record_need(&n->r, TENSOR_FINAL, -1, name)->dims[0];
}

/* Gain and bias of a norm into one map that reads it: b += W beta, W := W diag(gamma). */
static void fold(net *n, int block, const char *norm, const char *reader)
{
    char role[64];
    snprintf(role, sizeof role, "%s.weight", norm);
    const double *gain = weight(n, block, role);
    snprintf(role, sizeof role, "%s.bias", norm);
    const double *beta = weight(n, block, role);
    snprintf(role, sizeof role, "%s.bias", reader);
    double *b = block < 0 ? NULL : weight(n, block, role);
    snprintf(role, sizeof role, "%s.weight", reader);
    double *w = weight(n, block, role);
    for (size_t i = 0; i < rows_of(n, block, role); i++)
        for (size_t k = 0; k < WIDTH; k++, w++) {
            if (b) b[i] += *w * beta[k];
            *w *= gain[k];
        }
}

static void fold_all(net *n)
{
    for (int l = 0; l < DEPTH; l++) {
        fold(n, l, "attn.norm_in", "attn.q");
        fold(n, l, "attn.norm_in", "attn.k");
        fold(n, l, "attn.norm_in", "attn.v");
        fold(n, l, "mlp.norm_in", "mlp.up");
    }
    fold(n, -1, "final_norm", "lm_head");
}

/* Takes the mean over n entries that are stride apart. */
static void centre(double *x, size_t n, size_t stride)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i * stride];
    for (size_t i = 0; i < n; i++) x[i * stride] -= sum / (double)n;
}

/* What writes to the stream loses its mean over the features of the stream. */
static void centre_all(net *n)
{
    const char *tables[] = {"embed.weight", "pos.weight"}, *maps[] = {"attn.o", "mlp.down"};
    for (int i = 0; i < 2; i++)
        for (size_t r = 0; r < rows_of(n, -1, tables[i]); r++)
            centre(weight(n, -1, tables[i]) + r * WIDTH, WIDTH, 1);
    for (int k = 0; k < 2 * DEPTH; k++) {
        char role[64];
        snprintf(role, sizeof role, "%s.weight", maps[k % 2]);
        size_t in = k % 2 ? 20 : WIDTH;
        for (size_t i = 0; i < in; i++) centre(weight(n, k / 2, role) + i, WIDTH, in);
        snprintf(role, sizeof role, "%s.bias", maps[k % 2]);
        centre(weight(n, k / 2, role), WIDTH, 1);
    }
}

/* Without the last feature of the stream: tables and writers leave it out, readers take it as minus
 * the sum of the others. */
static void compressed(const net *from, const run_spec *spec, const tensor_view *t)
{
    const record_tensor *w =
        is_data(t->name) ? NULL : record_need(&from->r, TENSOR_FINAL, -1, t->name);
    if (!w || w->n == pattern_count(t) || t->rank == 1 || t->dims[0] < w->dims[0]) {
        if (!w) pattern_fill(spec, t, false);
        for (size_t i = 0; w && i < pattern_count(t); i++) pattern_store(t, i, w->data[i]);
        return;
    }
    bool reads = strcmp(t->name, "embed.weight") != 0 && strcmp(t->name, "pos.weight") != 0;
    for (size_t i = 0; i < t->dims[0]; i++)
        for (size_t k = 0; k < t->dims[1]; k++) {
            const double *row = w->data + i * w->dims[1];
            pattern_store(t, i * t->dims[1] + k, row[k] - (reads ? row[w->dims[1] - 1] : 0));
        }
}

/* --- comparisons --- */

static double largest_difference(const record_tensor *a, const record_tensor *b)
{
    double worst = 0, size = 0;
    ck_assert_uint_eq(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        worst = fmax(worst, fabs(a->data[i] - b->data[i]));
        size = fmax(size, fabs(a->data[i]));
    }
    return worst / size;
}

static void same_tensor(const net *a, const net *b, const char *name, double within)
{
    double off = largest_difference(record_need(&a->r, TENSOR_PROBE, 0, name),
                                    record_need(&b->r, TENSOR_PROBE, 0, name));
    ck_assert_msg(off <= within, "%s is off by %.3g", name, off);
}

static double loss_difference(const net *a, const net *b)
{
    double worst = 0;
    ck_assert_uint_eq(a->r.n_steps, b->r.n_steps);
    for (size_t i = 0; i < a->r.n_steps; i++)
        worst = fmax(worst, fabs(a->r.steps[i].loss - b->r.steps[i].loss) / a->r.steps[i].loss);
    return worst;
}

/* The same logits and loss, and the same gradients inside every block. */
static void same_function(const char *what, const net *a, const net *b)
{
    double off = loss_difference(a, b);
    ck_assert_msg(off <= TOLERANCE_IDENTITY, "%s: loss is off by %.3g", what, off);
    same_tensor(a, b, "act.4.lm_logits", TOLERANCE_IDENTITY);
    same_tensor(a, b, "grad.4.lm_logits", TOLERANCE_IDENTITY);
    for (int l = 1; l <= DEPTH; l++) {
        char name[32];
        snprintf(name, sizeof name, "grad.%d.mlp_pre", l);
        same_tensor(a, b, name, TOLERANCE_IDENTITY);
    }
}

/* --- Pre-LN, Pre-RMSNorm, Pre-CRMSNorm --- */

#define PRE_LN "{\"placement\":\"pre_ln\",\"norm\":\"layernorm\"}"
#define PLAIN_LN "{\"placement\":\"pre_ln\",\"norm\":\"layernorm\",\"affine\":false}"
#define PLAIN_RMS "{\"placement\":\"pre_ln\",\"norm\":\"rmsnorm\",\"affine\":false}"
#define PRE_RMS "{\"name\":\"pre_rmsnorm\",\"affine\":false}"
#define PRE_CRMS "\"pre_crmsnorm\""

START_TEST(test_pre_ln_is_pre_rmsnorm_is_pre_crmsnorm)
{
    net original, folded, centred, rms, with_recentring, crms;
    run(&original, PRE_LN, "0", pattern, NULL);
    fold_all(&original);
    run(&folded, PLAIN_LN, "0", as_they_are, &original);
    same_function("affine folded into the readers", &original, &folded);
    run(&with_recentring, PRE_RMS, "0", as_they_are, &folded);
    same_function("RMSNorm, recentred in the forward pass", &folded, &with_recentring);
    centre_all(&original);
    run(&centred, PLAIN_LN, "0", as_they_are, &original);
    same_function("writers recentred", &folded, &centred);
    run(&rms, PLAIN_RMS, "0", as_they_are, &centred);
    same_function("RMSNorm", &folded, &rms);
    run(&crms, PRE_CRMS, "0", compressed, &centred);
    same_function("CRMSNorm", &folded, &crms);
    ck_assert_uint_eq(record_need(&crms.r, TENSOR_FINAL, -1, "embed.weight")->dims[1], WIDTH - 1);
    net *all[] = {&original, &folded, &centred, &rms, &with_recentring, &crms};
    for (int i = 0; i < 6; i++) end(all[i]);
}
END_TEST

/* dLoss/dx: LayerNorm's gradient has no mean over features, RMSNorm's is the same up to that mean,
 * and a stored feature of CRMSNorm also carries minus the gradient of the one left out. */
START_TEST(test_stream_gradients_of_the_three_forms)
{
    net ln, rms, crms;
    char name[32];
    run(&ln, PLAIN_LN, "0", pattern, NULL);
    centre_all(&ln);
    net centred;
    run(&centred, PLAIN_LN, "0", as_they_are, &ln);
    run(&rms, PLAIN_RMS, "0", as_they_are, &ln);
    run(&crms, PRE_CRMS, "0", compressed, &ln);
    for (int l = 0; l < DEPTH; l++) {
        snprintf(name, sizeof name, "grad.%d.%s", l, l ? "resid_out" : "embed");
        const record_tensor *a = record_need(&centred.r, TENSOR_PROBE, 0, name),
                            *b = record_need(&rms.r, TENSOR_PROBE, 0, name),
                            *c = record_need(&crms.r, TENSOR_PROBE, 0, name);
        for (size_t t = 0; t < a->n / WIDTH; t++) {
            const double *x = a->data + t * WIDTH, *z = c->data + t * (WIDTH - 1);
            double *y = b->data + t * WIDTH, last = y[WIDTH - 1];
            for (size_t i = 0; i + 1 < WIDTH; i++)
                ck_assert_double_eq_tol(z[i], y[i] - last, TOLERANCE_IDENTITY);
            centre(y, WIDTH, 1);
            for (size_t i = 0; i < WIDTH; i++)
                ck_assert_double_eq_tol(x[i], y[i], TOLERANCE_IDENTITY);
        }
    }
    end(&ln), end(&centred), end(&rms), end(&crms);
}
END_TEST

#define SGD "{\"steps\":3,\"optimizer\":\"sgd\",\"lr\":0.1,\"clip\":null}"
#define ADAM "{\"steps\":3,\"lr\":0.01,\"weight_decay\":0.1,\"decay\":\"all\",\"clip\":null}"

/* The means are taken in the forward pass, so the gradients are those of Pre-LN and every optimizer
 * makes of equal weights equal weights. */
START_TEST(test_pre_rmsnorm_trains_as_pre_ln)
{
    const char *train[] = {SGD, ADAM};
    net a, b;
    run(&a, PLAIN_LN, train[_i], pattern, NULL);
    run(&b, PRE_RMS, train[_i], pattern, NULL);
    double off = loss_difference(&a, &b);
    ck_assert_uint_eq(a.r.n_steps, 4);
    ck_assert_double_gt(fabs(a.r.steps[3].loss - a.r.steps[0].loss), COUNTER_EXAMPLE);
    ck_assert_msg(off <= 1e-10, "losses are off by %.3g", off);
    size_t compared = 0;
    for (size_t i = 0; i < a.r.n_tensors; i++) {
        const record_tensor *w = &a.r.tensors[i];
        if (w->when != TENSOR_FINAL || is_data(w->name)) continue;
        off = largest_difference(w, record_need(&b.r, TENSOR_FINAL, -1, w->name));
        ck_assert_msg(off <= TOLERANCE_UPDATE.relative, "%s is off by %.3g", w->name, off);
        compared++;
    }
    ck_assert_uint_ge(compared, 3 + 12 * DEPTH);
    end(&a), end(&b);
}
END_TEST

/* The largest mean over features of what writes to the stream, relative to its largest entry. */
static double worst_mean(net *n)
{
    const char *roles[] = {"attn.o.weight", "mlp.down.weight", "attn.o.bias", "mlp.down.bias"};
    double worst = 0;
    for (int k = 0; k < 4 * DEPTH; k++) {
        const double *w = weight(n, k / 4, roles[k % 4]);
        size_t in = k % 4 == 0 ? WIDTH : k % 4 == 1 ? 20 : 1;
        for (size_t i = 0; i < in; i++) {
            double sum = 0, size = 0;
            for (size_t f = 0; f < WIDTH; f++) {
                sum += w[f * in + i];
                size = fmax(size, fabs(w[f * in + i]));
            }
            worst = fmax(worst, fabs(sum / WIDTH) / size);
        }
    }
    return worst;
}

/* Under Pre-LN the gradient of what writes to the stream has no mean over features: weights that
 * are centred once stay so under SGD, but not under AdamW, which scales each entry by itself. */
START_TEST(test_centred_weights_of_pre_ln_stay_so_under_sgd_only)
{
    const char *train[] = {SGD, ADAM};
    net start, trained;
    run(&start, PLAIN_LN, "0", pattern, NULL);
    centre_all(&start);
    run(&trained, PLAIN_LN, train[_i], as_they_are, &start);
    double mean = worst_mean(&trained);
    if (_i == 0)
        ck_assert_msg(mean <= TOLERANCE_IDENTITY, "sgd: a mean of %.3g", mean);
    else
        ck_assert_msg(mean >= COUNTER_EXAMPLE, "adamw: a mean of %.3g only", mean);
    end(&start), end(&trained);
}
END_TEST

/* RMSNorm is not LayerNorm where means are left in the weights, nor where training may bring them
 * back: the gradient of its input has a mean. */
START_TEST(test_recentring_is_needed)
{
    const char *train[] = {SGD, ADAM};
    net a, b, c, d;
    run(&a, PLAIN_LN, "0", pattern, NULL);
    run(&b, PLAIN_RMS, "0", pattern, NULL);
    double off = largest_difference(record_need(&a.r, TENSOR_PROBE, 0, "act.4.lm_logits"),
                                    record_need(&b.r, TENSOR_PROBE, 0, "act.4.lm_logits"));
    ck_assert_msg(off >= COUNTER_EXAMPLE, "logits are off by %.3g only", off);
    centre_all(&a);
    run(&c, PLAIN_LN, train[_i], as_they_are, &a);
    run(&d, PLAIN_RMS, train[_i], as_they_are, &a);
    ck_assert_double_le(fabs(c.r.steps[0].loss - d.r.steps[0].loss), TOLERANCE_IDENTITY);
    off = loss_difference(&c, &d);
    ck_assert_msg(off >= COUNTER_EXAMPLE, "losses are off by %.3g only", off);
    end(&a), end(&b), end(&c), end(&d);
}
END_TEST

/* --- a removed LayerNorm --- */

/* The constant of a frozen norm becomes eps 1e12 with a gain 1e6/sigma times as large. */
static void exported(const net *from, const run_spec *spec, const tensor_view *t)
{
    as_they_are(from, spec, t);
    const char *gain = strstr(t->name, "norm_in.weight");
    gain = gain ? gain : strstr(t->name, "final_norm.weight");
    if (!gain) return;
    char sigma[112];
    snprintf(sigma, sizeof sigma, "state.%.*s.sigma", (int)(strlen(t->name) - strlen(".weight")),
             t->name);
    double constant = record_need(&from->r, TENSOR_FINAL, -1, sigma)->data[0];
    for (size_t i = 0; i < pattern_count(t); i++)
        pattern_store(t, i, 1e6 / constant * pattern_load(t, i));
}

START_TEST(test_frozen_layernorm_is_one_with_eps_1e12)
{
    /* no constant of its own for the first position */
    const char *mask = "\"tied\":false,\"mask\":\"bidirectional\"";
    net frozen, huge, live;
    run_model(&live, mask, PRE_LN, "0", pattern, NULL);
    run_model(&frozen, mask, "{\"placement\":\"pre_ln\",\"sigma\":\"frozen\"}", "0", pattern, NULL);
    run_model(&huge, mask, "{\"placement\":\"pre_ln\",\"eps\":1e12}", "0", exported, &frozen);
    same_tensor(&frozen, &huge, "act.4.lm_logits", 1e-10);
    same_tensor(&frozen, &huge, "grad.1.mlp_pre", 1e-10);
    ck_assert_double_le(loss_difference(&frozen, &huge), 1e-10);
    double off = largest_difference(record_need(&live.r, TENSOR_PROBE, 0, "act.4.lm_logits"),
                                    record_need(&huge.r, TENSOR_PROBE, 0, "act.4.lm_logits"));
    ck_assert_msg(off >= COUNTER_EXAMPLE, "live and frozen are off by %.3g only", off);
    end(&frozen), end(&huge), end(&live);
}
END_TEST

/* --- word vectors of one length --- */

static void stretched(const net *from, const run_spec *spec, const tensor_view *t)
{
    pattern(from, spec, t);
    if (strcmp(t->name, "embed.weight") != 0) return;
    for (size_t i = 0; i < pattern_count(t); i++)
        pattern_store(t, i, (1 + (double)(i / t->dims[1])) * pattern_load(t, i));
}

START_TEST(test_fixnorm_hides_the_length_of_word_vectors)
{
    const char *head[] = {"\"tied\":false", "\"tied\":true"};
    net a, b;
    run_model(&a, head[_i], "\"fixnorm\"", "0", pattern, NULL);
    run_model(&b, head[_i], "\"fixnorm\"", "0", stretched, NULL);
    same_function("word vectors of other lengths", &a, &b);
    end(&a), end(&b);
    run_model(&a, head[_i], "\"scalenorm\"", "0", pattern, NULL);
    run_model(&b, head[_i], "\"scalenorm\"", "0", stretched, NULL);
    ck_assert_double_ge(loss_difference(&a, &b), COUNTER_EXAMPLE);
    end(&a), end(&b);
}
END_TEST

/* --- a strategy that is another one at a value of a field --- */

static const struct {
    const char *one, *other;
    double within; /* 0: bit for bit */
} pairs[] = {
    {"{\"norm\":\"groupnorm\",\"groups\":1}", "{\"norm\":\"layernorm\"}", 0},
    {"{\"name\":\"scalenorm\",\"eps\":0}", "{\"norm\":\"rmsnorm\",\"eps\":0}", 1e-13},
    {"{\"name\":\"non_parametric\"}", "{\"name\":\"pre_ln\"}", 0},
    {"{\"name\":\"dyt\",\"alpha_attn\":1e-9,\"alpha_mlp\":1e-9,\"alpha_final\":1e-9,"
     "\"gain_init\":1e9}",
     "{\"norm\":\"none\"}", 1e-12},
    {"{\"name\":\"pre_rmsnorm\",\"norm\":\"layernorm\"}", "{\"norm\":\"layernorm\"}", 1e-12},
};

START_TEST(test_strategy_becomes_another_one)
{
    net a, b;
    run(&a, pairs[_i].one, "0", NULL, NULL);
    run(&b, pairs[_i].other, "0", NULL, NULL);
    double off = loss_difference(&a, &b);
    ck_assert_msg(off <= pairs[_i].within, "%s: off by %.3g", pairs[_i].one, off);
    end(&a), end(&b);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *s = suite_create("equivalence");
    TCase *t = tcase_create("forms");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_pre_ln_is_pre_rmsnorm_is_pre_crmsnorm);
    tcase_add_test(t, test_stream_gradients_of_the_three_forms);
    tcase_add_loop_test(t, test_pre_rmsnorm_trains_as_pre_ln, 0, 2);
    tcase_add_loop_test(t, test_centred_weights_of_pre_ln_stay_so_under_sgd_only, 0, 2);
    tcase_add_loop_test(t, test_recentring_is_needed, 0, 2);
    tcase_add_test(t, test_frozen_layernorm_is_one_with_eps_1e12);
    tcase_add_loop_test(t, test_fixnorm_hides_the_length_of_word_vectors, 0, 2);
    tcase_add_loop_test(t, test_strategy_becomes_another_one, 0, sizeof pairs / sizeof *pairs);
    suite_add_tcase(s, t);
    return suite_run(s);
}
