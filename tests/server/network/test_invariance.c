/* Exact identities of the strategies, from algebra alone (no second implementation): what a network
 * with this strategy cannot see, its gradient is orthogonal to. Each identity comes with networks
 * where it must fail, so that the test can: a strategy must have all the identities of its row and
 * none of the others. Then the bits: the number of threads changes none.
 */
#include "server/job/strategy.h"
#include "tests/small_net.h"
#include "tests/suite.h"

extern void openblas_set_num_threads(int n);

/* --- the table -------------------------------------------------------------------------------- */

static const char *const norms[] = {"layernorm", "rmsnorm"};
static const char *const matrices[] = {"attn.q", "attn.k", "attn.v",
                                       "attn.o", "mlp.up", "mlp.down"};
enum { MATRICES = 6 };

/* With ReLU and no biases. */
typedef struct claim {
    const char *name;
    const char *unseen;  /* matrices of the blocks whose scale nobody sees: "q k v o up down" */
    bool centred;        /* with LayerNorm: dLoss/dx of the stream has no mean over features */
    const char *writers; /* what writes to the stream in a block, gains "norm_out" or matrices
                       "o down": with the embedding, all may be scaled together. NULL: not so */
    bool no_bias;        /* that only without biases in the branches */
    bool headless;       /* no final norm: the head reads the stream's end itself */
    bool embedding;      /* tokens and positions may be scaled together, and nothing else */
    bool own_norm;       /* the row chooses the norm */
    const char *strategy;
} claim;

static const claim claims[] = {
    {.name = "none", .unseen = "", .own_norm = true},
    {.name = "post_ln", .unseen = ""},
    {.name = "pre_ln", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "pre_ln_qk", .unseen = "q k", .centred = true, .writers = "o down"},
    {.name = "peri_ln", .unseen = "v o up down", .centred = true, .writers = "norm_out"},
    {.name = "peri_ln_emb", .unseen = "v o up down", .centred = true, .embedding = true},
    {.name = "sandwich_ln", .unseen = "v o up down", .centred = true, .writers = "norm_out"},
    {.name = "sandwich_depth_scaled",
     .unseen = "v o up down",
     .centred = true,
     .writers = "norm_out"},
    {.name = "gemma2", .unseen = "v o up down", .centred = true, .writers = "norm_out"},
    {.name = "gemma3", .unseen = "q k v o up down", .centred = true, .writers = "norm_out"},
    {.name = "res_post_norm", .unseen = "q k v o up down", .embedding = true},
    {.name = "res_post_norm_unit", .unseen = "v o up down"},
    {.name = "olmo2_reordered",
     .unseen = "q k v o up down",
     .writers = "norm_out",
     .no_bias = true},
    {.name = "deepnorm", .unseen = ""},
    {.name = "admin", .unseen = ""},
    {.name = "keel", .unseen = "", .centred = true, .headless = true},
    {.name = "b2t", .unseen = ""},
    {.name = "subln", .unseen = "v up", .centred = true, .writers = "o down"},
    {.name = "normformer",
     .unseen = "v o up",
     .centred = true,
     .writers = "attn.norm_out mlp.down"},
    {.name = "normformer",
     .unseen = "v o up",
     .writers = "attn.norm_out mlp.down",
     .strategy = ",\"resscale\":true"},
    {.name = "mix_ln", .unseen = "", .strategy = ",\"fraction\":0.5"},
    {.name = "mix_ln",
     .unseen = "",
     .centred = true,
     .writers = "o down",
     .strategy = ",\"fraction\":0.3"},
    {.name = "layernorm_scaling", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "hybridnorm", .unseen = "q k v"},
    {.name = "hybridnorm_star", .unseen = "q k v"},
    {.name = "parallel", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "parallel_two_norms", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "rezero", .unseen = "", .own_norm = true},
    {.name = "skipinit", .unseen = "", .own_norm = true},
    {.name = "fixup", .unseen = "", .own_norm = true},
    {.name = "t_fixup", .unseen = "", .own_norm = true},
    {.name = "layerscale", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "scaled_residual", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "residual_inv_sqrt_depth", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "residual_inv_depth", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "siamesenorm", .unseen = "", .centred = true},
    {.name = "residual_dual", .unseen = ""},
    {.name = "value_skipinit", .unseen = "", .own_norm = true},
    {.name = "u_spa", .unseen = "", .own_norm = true},
    {.name = "shaped_attention", .unseen = "", .own_norm = true},
    {.name = "shaped_attention", .unseen = "", .own_norm = true, .strategy = ",\"alpha\":0.8"},
    {.name = "dyt", .unseen = "", .own_norm = true},
    {.name = "derf", .unseen = "", .own_norm = true},
    {.name = "scalenorm", .unseen = "", .writers = "o down", .own_norm = true},
    {.name = "fixnorm", .unseen = "", .own_norm = true},
    {.name = "pre_rmsnorm", .unseen = "", .writers = "o down", .own_norm = true},
    {.name = "pre_crmsnorm", .unseen = "", .writers = "o down", .own_norm = true},
    {.name = "non_parametric", .unseen = "", .centred = true, .writers = "o down"},
    {.name = "l1norm", .unseen = "", .centred = true, .writers = "o down", .own_norm = true},
    {.name = "group_ln", .unseen = "", .centred = true, .writers = "o down", .own_norm = true},
    {.name = "ngpt", .unseen = "q k v o up down", .own_norm = true},
    {.name = "frozen_ln", .unseen = "", .centred = true, .own_norm = true},
    {.name = "batchnorm", .unseen = "", .writers = "o down", .own_norm = true},
    {.name = "powernorm", .unseen = "", .writers = "o down", .own_norm = true}, /* group scaling */
    {.name = "unifiednorm", .unseen = "", .own_norm = true},
    {.name = "prepbn", .unseen = "", .own_norm = true},
};
enum { CLAIMS = sizeof claims / sizeof *claims };

