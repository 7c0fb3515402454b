/* Exact identities of the strategies, from algebra alone (no second implementation): what a network
 * with this placement cannot see, its gradient is orthogonal to. float64, eps = 0, weights of
 * tests/pattern.h. Each identity comes with a network where it must fail, so that the test can.
 */
#include "server/reader.h"
#include "tests/record.h"
#include "tests/suite.h"
#include "tests/tolerance.h"

enum { DEPTH = 3, TOKENS = 7 };

extern void openblas_set_num_threads(int n);

/* A job in words; what is NULL keeps the text after the colon. */
typedef struct setup {
    const char *placement, *norm;
    const char *mask;       /* causal */
    const char *position;   /* learned */
    const char *activation; /* relu */
    bool bias;
    const char *model;      /* further members of model, each after a comma: "" */
    const char *strategy;   /* likewise */
    double scale;           /* of the parameters whose role is scaled; 0: 1 */
    const char *scaled;     /* role without ".weight": "attn.v" */
    const int *permutation; /* of the tokens of each sequence */
} setup;

static const char *either(const char *a, const char *b)
{
    return a != NULL ? a : b;
}

static void resolve(job *j, const char *text)
{
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    error err = {0};
    job_init(j);
    if (reader_job(text, strlen(text), &lim, j, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
}

static bool has_role(const char *name, const char *role)
{
    const char *at = strstr(name, role);
    return at != NULL && (at == name || at[-1] == '.') && strcmp(at + strlen(role), ".weight") == 0;
}

/* data.tokens [batches, B, T+1] and data.loss_mask [batches, B, T]: position t takes what stood at
 * permutation[t]. */
static void permute(const tensor_view *t, const int *permutation)
{
    size_t row = t->dims[2], rows = pattern_count(t) / row;
    double old[TOKENS];
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < TOKENS; i++) old[i] = pattern_load(t, r * row + i);
        for (size_t i = 0; i < TOKENS; i++) pattern_store(t, r * row + i, old[permutation[i]]);
    }
}

static void edit(void *user, const run_spec *spec, const tensor_view *t)
{
    const setup *s = user;
    pattern_fill(spec, t, false);
    if (s->scaled != NULL && has_role(t->name, s->scaled))
        for (size_t i = 0; i < pattern_count(t); i++)
            pattern_store(t, i, s->scale * pattern_load(t, i));
    if (s->permutation != NULL && t->rank == 3 && strncmp(t->name, "data.", 5) == 0)
        permute(t, s->permutation);
}

/* Runs one forward and backward pass and keeps values and gradients. */
static void run(record *r, job *j, setup s)
{
    char text[2048];
    snprintf(
        text, sizeof text,
        "{\"model\":{\"mask\":\"%s\",\"d_model\":12,\"n_heads\":2,\"d_ff\":20,\"vocab\":17,"
        "\"position\":\"%s\",\"activation\":\"%s\",\"bias\":%s,\"tied\":false,"
        "\"embed_scale\":1%s},"
        "\"strategy\":{\"placement\":\"%s\",\"norm\":\"%s\",\"eps\":0%s},\"depth\":%d,"
        "\"data\":{\"source\":\"random_tokens\",\"batch\":3,\"seq_len\":%d,\"batches\":1},"
        "\"measure\":{\"sites\":[\"embed\",\"resid_mid\",\"resid_out\",\"final_norm\",\"param\"],"
        "\"metrics\":[\"rms\",\"grad_norm\",\"param_grad_norm\"]},"
        "\"train\":0,\"seeds\":[0],\"precision\":\"float64\"}",
        either(s.mask, "causal"), either(s.position, "learned"), either(s.activation, "relu"),
        s.bias ? "true" : "false", either(s.model, ""), s.placement, s.norm, either(s.strategy, ""),
        DEPTH, TOKENS);
    resolve(j, text);
    record_run(r, &engine_f64, &j->runs[0].spec, 1, true, edit, &s);
}

static void end(record *r, job *j)
{
    record_deinit(r);
    job_deinit(j);
}

