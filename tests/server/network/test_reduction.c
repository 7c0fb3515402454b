/* What a strategy becomes when its own parts do nothing: another strategy, bit for bit. Then the
 * mistakes that are easily made with strategies (T1.. in the reference): for each an equation that
 * holds as we read the source and fails as it is misread.
 */
#include "tests/small_net.h"
#include "tests/suite.h"

extern void openblas_set_num_threads(int n);

static bool ends_in(const char *name, const char *role)
{
    size_t n = strlen(name), m = strlen(role);
    return n >= m && strcmp(name + n - m, role) == 0;
}

/* --- neutral parts --- */

static void neutral(const run_spec *spec, const tensor_view *t)
{
    static const char *const ones[] = {"branch_gain", "attn.head_scale", "mlp.res_scale",
                                       "attn.omega", "mlp.omega"};
    static const char *const zeros[] = {"gpas_gate", "attn.shift_in", "mlp.shift_in",
                                        "mlp.shift_act", "mlp.shift_out"};
    (void)spec;
    for (int i = 0; i < 5; i++) {
        if (ends_in(t->name, ones[i])) small_set(t, 1);
        if (ends_in(t->name, zeros[i])) small_set(t, 0);
    }
}

typedef struct reduction {
    small_net special, base;
} reduction;

static const reduction reductions[] = {
    {{.name = "gpas"}, {.name = "pre_ln"}},
    {{.name = "peri_ln", .strategy = ",\"gpas\":true"}, {.name = "peri_ln"}},
    {{.name = "post_ln", .strategy = ",\"gpas\":true"}, {.name = "post_ln"}},
    {{.name = "deepnorm", .strategy = ",\"gpas\":true"}, {.name = "deepnorm"}},
    {{.name = "b2t", .strategy = ",\"gpas\":true"}, {.name = "b2t"}},
    {{.name = "layernorm_scaling", .strategy = ",\"gpas\":true"}, {.name = "layernorm_scaling"}},
    {{.name = "mix_ln", .strategy = ",\"gpas\":true"}, {.name = "mix_ln"}},
    {{.name = "hybridnorm", .strategy = ",\"gpas\":true"}, {.name = "hybridnorm"}},
    {{.name = "layerscale"}, {.name = "pre_ln"}},
    {{.name = "skipinit"}, {.name = "none"}},
    {{.name = "rezero"}, {.name = "none"}},
    {{.name = "fixup", .bias = true}, {.name = "none", .bias = true}},
    {{.name = "normformer", .norm = "none"}, {.name = "none"}},
    {{.name = "normformer", .strategy = ",\"resscale\":true"},
     {.name = "normformer", .change = neutral}},
    {{.name = "subln", .norm = "none"}, {.name = "none"}},
    {{.name = "keel", .norm = "none", .strategy = ",\"alpha\":1"}, {.name = "none"}},
    {{.name = "res_post_norm_unit", .norm = "none"}, {.name = "none"}},
    {{.name = "hybridnorm", .norm = "none"},
     {.name = "none", .model = ",\"qk_norm\":true,\"v_norm\":true"}},
    {{.name = "mix_ln", .strategy = ",\"fraction\":0"}, {.name = "pre_ln"}},
    {{.name = "mix_ln", .strategy = ",\"fraction\":1"},
     {.name = "post_ln", .strategy = ",\"final_norm\":true"}},
    {{.name = "admin"}, {.name = "post_ln"}},
    {{.name = "layernorm_scaling", .depth = 1}, {.name = "pre_ln", .depth = 1}},
    {{.name = "hybridnorm_star", .depth = 1},
     {.name = "pre_ln_qk", .norm = "rmsnorm", .depth = 1, .model = ",\"v_norm\":true"}},
    {{.name = "gemma3", .norm = "rmsnorm"},
     {.name = "gemma2", .norm = "rmsnorm", .model = ",\"qk_norm\":true"}},
    {{.name = "olmo2_reordered"},
     {.name = "res_post_norm_unit",
      .norm = "rmsnorm",
      .model = ",\"qk_norm\":true,\"qk_norm_span\":\"joint\""}},
    {{.name = "scaled_residual", .depth = 2},
     {.name = "pre_ln", .depth = 2, .strategy = ",\"residual_scale\":0.5"}},
    {{.name = "residual_inv_depth", .depth = 2},
     {.name = "pre_ln", .depth = 2, .strategy = ",\"residual_scales\":[0.5,0.5]"}},
    {{.name = "residual_inv_sqrt_depth", .depth = 4},
     {.name = "pre_ln",
      .depth = 4,
      .strategy = ",\"overrides\":[{\"layers\":\"all\",\"residual_scale\":0.5}]"}},
    /* With the weights of the init, and two updates. */
    {{.name = "sandwich_ln", .own_weights = true, .steps = 2},
     {.name = "peri_ln", .own_weights = true, .steps = 2, .job = ",\"init\":\"gpt2\""}},
    {{.name = "deepnorm", .strategy = ",\"alpha\":1,\"beta\":1", .own_weights = true, .steps = 2},
     {.name = "post_ln", .own_weights = true, .steps = 2, .job = ",\"init\":\"xavier\""}},
    {{.name = "deepnorm",
      .strategy = ",\"alpha\":1,\"init_factor\":false",
      .own_weights = true,
      .steps = 2},
     {.name = "post_ln", .own_weights = true, .steps = 2, .job = ",\"init\":\"xavier\""}},
    {{.name = "t_fixup", .strategy = ",\"init_factor\":false", .own_weights = true, .steps = 2},
     {.name = "none", .own_weights = true, .steps = 2, .job = ",\"init\":\"fairseq\""}},
    {{.name = "b2t", .depth = 1, .own_weights = true, .steps = 2},
     {.name = "b2t",
      .depth = 1,
      .own_weights = true,
      .steps = 2,
      .strategy = ",\"init_factor\":false"}},
};
enum { REDUCTIONS = sizeof reductions / sizeof *reductions };

