/* The constants of placements against numbers worked out by hand from their sources, and room in
 * the graph for every placement with all that it can have.
 */
#include "core/engine.h"
#include "core/model/weights.h"
#include "core/op/op.h"
#include "core/placement/placement.h"
#include "core/run/session.h"
#include "tests/spec_defaults.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const engine engine_table;

static int row(const char *kind, const char *name)
{
    for (const registry *const *r = engine_table.registries; *r; r++)
        if (!strcmp((*r)->kind, kind)) {
            int i = registry_find(*r, name);
            ck_assert_msg(i >= 0, "no row %s in %s", name, kind);
            return i;
        }
    ck_abort_msg("no registry %s", kind);
}

static run_spec spec_of(const char *name, int depth)
{
    run_spec s = {.depth = depth};
    int at = row("placements", name);
    s.model = (spec_model){.d_model = 16,
                           .n_heads = 4,
                           .n_kv_heads = 4,
                           .d_ff = 24,
                           .vocab = 11,
                           .position = row("positions", "learned"),
                           .rope_base = 1e4,
                           .activation = row("activations", "relu"),
                           .embed_scale = 1};
    s.strategy = (spec_strategy){.placement = at,
                                 .norm = row("norms", "layernorm"),
                                 .eps = 1e-5,
                                 .affine = true,
                                 .final_norm = engine_table.placement_final_norm(at),
                                 .residual_scale = 1};
    spec_defaults(&s, row("norms", "layernorm"));
    s.init.scheme = row("inits", "fairseq");
    s.data = (spec_data){
        .source = row("data_sources", "random_tokens"), .batch = 2, .seq_len = 5, .batches = 1};
    s.train = (spec_train){.loss = row("losses", "cross_entropy"), .clip = (double)NAN};
    s.measure.n_steps = 1;
    return s;
}

typedef struct net {
    run_spec spec;
    session s;
    void *tables;
} net;

static void build(net *n, const run_spec *spec)
{
    size_t bytes = session_table_bytes(spec);
    *n = (net){.spec = *spec};
    n->tables = aligned_alloc(ARENA_ALIGN, (bytes / ARENA_ALIGN + 1) * ARENA_ALIGN);
    ck_assert_ptr_nonnull(n->tables);
    arena a;
    error err = {0};
    arena_init(&a, n->tables, bytes);
    ck_assert_msg(session_build(&n->s, &n->spec, false, &a, &err) == ERR_OK, "%s", err.message);
    arena_release(n->tables, bytes);
}

/* What the placement multiplies this parameter's initial weights by. */
static double factor(const net *n, const char *name)
{
    int i = graph_find_param(&n->s.g, name);
    ck_assert_msg(i >= 0, "no parameter %s", name);
    run_spec plain = n->spec;
    plain.strategy.init_factor = false;
    init_rule with = init_rule_of(&n->spec, &n->s.g.params[i]);
    init_rule without = init_rule_of(&plain, &n->s.g.params[i]);
    return with.law == INIT_ZERO ? 0 : with.scale / without.scale;
}

static void is_near(const char *what, double found, double expected)
{
    ck_assert_msg(fabs(found - expected) <= 5.1e-5 * fmax(1, expected), "%s: %.6g, expected %.6g",
                  what, found, expected);
}

/* --- constants -------------------------------------------------------------------------------- */

/* Factors of q and k, of v, o, the first and the last matrix of the MLP, of the embedding and the
 * head. */
typedef struct start_row {
    const char *placement;
    const char *activation; /* NULL: relu */
    bool encoder;
    int depth, partner;
    double qk, v, o, first, last, embed, head;
} start_row;