static double dot(const record_tensor *a, const record_tensor *b)
{
    double sum = 0;
    ck_assert_uint_eq(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) sum += a->data[i] * b->data[i];
    return sum;
}

static const record_tensor *weight(const record *r, const char *name)
{
    return record_need(r, TENSOR_FINAL, -1, name);
}

static const record_tensor *gradient(const record *r, const char *name)
{
    char grad[112];
    snprintf(grad, sizeof grad, "grad.%s", name);
    return record_need(r, TENSOR_PROBE, 0, grad);
}

/* <W, dLoss/dW> / (||W|| ||dLoss/dW||). */
static double alignment(const record *r, const char *name)
{
    const record_tensor *w = weight(r, name), *g = gradient(r, name);
    double size = sqrt(dot(w, w) * dot(g, g));
    ck_assert_msg(size > 0, "%s has no gradient", name);
    return dot(w, g) / size;
}

static double worst_alignment(const record *r, const char *role)
{
    double worst = 0;
    for (int i = 0; i < DEPTH; i++) {
        char name[96];
        snprintf(name, sizeof name, "blocks.%d.%s.weight", i, role);
        worst = fmax(worst, fabs(alignment(r, name)));
    }
    return worst;
}

static void holds(const char *what, double off)
{
    ck_assert_msg(off <= TOLERANCE_IDENTITY, "%s: off by %.3g", what, off);
}

static void must_fail(const char *what, double off)
{
    ck_assert_msg(off >= COUNTER_EXAMPLE, "%s: holds to %.3g where it must not", what, off);
}

/* --- matrices whose scale nobody can see --- */

static const char *const norms[] = {"layernorm", "rmsnorm"};
static const char *const branch_matrices[] = {"attn.v", "attn.o", "mlp.up", "mlp.down"};

START_TEST(test_peri_ln_branch_matrices_are_orthogonal_to_their_gradients)
{
    for (int i = 0; i < 4; i++) {
        record r;
        job j;
        run(&r, &j, (setup){.placement = "peri_ln", .norm = norms[_i]});
        holds(branch_matrices[i], worst_alignment(&r, branch_matrices[i]));
        must_fail("attn.q under peri_ln", worst_alignment(&r, "attn.q"));
        end(&r, &j);

        run(&r, &j, (setup){.placement = "pre_ln", .norm = norms[_i]});
        must_fail(branch_matrices[i], worst_alignment(&r, branch_matrices[i]));
        end(&r, &j);
    }
}
END_TEST

START_TEST(test_peri_ln_loss_ignores_the_scale_of_branch_matrices)
{
    for (int i = 0; i < 4; i++) {
        record a, b;
        job ja, jb;
        setup s = {.placement = "peri_ln", .norm = norms[_i]};
        run(&a, &ja, s);
        s.scaled = branch_matrices[i];
        s.scale = 3.5;
        run(&b, &jb, s);
        holds(branch_matrices[i], fabs(a.steps[0].loss - b.steps[0].loss));
        end(&b, &jb);
        s.scaled = "attn.norm_out";
        run(&b, &jb, s);
        must_fail("attn.norm_out", fabs(a.steps[0].loss - b.steps[0].loss));
        end(&a, &ja);
        end(&b, &jb);
    }
}
END_TEST

START_TEST(test_peri_ln_first_mlp_matrix_needs_a_homogeneous_activation)
{
    record r;
    job j;
    run(&r, &j, (setup){.placement = "peri_ln", .norm = norms[_i], .activation = "silu"});
    must_fail("mlp.up with silu", worst_alignment(&r, "mlp.up"));
    holds("mlp.down with silu", worst_alignment(&r, "mlp.down"));
    end(&r, &j);

    run(&r, &j, (setup){.placement = "peri_ln", .norm = norms[_i], .activation = "swiglu"});
    holds("mlp.up with swiglu, which is linear in it", worst_alignment(&r, "mlp.up"));
    must_fail("mlp.gate with swiglu", worst_alignment(&r, "mlp.gate"));
    end(&r, &j);
}
END_TEST

