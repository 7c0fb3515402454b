/* The kernel recursion of theory against sampled networks: from the embedding's own T x T kernel
 * block by block, the kernel of every block's output, entry by entry, at width 512 with 4 seeds,
 * within the 8 % of its Frobenius norm that another implementation of the recursion needed. */
#include "core/engine.h"
#include "core/theory/setting.h"
#include "tests/spec_defaults.h"
#include "tests/suite.h"

#include <cblas.h>
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const engine engine_table;

enum { LENGTH = 48, WIDTH = 512, HEADS = 8, DEPTH = 4, SEEDS = 4, ENTRIES = LENGTH * LENGTH };

static const double TOLERANCE = 0.08;

static int row(const char *kind, const char *name)
{
    for (const registry *const *r = engine_table.registries; *r; r++)
        if (!strcmp((*r)->kind, kind)) return registry_find(*r, name);
    return -1;
}

static const struct {
    const char *placement, *activation;
    enum spec_mask mask;
    double logits; /* variance of a logit */
} cases[] = {
    {"pre_ln", "relu", MASK_CAUSAL, 1},         {"pre_ln", "relu", MASK_BIDIRECTIONAL, 1},
    {"pre_ln", "gelu", MASK_CAUSAL, 0},         {"post_ln", "relu", MASK_CAUSAL, 1},
    {"post_ln", "gelu", MASK_BIDIRECTIONAL, 1}, {"peri_ln", "gelu", MASK_CAUSAL, 1},
    {"peri_ln", "relu", MASK_CAUSAL, 0.25},     {"peri_ln", "relu", MASK_BIDIRECTIONAL, 1},
};

/* LeCun weights: every matrix keeps the variance, and logits have variance 1. */
static run_spec spec_of(int i)
{
    run_spec s = {.depth = DEPTH};
    s.model = (spec_model){.mask = cases[i].mask,
                           .d_model = WIDTH,
                           .n_heads = HEADS,
                           .n_kv_heads = HEADS,
                           .d_ff = WIDTH,
                           .vocab = 16,
                           .position = row("positions", "none"),
                           .activation = row("activations", cases[i].activation),
                           .embed_scale = 1};
    s.strategy = (spec_strategy){.placement = row("placements", cases[i].placement),
                                 .norm = row("norms", "layernorm"),
                                 .eps = 1e-5,
                                 .affine = true,
                                 .final_norm = strcmp(cases[i].placement, "post_ln") != 0,
                                 .residual_scale = 1};
    spec_defaults(&s, row("norms", "layernorm"));
    s.model.logit_factor = sqrt(cases[i].logits);
    s.init.scheme = row("inits", "lecun");
    s.data = (spec_data){.variance = 1,
                         .source = row("data_sources", "gaussian"),
                         .batch = 1,
                         .seq_len = LENGTH,
                         .batches = 1,
                         .token_corr = 0.1};
    s.train = (spec_train){
        .loss = row("losses", "grad_iid"), .optimizer = row("optimizers", "sgd"), .lr = 0.1};
    s.train.clip = (double)NAN;
    s.measure.n_steps = 1;
    s.measure.sites[SITE_embed] = s.measure.sites[SITE_resid_out] = true;
    s.measure.metrics[METRIC_rms] = true;
    return s;
}

/* Kernels of the embedding and of the blocks. */
typedef struct kernels {
    double at[DEPTH + 1][ENTRIES];
    int seen;
} kernels;

/* k = X X'/D. */
static void gram(double *k, const tensor_view *t)
{
    static double x[LENGTH * WIDTH];
    ck_assert_uint_eq(t->dims[t->rank - 1], WIDTH);
    for (int i = 0; i < LENGTH * WIDTH; i++)
        x[i] = t->type == TENSOR_F64 ? ((const double *)t->data)[i]
                                     : (double)((const float *)t->data)[i];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, LENGTH, LENGTH, WIDTH, 1.0 / WIDTH, x,
                WIDTH, x, WIDTH, 0, k, LENGTH);
}

static bool on_tensor(void *user, enum tensor_when when, int step, const tensor_view *t)
{
    kernels *k = user;
    int layer;
    char where[32];
    (void)step;
    if (when != TENSOR_PROBE || sscanf(t->name, "act.%d.%31s", &layer, where) != 2) return true;
    if (strcmp(where, layer ? "resid_out" : "embed") != 0) return true;
    gram(k->at[layer], t);
    k->seen++;
    return true;
}