static const start_row starts[] = {
    {"deepnorm", NULL, false, 6, 0, 1, 0.3799, 0.3799, 0.3799, 0.3799, 1, 1},
    {"deepnorm", NULL, true, 12, 0, 1, 0.3195, 0.3195, 0.3195, 0.3195, 1, 1},
    {"deepnorm", NULL, false, 24, 0, 1, 0.2686, 0.2686, 0.2686, 0.2686, 1, 1},
    {"deepnorm", "swiglu", false, 32, 0, 1, 0.25, 0.25, 0.25, 0.25, 1, 1},
    {"deepnorm", NULL, false, 48, 0, 1, 0.2259, 0.2259, 0.2259, 0.2259, 1, 1},
    {"deepnorm", NULL, false, 100, 0, 1, 0.1880, 0.1880, 0.1880, 0.1880, 1, 1},
    {"deepnorm", NULL, true, 6, 6, 1, 0.49699, 0.49699, 0.49699, 0.49699, 1, 1},
    {"deepnorm", NULL, false, 6, 6, 1, 0.34330, 0.34330, 0.34330, 0.34330, 1, 1},
    {"subln", NULL, false, 12, 0, 1, 1.78272, 1.78272, 1.78272, 1.78272, 1, 1},
    {"subln", "swiglu", true, 12, 0, 1, 1.78272, 1.78272, 1.78272, 1.78272, 1, 1},
    {"subln", NULL, false, 6, 12, 1, 1.70011, 1.70011, 1.70011, 1.70011, 1, 1},
    {"subln", NULL, true, 6, 12, 1, 1.72286, 1.72286, 1.72286, 1.72286, 1, 1},
    {"b2t", NULL, false, 4, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1},
    {"fixup", NULL, false, 32, 0, 0.5, 0.5, 0, 0.125, 0, 1, 0},
    {"fixup", "swiglu", false, 32, 0, 0.5, 0.5, 0, 0.353553, 0, 1, 0},
    {"fixup", NULL, true, 8, 16, 0.5, 0.5, 0, 0.125, 0, 1, 0},
    {"fixup", NULL, false, 16, 8, 0.5, 0.5, 0, 0.125, 0, 1, 0},
    {"t_fixup", NULL, false, 16, 0, 1, 0.473762, 0.335, 0.335, 0.335, 0.288675, 1},
    {"t_fixup", NULL, true, 16, 3, 1, 0.473762, 0.335, 0.335, 0.335, 0.288675, 1},
    {"t_fixup", NULL, false, 9, 3, 1, 0.471405, 0.333333, 0.333333, 0.333333, 0.333333, 1},
    {"pre_ln", NULL, false, 6, 0, 1, 1, 1, 1, 1, 1, 1},
};
enum { STARTS = sizeof starts / sizeof *starts };

/* T1: deepnorm's beta is below 1; the baselines that start with its inverse are wrong. */
START_TEST(test_initial_weights_are_scaled_as_the_source_says)
{
    const start_row *s = &starts[_i];
    run_spec spec = spec_of(s->placement, s->depth);
    if (s->activation) spec.model.activation = row("activations", s->activation);
    spec.model.mask = s->encoder ? MASK_BIDIRECTIONAL : MASK_CAUSAL;
    spec.strategy.partner_depth = s->partner;
    net n;
    build(&n, &spec);
    for (int block = 0; block < 2; block++) {
        const struct {
            const char *role;
            double expected;
        } rows[] = {{"attn.q", s->qk},     {"attn.k", s->qk},    {"attn.v", s->v},
                    {"attn.o", s->o},      {"mlp.up", s->first}, {"mlp.down", s->last},
                    {"mlp.gate", s->first}};
        for (int i = 0; i < (s->activation ? 7 : 6); i++) {
            char name[64];
            snprintf(name, sizeof name, "blocks.%d.%s.weight", block, rows[i].role);
            is_near(name, factor(&n, name), rows[i].expected);
        }
    }
    is_near("embed", factor(&n, "embed.weight"), s->embed);
    is_near("pos", factor(&n, "pos.weight"), 1);
    is_near("head", factor(&n, "lm_head.weight"), s->head);
    free(n.tables);
}
END_TEST

START_TEST(test_deviations_that_a_job_gives_are_not_scaled)
{
    net n;
    run_spec spec = spec_of("fixup", 4);
    spec.init.head_std = 0.5;
    build(&n, &spec);
    is_near("head", factor(&n, "lm_head.weight"), 1);
    free(n.tables);
    spec = spec_of("t_fixup", 4);
    spec.init.embed_std = 0.5;
    build(&n, &spec);
    is_near("embed", factor(&n, "embed.weight"), 1);
    free(n.tables);
    spec = spec_of("deepnorm", 4);
    spec.strategy.beta = 2.37841; /* (8 L)^(1/4): the mistake, to be seen on purpose */
    build(&n, &spec);
    is_near("beta", factor(&n, "blocks.0.attn.v.weight"), 2.37841);
    is_near("beta", factor(&n, "blocks.0.attn.q.weight"), 1);
    free(n.tables);
}
END_TEST