/* How many of the tensors that both have differ in a bit; *common counts them. Gains of norms have
 * no counterpart where the base has none. */
static size_t different_tensors(const record *a, const record *b, size_t *common)
{
    size_t different = 0;
    *common = 0;
    for (size_t i = 0; i < a->n_tensors; i++) {
        const record_tensor *t = &a->tensors[i], *u = record_find(b, t->when, t->step, t->name);
        if (u == NULL) continue;
        ck_assert_uint_eq(t->n, u->n);
        different += memcmp(t->data, u->data, t->n * sizeof *t->data) != 0;
        ++*common;
    }
    return different;
}

START_TEST(test_a_strategy_whose_parts_are_neutral_is_another)
{
    reduction r = reductions[_i];
    small_run special, base, other;
    size_t common;
    if (!r.special.own_weights) r.special.change = neutral;
    small_start(&special, r.special);
    small_start(&base, r.base);
    for (size_t i = 0; i < base.r.n_steps; i++)
        ck_assert_msg(special.r.steps[i].loss == base.r.steps[i].loss, "%s, %s: loss %.17g, %.17g",
                      r.special.name, r.base.name, special.r.steps[i].loss, base.r.steps[i].loss);
    size_t different = different_tensors(&special.r, &base.r, &common);
    ck_assert_msg(different == 0, "%s, %s: %zu of %zu tensors differ", r.special.name, r.base.name,
                  different, common);
    ck_assert_uint_ge(common, 15 + 12 * (size_t)base.j.runs[0].spec.depth);
    /* The parts do something where they are not neutral. */
    if (r.special.change != NULL && special.r.n_tensors != base.r.n_tensors) {
        r.special.change = NULL;
        small_start(&other, r.special);
        small_must_fail(r.special.name, "is the base with any weights",
                        fabs(small_loss(&other) - small_loss(&base)));
        small_end(&other);
    }
    small_end(&special);
    small_end(&base);
}
END_TEST

/* 1 + w with w = gain - 1. */
static void minus_one(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    if (t->rank != 1 || !ends_in(t->name, ".weight")) return;
    for (size_t i = 0; i < pattern_count(t); i++) pattern_store(t, i, pattern_load(t, i) - 1);
}

/* Largest difference of a value or gradient that both runs have, relative to the largest entry. */
static double worst_difference(const small_run *a, const small_run *b)
{
    double worst = fabs(small_loss(a) - small_loss(b));
    for (size_t i = 0; i < a->r.n_tensors; i++) {
        const record_tensor *t = &a->r.tensors[i], *u;
        u = record_find(&b->r, t->when, t->step, t->name);
        if (t->when != TENSOR_PROBE || u == NULL) continue;
        double size = 0, off = 0;
        for (size_t k = 0; k < t->n; k++) {
            size = fmax(size, fabs(t->data[k]));
            off = fmax(off, fabs(t->data[k] - u->data[k]));
        }
        if (size > 0) worst = fmax(worst, off / size);
    }
    return worst;
}