START_TEST(test_qk_norm_hides_the_scale_of_queries_and_keys)
{
    const char *placements[] = {"none", "post_ln", "pre_ln", "peri_ln"};
    for (int i = 0; i < 4; i++) {
        record r;
        job j;
        setup s = {.placement = placements[i], .norm = norms[_i], .model = ",\"qk_norm\":true"};
        run(&r, &j, s);
        holds("attn.q with qk_norm", worst_alignment(&r, "attn.q"));
        holds("attn.k with qk_norm", worst_alignment(&r, "attn.k"));
        end(&r, &j);
        s.model = NULL;
        run(&r, &j, s);
        must_fail("attn.q without qk_norm", worst_alignment(&r, "attn.q"));
        must_fail("attn.k without qk_norm", worst_alignment(&r, "attn.k"));
        end(&r, &j);
    }
}
END_TEST

/* --- the gradient of the stream --- */

/* Largest |sum over features of dLoss/dx| of a token, relative to the largest sum of |dLoss/dx|. */
static double worst_feature_sum(const record *r, int layer, const char *site_name)
{
    char name[64];
    snprintf(name, sizeof name, "%d.%s", layer, site_name);
    const record_tensor *g = gradient(r, name);
    size_t D = g->dims[g->rank - 1];
    double worst = 0, size = 0;
    for (size_t t = 0; t < g->n / D; t++) {
        double sum = 0, absolute = 0;
        for (size_t i = 0; i < D; i++) {
            sum += g->data[t * D + i];
            absolute += fabs(g->data[t * D + i]);
        }
        worst = fmax(worst, fabs(sum));
        size = fmax(size, absolute);
    }
    ck_assert_msg(size > 0, "%s has no gradient", name);
    return worst / size;
}

/* The largest over the stream: embedding, middle and end of every block. */
static double stream_feature_sum(const record *r)
{
    double worst = worst_feature_sum(r, 0, "embed");
    for (int l = 1; l <= DEPTH; l++) {
        worst = fmax(worst, worst_feature_sum(r, l, "resid_mid"));
        worst = fmax(worst, worst_feature_sum(r, l, "resid_out"));
    }
    return worst;
}

START_TEST(test_layernorm_readers_leave_a_stream_gradient_without_mean)
{
    const char *placements[] = {"pre_ln", "peri_ln"};
    record r;
    job j;
    run(&r, &j, (setup){.placement = placements[_i], .norm = "layernorm"});
    holds("feature sum of dLoss/dx", stream_feature_sum(&r));
    end(&r, &j);
    run(&r, &j, (setup){.placement = placements[_i], .norm = "rmsnorm"});
    must_fail("feature sum of dLoss/dx under rmsnorm", stream_feature_sum(&r));
    end(&r, &j);
    run(&r, &j, (setup){.placement = "post_ln", .norm = "layernorm"});
    must_fail("feature sum of dLoss/dx under post_ln", stream_feature_sum(&r));
    end(&r, &j);
}
END_TEST

/* sum of <W, dLoss/dW> over embed, pos and the given parameters of every block, relative to the sum
 * of the absolute terms. */
static double scale_identity(const record *r, const char *const *roles, int n)
{
    const char *outside[] = {"embed.weight", "pos.weight"};
    double sum = 0, size = 0;
    for (int k = 0; k < 2 + n * DEPTH; k++) {
        char name[96];
        if (k < 2)
            snprintf(name, sizeof name, "%s", outside[k]);
        else
            snprintf(name, sizeof name, "blocks.%d.%s", (k - 2) / n, roles[(k - 2) % n]);
        double term = dot(weight(r, name), gradient(r, name));
        sum += term;
        size += fabs(term);
    }
    return fabs(sum) / size;
}