/* The factor on the stream in every sum of the network; 1 where it is a plain sum. */
static double stream_factor(const graph *g, int *sums)
{
    double found = NAN;
    *sums = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        if (n->op != &op_mix && n->op != &op_add) continue;
        double factor = n->op == &op_mix ? op_mix_factor(n, 0) : 1;
        ck_assert(isnan(found) || found == factor);
        if (n->op == &op_mix) ck_assert(op_mix_factor(n, 1) == 1);
        found = factor;
        ++*sums;
    }
    return found;
}

START_TEST(test_the_stream_is_scaled_as_the_source_says)
{
    static const struct {
        const char *placement;
        bool encoder;
        int depth, partner;
        double alpha, expected;
    } rows[] = {{"deepnorm", false, 6, 0, NAN, 1.8612},
                {"deepnorm", true, 12, 0, NAN, 2.2134},
                {"deepnorm", false, 24, 0, NAN, 2.6321},
                {"deepnorm", false, 32, 0, NAN, 2.8284},
                {"deepnorm", false, 48, 0, NAN, 3.1302},
                {"deepnorm", false, 100, 0, NAN, 3.7606},
                {"deepnorm", true, 6, 6, NAN, 1.41795},
                {"deepnorm", false, 6, 6, NAN, 2.05977},
                {"deepnorm", false, 6, 6, 1.5, 1.5},
                {"deepnorm", false, 6, 0, 1, 1},
                {"keel", false, 6, 0, NAN, 12},
                {"keel", true, 48, 0, NAN, 96},
                {"keel", false, 6, 0, 0, 0},
                {"post_ln", false, 6, 0, NAN, 1},
                {"deepnorm", false, 1000, 0, NAN, 6.6874}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run_spec spec = spec_of(rows[i].placement, rows[i].depth);
        spec.model.mask = rows[i].encoder ? MASK_BIDIRECTIONAL : MASK_CAUSAL;
        spec.strategy.partner_depth = rows[i].partner;
        spec.strategy.alpha = rows[i].alpha;
        net n;
        int sums;
        build(&n, &spec);
        is_near(rows[i].placement, stream_factor(&n.s.g, &sums), rows[i].expected);
        ck_assert_int_eq(sums, 2 * rows[i].depth);
        free(n.tables);
    }
}
END_TEST

/* How many blocks have this parameter; only the first ones may. */
static int blocks_with(const net *n, const char *role)
{
    int blocks = 0;
    for (int l = 0; l < n->spec.depth; l++) {
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.%s", l, role);
        if (graph_find_param(&n->s.g, name) == NONE) continue;
        ck_assert_int_eq(blocks, l);
        blocks++;
    }
    return blocks;
}