START_TEST(test_unit_offset_is_another_way_to_store_a_gain)
{
    small_run offset, plain;
    small_start(&offset, (small_net){.name = "gemma2", .change = minus_one});
    small_start(&plain, (small_net){.name = "peri_ln", .norm = "rmsnorm"});
    small_holds("gemma2", "is peri_ln with rmsnorm", worst_difference(&offset, &plain));
    small_end(&offset);
    small_start(&offset, (small_net){.name = "gemma2"});
    small_must_fail("gemma2", "is peri_ln with the same numbers",
                    worst_difference(&offset, &plain));
    small_end(&offset);
    small_end(&plain);
}
END_TEST

static void unit_norms(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    if (strstr(t->name, "norm_in") != NULL) small_set(t, ends_in(t->name, ".weight"));
}

START_TEST(test_two_equal_norms_of_a_parallel_block_are_one)
{
    static const char *const two[] = {"parallel_two_norms", "peri_ln"}, *const one[] = {"parallel",
                                                                                        "peri_ln"};
    small_run a, b;
    small_net s = {.name = two[_i],
                   .change = unit_norms,
                   .model = ",\"parallel\":true",
                   .strategy = ",\"parallel_norms\":2"};
    small_start(&a, s);
    s.name = one[_i];
    s.strategy = NULL;
    small_start(&b, s);
    double off = fabs(small_loss(&a) - small_loss(&b));
    small_holds(two[_i], "loss of equal norms", off);
    small_end(&a);
    small_end(&b);
    s = (small_net){
        .name = two[_i], .model = ",\"parallel\":true", .strategy = ",\"parallel_norms\":2"};
    small_start(&a, s);
    s.name = one[_i];
    s.strategy = NULL;
    small_start(&b, s);
    small_must_fail(two[_i], "loss of other norms", fabs(small_loss(&a) - small_loss(&b)));
    small_end(&a);
    small_end(&b);
}
END_TEST

/* --- traps --- */

static bool has_parameter(const small_run *run, const char *name)
{
    return record_find(&run->r, TENSOR_FINAL, -1, name) != NULL;
}

/* T2: these end in a norm of their own. A final norm as in Llama-style code changes nothing but the
 * number of parameters. */
START_TEST(test_t2_post_norms_have_no_final_norm_and_another_would_do_nothing)
{
    static const char *const rows[] = {"post_ln", "deepnorm", "admin", "keel", "b2t"};
    small_run plain, more;
    small_net s = {.name = rows[_i]};
    small_start(&plain, s);
    ck_assert(!has_parameter(&plain, "final_norm.weight"));
    small_end(&plain);
    s.strategy = ",\"affine\":false";
    small_start(&plain, s);
    s.strategy = ",\"affine\":false,\"final_norm\":true";
    small_start(&more, s);
    small_holds(s.name, "loss with a final norm", fabs(small_loss(&plain) - small_loss(&more)));
    small_end(&plain);
    small_end(&more);
    s = (small_net){.name = "pre_ln", .strategy = ",\"affine\":false,\"final_norm\":false"};
    small_start(&plain, s);
    s.strategy = ",\"affine\":false";
    small_start(&more, s);
    small_must_fail(s.name, "loss with a final norm", fabs(small_loss(&plain) - small_loss(&more)));
    small_end(&plain);
    small_end(&more);
}
END_TEST

static bool is_block_matrix(const char *name)
{
    return strncmp(name, "blocks.", 7) == 0 && strstr(name, "norm") == NULL &&
           ends_in(name, ".weight");
}

/* Matrices of the blocks with a gradient that is not 0 throughout. */
static int moving_matrices(const small_run *run, int step, int *all)
{
    int moving = 0;
    *all = 0;
    for (size_t i = 0; i < run->r.n_tensors; i++) {
        const record_tensor *p = &run->r.tensors[i];
        if (p->when != TENSOR_FINAL || !is_block_matrix(p->name)) continue;
        const record_tensor *g = small_gradient(run, step, p->name);
        moving += small_dot(g, g) != 0;
        ++*all;
    }
    return moving;
}