/* Is this a word of the text, or the whole role? */
static bool says(const char *text, const char *role)
{
    const char *words[] = {role, strchr(role, '.') + 1};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);
        for (const char *at = strstr(text, words[i]); at != NULL; at = strstr(at + 1, words[i]))
            if ((at == text || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    }
    return false;
}

/* --- one row ---------------------------------------------------------------------------------- */

/* <W, dLoss/dW> / (||W|| ||dLoss/dW||). */
static double alignment(const small_run *run, const char *name)
{
    const record_tensor *w = small_weight(run, name), *g = small_gradient(run, 0, name);
    double size = sqrt(small_dot(w, w) * small_dot(g, g));
    ck_assert_msg(size > 0, "%s: %s has no gradient", run->s.name, name);
    return small_dot(w, g) / size;
}

static double worst_alignment(const small_run *run, const char *role)
{
    double worst = 0;
    for (int i = 0; i < SMALL_DEPTH; i++) {
        char name[96];
        snprintf(name, sizeof name, "blocks.%d.%s.weight", i, role);
        worst = fmax(worst, fabs(alignment(run, name)));
    }
    return worst;
}

/* Largest |sum over features of dLoss/dx| of a token, relative to the largest sum of |dLoss/dx|. */
static double worst_feature_sum(const small_run *run, int layer, const char *site_name)
{
    char name[64];
    snprintf(name, sizeof name, "%d.%s", layer, site_name);
    const record_tensor *g = small_gradient(run, 0, name);
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
    ck_assert_msg(size > 0, "%s: %s has no gradient", run->s.name, name);
    return worst / size;
}

/* The largest over the stream: embedding, middle and end of every block. In the middle of a
 * parallel block a part of the sum stands. */
static double stream_feature_sum(const small_run *run, bool headless)
{
    double worst = worst_feature_sum(run, 0, "embed");
    for (int l = 1; l <= SMALL_DEPTH; l++) {
        worst = fmax(worst, worst_feature_sum(run, l, "resid_mid"));
        if (l == SMALL_DEPTH && headless) continue;
        worst = fmax(worst, worst_feature_sum(run, l, "resid_out"));
    }
    return worst;
}