static void sample(const run_spec *spec, kernels *k)
{
    error err = {0};
    estimate cost;
    run_summary summary;
    team one;
    const run_input none = {0};
    const sink to = {.user = k, .tensor = on_tensor, .want_probe_tensors = true};
    k->seen = 0;
    ck_assert_int_eq(team_start(&one, 1, &err), ERR_OK);
    ck_assert_msg(engine_table.estimate(spec, 1, true, &cost, &err) == ERR_OK, "%s: %s",
                  err.pointer, err.message);
    size_t bytes = (cost.peak_bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    ck_assert_ptr_nonnull(memory);
    ck_assert_msg(engine_table.run(spec, &none, memory, bytes, &one, &to, &summary, &err) == ERR_OK,
                  "%s: %s", err.pointer, err.message);
    free(memory);
    team_stop(&one);
    ck_assert_int_eq(k->seen, DEPTH + 1);
}

/* From k->at[0]. Every token is a group of its own, whatever the mask. */
static void recur(const run_spec *spec, kernels *k)
{
    static setting s;
    static stream x;
    static hermite_series series[2 * LENGTH];
    size_t each = kernel_doubles(LENGTH);
    double *memory = calloc((SETTING_KERNELS + 3) * each + sublayer_work_doubles(LENGTH, 1) +
                                trace_doubles(LENGTH, 1),
                            sizeof *memory);
    ck_assert_ptr_nonnull(memory);
    double *now = memory, *before = now + each, *rest = before + each, *made = rest + 4 * each,
           *work = made + trace_doubles(LENGTH, 1);
    setting_init(&s, spec, LENGTH, false, rest);
    tokens_init(&s.tokens, LENGTH, false, LENGTH);
    sight_init(&s.sights[0], &s.tokens, spec->model.mask == MASK_CAUSAL, 0);
    memset(&x, 0, sizeof x);
    x.k = now;
    memcpy(x.k, k->at[0], sizeof k->at[0]);
    for (int i = 0; i < LENGTH; i++) x.k[ENTRIES + i] = x.k[i * LENGTH + i];
    for (int l = 1; l <= DEPTH; l++) {
        stream base = x;
        base.k = before;
        memcpy(before, x.k, each * sizeof *before);
        for (int i = 0; i < s.n_sublayers; i++) {
            sublayer sub;
            trace tr;
            trace_place(&tr, made, &s.tokens);
            setting_sublayer(&s, l, i, &sub);
            sublayer_forward(&sub, &s.tokens, &x, &base, &tr, work, series);
        }
        memcpy(k->at[l], x.k, sizeof k->at[l]);
    }
    free(memory);
}

/* |a - b|_F/|a|_F */
static double apart(const double *a, const double *b)
{
    double off = 0, all = 0;
    for (int i = 0; i < ENTRIES; i++) {
        off += (a[i] - b[i]) * (a[i] - b[i]);
        all += a[i] * a[i];
    }
    return sqrt(off / all);
}

START_TEST(test_the_kernel_of_every_block_is_that_of_sampled_networks)
{
    static kernels measured, predicted, sum_measured, sum_predicted;
    run_spec spec = spec_of(_i);
    memset(&sum_measured, 0, sizeof sum_measured);
    memset(&sum_predicted, 0, sizeof sum_predicted);
    for (int seed = 0; seed < SEEDS; seed++) {
        spec.seed = (uint64_t)seed;
        sample(&spec, &measured);
        memcpy(predicted.at[0], measured.at[0], sizeof predicted.at[0]);
        recur(&spec, &predicted);
        for (int l = 0; l <= DEPTH; l++)
            for (int i = 0; i < ENTRIES; i++) {
                sum_measured.at[l][i] += measured.at[l][i] / SEEDS;
                sum_predicted.at[l][i] += predicted.at[l][i] / SEEDS;
            }
    }
    printf("%-8s %s %-13s", cases[_i].placement, cases[_i].activation,
           cases[_i].mask == MASK_CAUSAL ? "causal" : "bidirectional");
    for (int l = 1; l <= DEPTH; l++)
        printf(" %.4f", apart(sum_measured.at[l], sum_predicted.at[l]));
    printf(" of the kernel's norm\n");
    for (int l = 1; l <= DEPTH; l++)
        ck_assert_double_le(apart(sum_measured.at[l], sum_predicted.at[l]), TOLERANCE);
    /* what is seen is not that all kernels are alike */
    ck_assert_double_gt(apart(sum_measured.at[DEPTH], sum_measured.at[0]), 3 * TOLERANCE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("overlay");
    TCase *c = tcase_create("overlay");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_the_kernel_of_every_block_is_that_of_sampled_networks, 0,
                        sizeof cases / sizeof *cases);
    suite_add_tcase(s, c);
    return suite_run(s);
}