START_TEST(test_mix_ln_has_so_many_post_blocks)
{
    static const struct {
        double fraction;
        int depth, posts;
    } rows[] = {{0.25, 12, 3}, {0.25, 24, 6}, {0.25, 3, 0},    {1.0 / 3, 3, 1}, {0, 5, 0},
                {1, 5, 5},     {0.3, 10, 3},  {0.29, 100, 29}, {0.999, 5, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run_spec spec = spec_of("mix_ln", rows[i].depth);
        spec.strategy.fraction = rows[i].fraction;
        net n;
        build(&n, &spec);
        ck_assert_int_eq(blocks_with(&n, "mlp.norm_post.weight"), rows[i].posts);
        ck_assert_int_ne(graph_find_param(&n.s.g, "final_norm.weight"), NONE);
        free(n.tables);
    }
}
END_TEST

/* T8 */
START_TEST(test_layernorm_scaling_is_in_the_first_product_of_each_branch)
{
    run_spec spec = spec_of("layernorm_scaling", 9);
    net n;
    int products[11] = {0};
    build(&n, &spec);
    for (int i = 0; i < n.s.g.n_nodes; i++) {
        const node *at = &n.s.g.nodes[i];
        ck_assert(at->op != &op_scale);
        if (at->op != &op_linear) continue;
        const param *p = &n.s.g.params[at->params[0]];
        bool first = p->kind == PARAM_INNER;
        description d = {0};
        op_linear.describe(&n.s.g, at, &d);
        ck_assert_double_eq(d.n_numbers ? d.numbers[0].value : 1, first ? 1 / sqrt(p->layer) : 1);
        products[p->layer] += first;
    }
    for (int l = 1; l <= 9; l++) ck_assert_int_eq(products[l], 2);
    free(n.tables);
}
END_TEST

/* --- room ------------------------------------------------------------------------------------- */

/* Change i of the spec; false: there are no more. */
static bool change(run_spec *s, int i)
{
    spec_model *m = &s->model;
    spec_strategy *t = &s->strategy;
    switch (i) {
    case 0:
        m->bias = m->qkv_bias = m->k_bias = m->attn_out_bias = m->mlp_bias = true;
        return true;
    case 1:
        return m->qk_norm = true;
    case 2:
        return m->v_norm = true;
    case 3:
        m->activation = row("activations", "swiglu");
        return true;
    case 4:
        m->position = row("positions", "rope");
        return true;
    case 5:
        m->logit_scale = LOGITS_COSINE;
        return true;
    case 6:
        m->logit_softcap = m->final_softcap = 2;
        return true;
    case 7:
        t->branch_gain = BRANCH_GAIN_CHANNEL;
        return true;
    case 8:
        t->residual_scale = 0.5;
        return true;
    case 9:
        return t->gpas = true;
    case 10:
        return t->resscale = true;
    case 11:
        return t->recentre = true;
    case 12:
        return t->embed_norm = true;
    case 13:
        return t->final_norm = true;
    case 14:
        return t->unit_offset = true;
    case 15:
        t->sigma = SIGMA_FROZEN;
        return true;
    case 16:
        t->group_scale = 4;
        return true;
    case 17:
        return m->embed_scale_learned = true;
    case 18:
        return t->fixnorm = true;
    default:
        return false;
    }
}

/* Every matrix of a block is one of core/graph/matrix.def, with its name and kind. */
static void matrices_are_known(const run_spec *spec)
{
    net n;
    build(&n, spec);
    for (int i = 0; i < n.s.g.n_params; i++) {
        const param *p = &n.s.g.params[i];
        bool in_block = p->layer >= 1 && p->layer <= spec->depth;
        ck_assert_msg((p->matrix != MATRIX_NONE) == (p->rank == 2 && in_block), "%s", p->name);
        if (p->matrix == MATRIX_NONE) continue;
        ck_assert_str_eq(p->role, block_matrix_name(p->matrix));
        ck_assert_int_eq(p->kind, block_matrix_kind(p->matrix));
    }
    free(n.tables);
}

/* With all changes that the engine accepts, one after another, all sites and metrics. */
static void try_all(const char *name, int norm_row, bool parallel)
{
    run_spec spec = spec_of(name, 3);
    spec.strategy.norm = norm_row;
    spec.model.qk_norm_type = engine_table.head_norm(norm_row);
    spec.model.parallel = parallel;
    spec.strategy.parallel_norms = 2;
    if (strncmp(name, "chain_", 6) == 0) spec.model.mixer = row("mixers", "none");
    for (int i = 0; i < SITE_COUNT; i++) spec.measure.sites[i] = true;
    for (int i = 0; i < METRIC_COUNT; i++) spec.measure.metrics[i] = true;
    for (int i = 0;; i++) {
        run_spec more = spec;
        error err = {0};
        if (!change(&more, i)) break;
        if (engine_table.check(&more, &err) == ERR_OK) spec = more;
    }
    error err = {0};
    estimate cost;
    if (engine_table.check(&spec, &err)) return; /* the norm or a parallel block is refused */
    ck_assert_msg(engine_table.estimate(&spec, 2, true, &cost, &err) == ERR_OK, "%s, %s: %s", name,
                  norm_registry.rows[norm_row]->name, err.message);
    matrices_are_known(&spec);
}

START_TEST(test_the_graph_has_room_for_all_that_a_placement_can_have)
{
    for (int norm_row = 0; norm_row < norm_registry.n; norm_row++)
        for (int parallel = 0; parallel < 2; parallel++)
            try_all(placement_registry.rows[_i]->name, norm_row, parallel);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("placement");
    TCase *t = tcase_create("constants");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_initial_weights_are_scaled_as_the_source_says, 0, STARTS);
    tcase_add_test(t, test_deviations_that_a_job_gives_are_not_scaled);
    tcase_add_test(t, test_the_stream_is_scaled_as_the_source_says);
    tcase_add_test(t, test_mix_ln_has_so_many_post_blocks);
    tcase_add_test(t, test_layernorm_scaling_is_in_the_first_product_of_each_branch);
    suite_add_tcase(s, t);
    t = tcase_create("room");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_the_graph_has_room_for_all_that_a_placement_can_have, 0,
                        placement_registry.n);
    suite_add_tcase(s, t);
    return suite_run(s);
}