/* <p, dLoss/dp>, p as the network uses it. */
static double term_of(const small_run *run, const record_tensor *p)
{
    const record_tensor *g = small_gradient(run, 0, p->name);
    double sum = small_dot(p, g);
    bool offset = run->j.runs[0].spec.strategy.unit_offset && strstr(p->name, "norm") != NULL &&
                  strstr(p->name, ".weight") != NULL;
    for (size_t i = 0; i < p->n && offset; i++) sum += g->data[i];
    return sum;
}

/* Is this parameter, weight or bias, one of the writers, or the embedding or positions? */
static bool is_writer(const char *name, const char *writers)
{
    char role[96];
    if (strcmp(name, "embed.weight") == 0 || strcmp(name, "pos.weight") == 0) return true;
    const char *in_block = strncmp(name, "blocks.", 7) == 0 ? strchr(name + 7, '.') : NULL;
    if (in_block == NULL) return false;
    snprintf(role, sizeof role, "%s", in_block + 1);
    char *last = strrchr(role, '.');
    if (last == NULL || (strcmp(last, ".weight") != 0 && strcmp(last, ".bias") != 0)) return false;
    *last = '\0';
    return strchr(role, '.') != NULL && says(writers, role);
}

/* sum of <p, dLoss/dp> over embed, pos and the writers, relative to the sum of absolute terms. */
static double scale_identity(const small_run *run, const char *writers)
{
    double sum = 0, size = 0;
    for (size_t i = 0; i < run->r.n_tensors; i++) {
        const record_tensor *p = &run->r.tensors[i];
        if (p->when != TENSOR_FINAL || !is_writer(p->name, writers)) continue;
        double term = term_of(run, p);
        sum += term;
        size += fabs(term);
    }
    return fabs(sum) / size;
}

/* Row _i: claim _i / 2 with one of the two norms. */
static bool setup(const claim **c, small_net *s, int i)
{
    *c = &claims[i / 2];
    *s = (small_net){.name = (*c)->name,
                     .norm = (*c)->own_norm ? NULL : norms[i % 2],
                     .strategy = (*c)->strategy};
    if (strcmp((*c)->name, "ngpt") == 0) s->activation = "swiglu";
    return !(*c)->own_norm || i % 2 == 0;
}

START_TEST(test_every_strategy_has_a_row)
{
    static const char *const without[] = {
        "gpas",  /* its gradient is declared, not exact */
        "e_spa", /* its kernel is one of distances between tokens */
    };
    for (int i = 0; i < strategy_registry.n; i++) {
        const char *name = strategy_registry.rows[i]->name;
        bool found = strategy_table[i]->refused != NULL;
        for (int k = 0; k < CLAIMS; k++) found |= strcmp(claims[k].name, name) == 0;
        for (int k = 0; k < 2; k++) found |= strcmp(without[k], name) == 0;
        ck_assert_msg(found, "nothing is claimed of %s", name);
    }
}
END_TEST

START_TEST(test_matrices_whose_scale_nobody_sees_are_orthogonal_to_their_gradients)
{
    const claim *c;
    small_net s;
    small_run run;
    if (!setup(&c, &s, _i)) return;
    small_start(&run, s);
    for (int i = 0; i < MATRICES; i++) {
        double off = worst_alignment(&run, matrices[i]);
        if (says(c->unseen, matrices[i]))
            small_holds(c->name, matrices[i], off);
        else
            small_must_fail(c->name, matrices[i], off);
    }
    small_end(&run);
}
END_TEST

START_TEST(test_the_loss_ignores_the_scale_of_matrices_that_nobody_sees)
{
    const claim *c;
    small_net s;
    small_run plain;
    if (!setup(&c, &s, _i)) return;
    small_start(&plain, s);
    for (int i = 0; i < MATRICES; i++) {
        small_run scaled;
        s.scaled = matrices[i];
        s.scale = 3.5;
        small_start(&scaled, s);
        double off = fabs(small_loss(&plain) - small_loss(&scaled));
        if (says(c->unseen, matrices[i]))
            small_holds(c->name, matrices[i], off);
        else
            small_must_fail(c->name, matrices[i], off);
        small_end(&scaled);
    }
    small_end(&plain);
}
END_TEST