START_TEST(test_loss_ignores_a_common_scale_of_all_that_writes_to_the_stream)
{
    const char *pre[] = {"attn.o.weight", "mlp.down.weight", "attn.o.bias", "mlp.down.bias"};
    const char *peri[] = {"attn.norm_out.weight", "mlp.norm_out.weight", "attn.norm_out.bias",
                          "mlp.norm_out.bias"};
    bool rms = strcmp(norms[_i], "rmsnorm") == 0;
    record r;
    job j;
    setup s = {.placement = "pre_ln", .norm = norms[_i], .bias = true};
    run(&r, &j, s);
    holds("pre_ln with biases", scale_identity(&r, pre, 4));
    must_fail("pre_ln without counting the biases", scale_identity(&r, pre, 2));
    end(&r, &j);

    s.bias = false;
    run(&r, &j, s);
    holds("pre_ln", scale_identity(&r, pre, 2));
    must_fail("pre_ln without mlp.down", scale_identity(&r, pre, 1));
    end(&r, &j);

    s.placement = "peri_ln";
    run(&r, &j, s);
    holds("peri_ln", scale_identity(&r, peri, rms ? 2 : 4));
    must_fail("peri_ln with W_O and W_2 instead of the gains", scale_identity(&r, pre, 2));
    end(&r, &j);

    s.placement = "post_ln";
    run(&r, &j, s);
    must_fail("post_ln", scale_identity(&r, pre, 2));
    end(&r, &j);
}
END_TEST

/* --- the stream itself --- */

static double worst_mean_square(const record *r)
{
    double worst = 0;
    for (int l = 1; l <= DEPTH; l++) {
        char name[64];
        snprintf(name, sizeof name, "act.%d.resid_out", l);
        const record_tensor *x = record_need(r, TENSOR_PROBE, 0, name);
        size_t D = x->dims[x->rank - 1];
        for (size_t t = 0; t < x->n / D; t++) {
            double square = 0;
            for (size_t i = 0; i < D; i++) square += x->data[t * D + i] * x->data[t * D + i];
            worst = fmax(worst, fabs(square / (double)D - 1));
        }
    }
    return worst;
}

START_TEST(test_post_ln_stream_has_unit_mean_square)
{
    record r;
    job j;
    setup s = {.placement = "post_ln", .norm = norms[_i], .strategy = ",\"affine\":false"};
    run(&r, &j, s);
    holds("mean square of a token", worst_mean_square(&r));
    end(&r, &j);
    s.strategy = NULL;
    run(&r, &j, s);
    must_fail("mean square of a token with gains", worst_mean_square(&r));
    end(&r, &j);
    s = (setup){.placement = "pre_ln", .norm = norms[_i], .strategy = ",\"affine\":false"};
    run(&r, &j, s);
    must_fail("mean square of a token under pre_ln", worst_mean_square(&r));
    end(&r, &j);
}
END_TEST

/* Largest difference between the output of the permuted run and the permuted output. */
static double permutation_error(setup s)
{
    static const int permutation[TOKENS] = {3, 0, 6, 1, 5, 2, 4};
    char name[64];
    record a, b;
    job ja, jb;
    run(&a, &ja, s);
    s.permutation = permutation;
    run(&b, &jb, s);
    snprintf(name, sizeof name, "act.%d.final_norm", DEPTH + 1);
    const record_tensor *x = record_need(&a, TENSOR_PROBE, 0, name);
    const record_tensor *y = record_need(&b, TENSOR_PROBE, 0, name);
    size_t D = x->dims[x->rank - 1];
    double worst = fabs(a.steps[0].loss - b.steps[0].loss);
    for (size_t i = 0; i < x->n; i++) {
        size_t t = i / D % TOKENS, from = i - t * D + (size_t)permutation[t] * D;
        worst = fmax(worst, fabs(y->data[i] - x->data[from]));
    }
    end(&a, &ja);
    end(&b, &jb);
    return worst;
}

START_TEST(test_bidirectional_model_without_positions_permutes_with_its_tokens)
{
    const char *placements[] = {"none", "post_ln", "pre_ln", "peri_ln"};
    const char *positions[] = {"learned", "sinusoidal", "rope"};
    setup s = {.placement = placements[_i],
               .norm = "layernorm",
               .mask = "bidirectional",
               .position = "none"};
    holds("permuted output", permutation_error(s));
    for (int i = 0; i < 3; i++) {
        s.position = positions[i];
        must_fail(positions[i], permutation_error(s));
    }
    s.position = "none";
    s.mask = "causal";
    must_fail("causal", permutation_error(s));
}
END_TEST