static bool stream_is_constant(const small_run *run)
{
    const record_tensor *x = small_value(run, 0, "embed");
    for (int l = 1; l <= SMALL_DEPTH; l++) {
        const record_tensor *y = small_value(run, l, "resid_out");
        if (memcmp(x->data, y->data, x->n * sizeof *x->data) != 0) return false;
    }
    return true;
}

/* T3: the identity at step 0, whose branches get no gradient at all; what a probe then sees is the
 * start, not the network. After some updates, or with the start moved, all get one. */
START_TEST(test_t3_strategies_that_start_as_the_identity_are_dead_at_step_0)
{
    static const struct {
        const char *name, *moved; /* the start elsewhere */
        const char *alive;        /* what has a gradient at step 0 all the same */
    } rows[] = {
        {"rezero", ",\"branch_gain_init\":0.5", "blocks.0.branch_gain"},
        {"skipinit", ",\"branch_gain_init\":0.5", "blocks.0.attn.branch_gain"},
        {"res_post_norm", ",\"out_gain_init\":0.5", "blocks.0.attn.norm_out.weight"},
        {"res_post_norm", ",\"out_gain_init\":0.5", "blocks.2.mlp.norm_out.bias"},
        {"fixup", ",\"init_factor\":false", "lm_head.weight"},
    };
    enum { UPDATES = 3 };
    small_run run;
    int all;
    small_net s = {.name = rows[_i].name, .own_weights = true, .steps = UPDATES};
    small_start(&run, s);
    ck_assert(stream_is_constant(&run));
    ck_assert_int_eq(moving_matrices(&run, 0, &all), 0);
    ck_assert_int_eq(all, 6 * SMALL_DEPTH);
    const record_tensor *g = small_gradient(&run, 0, rows[_i].alive);
    ck_assert(small_dot(g, g) > 0);
    ck_assert_int_eq(moving_matrices(&run, UPDATES, &all), all);
    small_end(&run);
    s.strategy = rows[_i].moved;
    small_start(&run, s);
    ck_assert(!stream_is_constant(&run));
    ck_assert_int_eq(moving_matrices(&run, 0, &all), all);
    small_end(&run);
    s = (small_net){.name = "pre_ln", .own_weights = true};
    small_start(&run, s);
    ck_assert(!stream_is_constant(&run));
    ck_assert_int_eq(moving_matrices(&run, 0, &all), all);
    small_end(&run);
}
END_TEST

/* With a tied head, which cannot be 0, Fixup's last matrices move, and they alone. */
START_TEST(test_t3_fixup_with_a_tied_head)
{
    small_run run;
    small_start(&run, (small_net){.name = "fixup", .own_weights = true, .tied = true});
    ck_assert(stream_is_constant(&run));
    for (int i = 0; i < SMALL_DEPTH; i++) {
        static const char *const roles[] = {"attn.q", "attn.k", "attn.v",
                                            "mlp.up", "attn.o", "mlp.down"};
        for (int k = 0; k < 6; k++) {
            char name[64];
            snprintf(name, sizeof name, "blocks.%d.%s.weight", i, roles[k]);
            const record_tensor *g = small_gradient(&run, 0, name);
            ck_assert_int_eq(small_dot(g, g) > 0, k >= 4);
        }
    }
    small_end(&run);
}
END_TEST

/* T6, T7: peri_ln has a norm before and after each branch and none on the stream; keel is what it
 * is mistaken for; OLMo-2 has only the norms after the branches. */