START_TEST(test_layernorm_readers_leave_a_stream_gradient_without_mean)
{
    const claim *c;
    small_net s;
    small_run run;
    if (!setup(&c, &s, _i)) return;
    small_start(&run, s);
    double off = stream_feature_sum(&run, c->headless);
    if (c->centred && _i % 2 == 0)
        small_holds(c->name, "feature sum of dLoss/dx", off);
    else
        small_must_fail(c->name, "feature sum of dLoss/dx", off);
    small_end(&run);
}
END_TEST

START_TEST(test_all_that_writes_to_the_stream_may_be_scaled_together)
{
    const claim *c;
    small_net s;
    small_run run;
    if (!setup(&c, &s, _i)) return;
    for (int bias = 0; bias < 2; bias++) {
        s.bias = bias != 0 && strcmp(c->name, "ngpt") != 0;
        small_start(&run, s);
        if (c->embedding) {
            small_holds(c->name, "scale of the embedding", scale_identity(&run, ""));
        } else if (c->writers != NULL && !(s.bias && c->no_bias)) {
            small_holds(c->name, c->writers, scale_identity(&run, c->writers));
            small_must_fail(c->name, "scale of the embedding alone", scale_identity(&run, ""));
            small_must_fail(c->name, "without the MLP's",
                            scale_identity(&run, "attn.o attn.norm_out"));
        } else {
            small_must_fail(c->name, "scale of what writes", scale_identity(&run, "o down"));
            small_must_fail(c->name, "scale of what writes", scale_identity(&run, "norm_out"));
            small_must_fail(c->name, "scale of the embedding", scale_identity(&run, ""));
        }
        small_end(&run);
    }
}
END_TEST

START_TEST(test_first_mlp_matrix_is_seen_unless_the_activation_is_homogeneous)
{
    static const char *const rows[] = {"peri_ln", "res_post_norm_unit", "subln", "normformer"};
    small_run run;
    for (int i = 0; i < 4; i++) {
        bool outer = i < 2;
        small_start(&run, (small_net){.name = rows[i], .norm = norms[_i], .activation = "silu"});
        small_must_fail(rows[i], "mlp.up with silu", worst_alignment(&run, "mlp.up"));
        if (outer) small_holds(rows[i], "mlp.down with silu", worst_alignment(&run, "mlp.down"));
        small_end(&run);
        small_start(&run, (small_net){.name = rows[i], .norm = norms[_i], .activation = "swiglu"});
        small_holds(rows[i], "mlp.up with swiglu, which is linear in it",
                    worst_alignment(&run, "mlp.up"));
        small_must_fail(rows[i], "mlp.gate with swiglu", worst_alignment(&run, "mlp.gate"));
        small_end(&run);
    }
}
END_TEST

/* ngpt norms heads by itself; a frozen norm divides by a constant. */
static bool norms_heads(const claim *c)
{
    return strcmp(c->name, "ngpt") != 0 && strcmp(c->name, "frozen_ln") != 0;
}

/* Whatever the placement; heads normed one by one or at once. */
START_TEST(test_qk_norm_hides_the_scale_of_queries_and_keys)
{
    static const char *const models[] = {",\"qk_norm\":true",
                                         ",\"qk_norm\":true,\"qk_norm_span\":\"joint\""};
    const claim *c;
    small_net s;
    small_run run;
    if (!setup(&c, &s, _i) || !norms_heads(c)) return;
    for (int i = 0; i < 2; i++) {
        s.model = models[i];
        small_start(&run, s);
        small_holds(c->name, "attn.q with qk_norm", worst_alignment(&run, "attn.q"));
        small_holds(c->name, "attn.k with qk_norm", worst_alignment(&run, "attn.k"));
        small_end(&run);
    }
}
END_TEST