/* --- bits --- */

/* Several panels of uneven size and parameters in several slices: work that threads can share. */
static const char bits_job[] =
    "{\"model\":{\"mask\":\"%s\",\"d_model\":32,\"n_heads\":4,\"n_kv_heads\":2,\"d_ff\":300,"
    "\"vocab\":700,\"activation\":\"swiglu\",\"position\":\"%s\",\"bias\":true,\"qk_norm\":true},"
    "\"strategy\":\"%s\",\"depth\":2,\"data\":{\"source\":\"random_tokens\",\"batch\":9,"
    "\"seq_len\":131},\"train\":{\"steps\":2,\"lr\":0.01},\"seeds\":[%d],\"precision\":\"%s\"}";

static size_t different_bits(const record *a, const record *b)
{
    size_t n = a->n_measurements != b->n_measurements || a->n_steps != b->n_steps ||
               a->n_tensors != b->n_tensors;
    if (n != 0) return n;
    for (size_t i = 0; i < a->n_measurements; i++)
        n += memcmp(&a->measurements[i].value, &b->measurements[i].value, sizeof(double)) != 0;
    for (size_t i = 0; i < a->n_steps; i++)
        n += memcmp(&a->steps[i].loss, &b->steps[i].loss, sizeof(double)) != 0;
    for (size_t i = 0; i < a->n_tensors; i++)
        n += memcmp(a->tensors[i].data, b->tensors[i].data, a->tensors[i].n * sizeof(double)) != 0;
    return n;
}

static void bits_run(record *r, job *j, int variant, int seed, int threads)
{
    static const char *const placements[] = {"none", "post_ln", "pre_ln", "peri_ln"};
    bool causal = variant % 2 == 0, single = variant < 4;
    char text[1024];
    snprintf(text, sizeof text, bits_job, causal ? "causal" : "bidirectional",
             causal ? "rope" : "learned", placements[variant % 4], seed,
             single ? "float32" : "float64");
    resolve(j, text);
    record_run(r, single ? &engine_f32 : &engine_f64, &j->runs[0].spec, threads, false, NULL, NULL);
}

START_TEST(test_number_of_threads_changes_no_bit)
{
    record one, other;
    job j1, j2;
    bits_run(&one, &j1, _i, 5, 1);
    ck_assert_uint_gt(one.n_measurements, 100);
    ck_assert_uint_gt(one.n_tensors, 10);
    for (int threads = 1; threads <= 4; threads *= 2) {
        bits_run(&other, &j2, _i, 5, threads);
        ck_assert_msg(different_bits(&one, &other) == 0,
                      "%zu numbers differ between 1 and %d threads", different_bits(&one, &other),
                      threads);
        end(&other, &j2);
    }
    bits_run(&other, &j2, _i, 6, 1);
    ck_assert_uint_gt(different_bits(&one, &other), 100);
    end(&other, &j2);
    end(&one, &j1);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *s = suite_create("invariance");
    TCase *tc = tcase_create("identities");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_peri_ln_branch_matrices_are_orthogonal_to_their_gradients, 0, 2);
    tcase_add_loop_test(tc, test_peri_ln_loss_ignores_the_scale_of_branch_matrices, 0, 2);
    tcase_add_loop_test(tc, test_peri_ln_first_mlp_matrix_needs_a_homogeneous_activation, 0, 2);
    tcase_add_loop_test(tc, test_qk_norm_hides_the_scale_of_queries_and_keys, 0, 2);
    tcase_add_loop_test(tc, test_layernorm_readers_leave_a_stream_gradient_without_mean, 0, 2);
    tcase_add_loop_test(tc, test_loss_ignores_a_common_scale_of_all_that_writes_to_the_stream, 0,
                        2);
    tcase_add_loop_test(tc, test_post_ln_stream_has_unit_mean_square, 0, 2);
    tcase_add_loop_test(tc, test_bidirectional_model_without_positions_permutes_with_its_tokens, 0,
                        4);
    suite_add_tcase(s, tc);
    tc = tcase_create("bits");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_number_of_threads_changes_no_bit, 0, 8);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