START_TEST(test_t6_t7_where_peri_ln_keel_and_olmo2_have_their_norms)
{
    static const char *const rows[] = {"peri_ln", "keel", "olmo2_reordered"};
    static const char *const slots[] = {"norm_in", "norm_out", "norm_post"};
    static const bool has[3][3] = {{true, true, false}, {true, false, true}, {false, true, false}};
    small_run runs[3];
    for (int i = 0; i < 3; i++) {
        small_net s = {.name = rows[i], .norm = "rmsnorm"};
        if (i == 1) s.strategy = ",\"alpha\":1,\"final_norm\":true";
        small_start(&runs[i], s);
        for (int k = 0; k < 3; k++) {
            char name[64];
            snprintf(name, sizeof name, "blocks.1.attn.%s.weight", slots[k]);
            ck_assert_int_eq(has_parameter(&runs[i], name), has[i][k]);
            snprintf(name, sizeof name, "blocks.1.mlp.%s.weight", slots[k]);
            ck_assert_int_eq(has_parameter(&runs[i], name), has[i][k]);
        }
    }
    small_must_fail("peri_ln", "is keel with alpha 1",
                    fabs(small_loss(&runs[0]) - small_loss(&runs[1])));
    small_must_fail("peri_ln", "is OLMo-2", fabs(small_loss(&runs[0]) - small_loss(&runs[2])));
    for (int i = 0; i < 3; i++) small_end(&runs[i]);
}
END_TEST

/* What multiplies the norms of block l in a pre_ln network that is to be layernorm_scaling. */
typedef enum scaling { BY_BLOCK, BY_SUBLAYER, FINAL_TOO } scaling;

static void scale_norms(scaling how, const tensor_view *t)
{
    int block = 0, n = 0;
    if (how == FINAL_TOO && strncmp(t->name, "final_norm.", 11) == 0)
        small_scale(t, 1 / sqrt((double)SMALL_DEPTH));
    if (sscanf(t->name, "blocks.%d.%n", &block, &n) != 1 || strstr(t->name, "norm_in") == NULL)
        return;
    double l = block + 1;
    if (how == BY_SUBLAYER) l = 2 * l - (strncmp(t->name + n, "attn", 4) == 0);
    small_scale(t, 1 / sqrt(l));
}

static void by_block(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    scale_norms(BY_BLOCK, t);
}

static void by_sublayer(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    scale_norms(BY_SUBLAYER, t);
}

static void final_too(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    scale_norms(FINAL_TOO, t);
}

/* T8: c = 1/sqrt(l) with the number of the block, in both branches, and not on the final norm. */
START_TEST(test_t8_layernorm_scaling_counts_blocks_and_leaves_the_final_norm)
{
    static const char *const norms[] = {"layernorm", "rmsnorm"};
    small_run scaled, plain;
    small_net s = {.name = "layernorm_scaling", .norm = norms[_i], .bias = true};
    small_start(&scaled, s);
    s.name = "pre_ln";
    s.change = by_block;
    small_start(&plain, s);
    double off = fabs(small_loss(&scaled) - small_loss(&plain));
    for (int l = 1; l <= SMALL_DEPTH; l++) {
        const record_tensor *x = small_value(&scaled, l, "resid_out"),
                            *y = small_value(&plain, l, "resid_out");
        for (size_t i = 0; i < x->n; i++) off = fmax(off, fabs(x->data[i] - y->data[i]));
    }
    small_holds("layernorm_scaling", "is pre_ln with smaller norms", off);
    small_end(&plain);
    s.change = by_sublayer;
    small_start(&plain, s);
    small_must_fail(s.name, "by sublayer", fabs(small_loss(&scaled) - small_loss(&plain)));
    small_end(&plain);
    s.change = final_too;
    small_start(&plain, s);
    small_must_fail(s.name, "final norm too", fabs(small_loss(&scaled) - small_loss(&plain)));
    small_end(&plain);
    small_end(&scaled);
}
END_TEST

/* T9: without the MLP a block of hybridnorm gives N(x + A(x)): the norm is on the stream. */
START_TEST(test_t9_the_norm_of_hybridnorm_is_on_the_stream)
{
    small_run run;
    small_net s = {
        .name = "hybridnorm", .strategy = ",\"affine\":false", .scaled = "mlp.down", .scale = 0};
    small_start(&run, s);
    small_holds(s.name, "mean square without the MLP", small_mean_square_error(&run, 1));
    small_end(&run);
    s.name = "pre_ln_qk";
    s.model = ",\"v_norm\":true";
    small_start(&run, s);
    small_must_fail(s.name, "mean square without the MLP", small_mean_square_error(&run, 1));
    small_end(&run);
    s.name = "hybridnorm_star"; /* whose first block is one of pre_ln */
    s.model = NULL;
    small_start(&run, s);
    small_must_fail(s.name, "mean square without the MLP", small_mean_square_error(&run, 1));
    const record_tensor *x = small_value(&run, 2, "resid_out");
    small_holds(s.name, "mean square in block 2", fabs(small_dot(x, x) / (double)x->n - 1));
    small_end(&run);
}
END_TEST