START_TEST(test_v_norm_hides_the_scale_of_values)
{
    const claim *c;
    small_net s;
    small_run run;
    if (!setup(&c, &s, _i) || !norms_heads(c)) return;
    s.model = ",\"v_norm\":true";
    small_start(&run, s);
    small_holds(c->name, "attn.v with v_norm", worst_alignment(&run, "attn.v"));
    small_end(&run);
}
END_TEST

/* --- the stream itself --- */

START_TEST(test_a_stream_that_ends_in_a_norm_has_unit_mean_square)
{
    static const char *const unit[] = {"post_ln", "deepnorm", "keel",
                                       "admin",   "b2t",      "residual_dual"};
    static const char *const other[] = {"pre_ln",     "peri_ln",     "olmo2_reordered",
                                        "hybridnorm", "siamesenorm", "layernorm_scaling"};
    small_run run;
    small_net s = {.norm = norms[_i]};
    for (int i = 0; i < 6; i++) {
        s.name = unit[i];
        s.strategy = ",\"affine\":false";
        small_start(&run, s);
        small_holds(s.name, "mean square of a token", small_mean_square_error(&run, 1));
        small_end(&run);
        s.strategy = NULL;
        small_start(&run, s);
        small_must_fail(s.name, "mean square with gains", small_mean_square_error(&run, 1));
        small_end(&run);
        s.name = other[i];
        s.strategy = ",\"affine\":false";
        small_start(&run, s);
        small_must_fail(s.name, "mean square of a token", small_mean_square_error(&run, 1));
        small_end(&run);
    }
    s = (small_net){.name = "ngpt", .activation = "swiglu"};
    small_start(&run, s);
    small_holds(s.name, "length of a token",
                SMALL_WIDTH * small_mean_square_error(&run, 1.0 / SMALL_WIDTH));
    small_end(&run);
}
END_TEST

static const int permutation[SMALL_TOKENS] = {3, 0, 6, 1, 5, 2, 4};

/* data.tokens [batches, B, T+1] and data.loss_mask [batches, B, T]: position t takes what stood at
 * permutation[t]. */
static void permute(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    if (t->rank != 3 || strncmp(t->name, "data.", 5) != 0) return;
    size_t row = t->dims[2], rows = pattern_count(t) / row;
    double old[SMALL_TOKENS];
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < SMALL_TOKENS; i++) old[i] = pattern_load(t, r * row + i);
        for (size_t i = 0; i < SMALL_TOKENS; i++)
            pattern_store(t, r * row + i, old[permutation[i]]);
    }
}

/* Largest difference between the output of the permuted run and the permuted output. */
static double permutation_error(small_net s)
{
    small_run a, b;
    small_start(&a, s);
    s.change = permute;
    small_start(&b, s);
    const record_tensor *x = small_value(&a, SMALL_DEPTH + 1, "final_norm");
    const record_tensor *y = small_value(&b, SMALL_DEPTH + 1, "final_norm");
    size_t D = x->dims[x->rank - 1];
    double worst = fabs(small_loss(&a) - small_loss(&b));
    for (size_t i = 0; i < x->n; i++) {
        size_t t = i / D % SMALL_TOKENS, from = i - t * D + (size_t)permutation[t] * D;
        worst = fmax(worst, fabs(y->data[i] - x->data[from]));
    }
    small_end(&a);
    small_end(&b);
    return worst;
}

START_TEST(test_bidirectional_model_without_positions_permutes_with_its_tokens)
{
    const char *positions[] = {"learned", "sinusoidal", "rope"};
    const claim *c;
    small_net s;
    if (!setup(&c, &s, 2 * _i)) return;
    s.mask = "bidirectional";
    s.position = "none";
    small_holds(c->name, "permuted output", permutation_error(s));
    for (int i = 0; i < 3; i++) {
        s.position = positions[i];
        small_must_fail(c->name, positions[i], permutation_error(s));
    }
    s.position = "none";
    s.mask = "causal";
    small_must_fail(c->name, "causal", permutation_error(s));
}
END_TEST

/* --- bits --- */

/* Several panels of uneven size and parameters in several slices: work that threads can share. */
static const char bits_job[] =
    "{\"model\":{\"mask\":\"%s\",\"d_model\":32,\"n_heads\":4,%s\"d_ff\":300,"
    "\"vocab\":700,\"position\":\"%s\"},"
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