/* T11: per head, all heads at once, LayerNorm per head. */
START_TEST(test_t11_three_widths_of_qk_norm)
{
    static const struct {
        const char *name, *model;
        size_t gains;
        bool bias;
    } rows[] = {
        {"gemma3", NULL, SMALL_WIDTH / SMALL_HEADS, false},
        {"olmo2_reordered", NULL, SMALL_WIDTH, false},
        {"pre_ln_qk", ",\"qk_norm_type\":\"layernorm\"", SMALL_WIDTH / SMALL_HEADS, true},
    };
    small_run run;
    small_start(&run, (small_net){.name = rows[_i].name, .model = rows[_i].model});
    ck_assert_uint_eq(small_weight(&run, "blocks.0.attn.q_norm.weight")->n, rows[_i].gains);
    ck_assert_uint_eq(small_weight(&run, "blocks.0.attn.k_norm.weight")->n, rows[_i].gains);
    ck_assert_int_eq(has_parameter(&run, "blocks.0.attn.q_norm.bias"), rows[_i].bias);
    small_end(&run);
}
END_TEST

/* Head scales of the pattern in W_O itself: on its input columns, or on its output rows. */
static void into_output(const tensor_view *t, bool columns)
{
    char name[64];
    int block;
    if (ends_in(t->name, "attn.head_scale")) small_set(t, 1);
    if (!ends_in(t->name, "attn.o.weight")) return;
    ck_assert_int_eq(sscanf(t->name, "blocks.%d.", &block), 1);
    snprintf(name, sizeof name, "blocks.%d.attn.head_scale", block);
    const size_t heads[] = {SMALL_HEADS}, width = SMALL_WIDTH / SMALL_HEADS;
    for (size_t i = 0; i < pattern_count(t); i++) {
        size_t at = columns ? i % t->dims[1] : i / t->dims[1];
        pattern_store(t, i, pattern_load(t, i) * pattern_parameter(name, at / width, 1, heads));
    }
}

static void into_columns(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    into_output(t, true);
}

static void into_rows(const run_spec *spec, const tensor_view *t)
{
    (void)spec;
    into_output(t, false);
}

/* T13: NormFormer's head scales stand before W_O, not behind it as in fairseq. */
START_TEST(test_t13_head_scales_stand_before_the_output_map)
{
    small_run scales, folded;
    small_net s = {.name = "normformer"};
    small_start(&scales, s);
    s.change = into_columns;
    small_start(&folded, s);
    small_holds(s.name, "head scales in the columns of W_O",
                fabs(small_loss(&scales) - small_loss(&folded)));
    small_end(&folded);
    s.change = into_rows;
    small_start(&folded, s);
    small_must_fail(s.name, "head scales in the rows of W_O",
                    fabs(small_loss(&scales) - small_loss(&folded)));
    small_end(&folded);
    small_end(&scales);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *s = suite_create("reduction");
    TCase *tc = tcase_create("neutral");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_a_strategy_whose_parts_are_neutral_is_another, 0, REDUCTIONS);
    tcase_add_test(tc, test_unit_offset_is_another_way_to_store_a_gain);
    tcase_add_loop_test(tc, test_two_equal_norms_of_a_parallel_block_are_one, 0, 2);
    suite_add_tcase(s, tc);
    tc = tcase_create("traps");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_t2_post_norms_have_no_final_norm_and_another_would_do_nothing, 0,
                        5);
    tcase_add_loop_test(tc, test_t3_strategies_that_start_as_the_identity_are_dead_at_step_0, 0, 5);
    tcase_add_test(tc, test_t3_fixup_with_a_tied_head);
    tcase_add_test(tc, test_t6_t7_where_peri_ln_keel_and_olmo2_have_their_norms);
    tcase_add_loop_test(tc, test_t8_layernorm_scaling_counts_blocks_and_leaves_the_final_norm, 0,
                        2);
    tcase_add_test(tc, test_t9_the_norm_of_hybridnorm_is_on_the_stream);
    tcase_add_loop_test(tc, test_t11_three_widths_of_qk_norm, 0, 3);
    tcase_add_test(tc, test_t13_head_scales_stand_before_the_output_map);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