/* Row `variant` of the catalogue. */
static void bits_run(record *r, job *j, int variant, int seed, int threads)
{
    /* The second for strategies that refuse some of the first. */
    static const char *const models[] = {
        "\"n_kv_heads\":2,\"activation\":\"swiglu\",\"bias\":true,\"qk_norm\":true,", ""};
    bool causal = variant % 2 == 0, single = variant % 4 < 2;
    err_code code = ERR_COMBINATION;
    for (int i = 0; i < 2 && code == ERR_COMBINATION; i++) {
        char text[1024];
        error err;
        snprintf(text, sizeof text, bits_job, causal ? "causal" : "bidirectional", models[i],
                 causal ? "rope" : "learned", strategy_registry.rows[variant]->name, seed,
                 single ? "float32" : "float64");
        if (i > 0) job_deinit(j);
        code = small_read(j, text, &err);
    }
    ck_assert_int_eq(code, ERR_OK);
    record_run(r, single ? &engine_f32 : &engine_f64, &j->runs[0].spec, threads, false, NULL, NULL);
}

static void bits_end(record *r, job *j)
{
    record_deinit(r);
    job_deinit(j);
}

START_TEST(test_number_of_threads_changes_no_bit)
{
    record one, other;
    job j1, j2;
    if (strategy_table[_i]->refused != NULL) return;
    bits_run(&one, &j1, _i, 5, 1);
    ck_assert_uint_gt(one.n_measurements, 100);
    ck_assert_uint_gt(one.n_tensors, 10);
    bits_run(&other, &j2, _i, 5, 2 + _i % 3);
    ck_assert_msg(different_bits(&one, &other) == 0,
                  "%s: %zu numbers differ between 1 and %d threads",
                  strategy_registry.rows[_i]->name, different_bits(&one, &other), 2 + _i % 3);
    bits_end(&other, &j2);
    bits_end(&one, &j1);
}
END_TEST

START_TEST(test_another_seed_changes_the_bits)
{
    record one, other;
    job j1, j2;
    bits_run(&one, &j1, _i, 5, 1);
    bits_run(&other, &j2, _i, 6, 1);
    ck_assert_uint_gt(different_bits(&one, &other), 100);
    bits_end(&other, &j2);
    bits_end(&one, &j1);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *s = suite_create("invariance");
    TCase *tc = tcase_create("identities");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_every_strategy_has_a_row);
    tcase_add_loop_test(tc, test_matrices_whose_scale_nobody_sees_are_orthogonal_to_their_gradients,
                        0, 2 * CLAIMS);
    tcase_add_loop_test(tc, test_the_loss_ignores_the_scale_of_matrices_that_nobody_sees, 0,
                        2 * CLAIMS);
    tcase_add_loop_test(tc, test_layernorm_readers_leave_a_stream_gradient_without_mean, 0,
                        2 * CLAIMS);
    tcase_add_loop_test(tc, test_all_that_writes_to_the_stream_may_be_scaled_together, 0,
                        2 * CLAIMS);
    tcase_add_loop_test(tc, test_first_mlp_matrix_is_seen_unless_the_activation_is_homogeneous, 0,
                        2);
    tcase_add_loop_test(tc, test_qk_norm_hides_the_scale_of_queries_and_keys, 0, 2 * CLAIMS);
    tcase_add_loop_test(tc, test_v_norm_hides_the_scale_of_values, 0, 2 * CLAIMS);
    tcase_add_loop_test(tc, test_a_stream_that_ends_in_a_norm_has_unit_mean_square, 0, 2);
    tcase_add_loop_test(tc, test_bidirectional_model_without_positions_permutes_with_its_tokens, 0,
                        CLAIMS);
    suite_add_tcase(s, tc);
    tc = tcase_create("bits");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_number_of_threads_changes_no_bit, 0, strategy_registry.n);
    tcase_add_loop_test(tc, test_another_seed_changes_the_bits, 0, 4);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
