/* The maximal update parametrization by its table: what starts smaller, what learns slower. What it
 * does to whole updates is in the goldens mup-*.json, what it is for in test_coordinates. */
#include "core/model/weights.h"
#include "core/network/parametrization.h"
#include "core/optimizer/optimizer.h"
#include "tests/spec_defaults.h"
#include "tests/suite.h"
#include "tests/tolerance.h"

#include <math.h>

enum { WIDE = 256, BASE = 64 };

static int row(const registry *r, const char *name)
{
    int i = registry_find(r, name);
    ck_assert_msg(i >= 0, "no %s", name);
    return i;
}

static run_spec spec_of(const char *scheme, const char *rule, int d_model, int parametrization)
{
    run_spec s = {.depth = 6};
    s.model.d_model = d_model, s.model.n_heads = s.model.n_kv_heads = 4, s.model.d_ff = 4 * d_model;
    s.model.vocab = 101;
    s.data.seq_len = 32;
    s.train.optimizer = row(&optimizer_registry, rule);
    spec_defaults(&s, 0);
    s.init.scheme = row(&init_registry, scheme);
    s.init.depth_scale = true;
    s.train.parametrization = parametrization;
    s.train.base_width = BASE;
    s.train.base_head_dim = BASE / 4;
    s.init.std = init_default_std(&s);
    return s;
}

static param inner(const run_spec *s)
{
    size_t d = (size_t)s->model.d_model;
    return (param){.matrix = MATRIX_up,
                   .kind = PARAM_INNER,
                   .layer = 2,
                   .rank = 2,
                   .dims = {4 * d, d},
                   .count = 4 * d * d};
}

static param of_kind(const run_spec *s, param_kind kind)
{
    param p = inner(s);
    size_t d = (size_t)s->model.d_model;
    p.kind = kind;
    if (kind == PARAM_OUTER) p.matrix = MATRIX_attn_out, p.dims[0] = d;
    if (kind == PARAM_EMBED) p.matrix = MATRIX_NONE, p.dims[0] = 101;
    if (kind == PARAM_HEAD) p.matrix = MATRIX_NONE, p.dims[0] = 101;
    if (kind == PARAM_POSITION) p.matrix = MATRIX_NONE, p.dims[0] = 32;
    return p;
}

START_TEST(test_init_is_the_base_networks_and_blocks_shrink_with_the_root)
{
    const char *scheme = init_registry.rows[_i]->name;
    static const param_kind kinds[] = {PARAM_INNER, PARAM_OUTER, PARAM_EMBED, PARAM_HEAD,
                                       PARAM_POSITION};
    run_spec wide = spec_of(scheme, "adamw", WIDE, PARAMETRIZATION_MUP),
             base = spec_of(scheme, "adamw", BASE, PARAMETRIZATION_STANDARD);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        param p = of_kind(&wide, kinds[k]), q = of_kind(&base, kinds[k]);
        init_rule of_wide = init_rule_of(&wide, &p), of_base = init_rule_of(&base, &q);
        bool shrinks = init_is_block_matrix(&p) && of_base.law != INIT_ORTHOGONAL;
        ck_assert_int_eq(of_wide.law, of_base.law);
        ck_assert_double_eq_tol(of_wide.scale, of_base.scale / (shrinks ? 2 : 1),
                                1e-12 * of_base.scale);
    }
}
END_TEST

START_TEST(test_at_the_base_width_nothing_changes)
{
    run_spec s = spec_of("gpt2", "adamw", BASE, PARAMETRIZATION_MUP);
    s.model.head_dim = s.train.base_head_dim;
    param p = inner(&s);
    ck_assert_double_eq(parametrization_rate(&s, &p), 1);
    ck_assert_double_eq(parametrization_decay(&s, &p), 1);
    ck_assert_double_eq(parametrization_readout(&s), 1);
    ck_assert_double_eq(parametrization_logits(&s), 1);
}
END_TEST

START_TEST(test_rates_are_those_of_the_table)
{
    run_spec adam = spec_of("gpt2", "adamw", WIDE, PARAMETRIZATION_MUP),
             sgd = spec_of("gpt2", "sgd", WIDE, PARAMETRIZATION_MUP);
    static const struct {
        param_kind kind;
        double adam, sgd;
    } table[] = {{PARAM_INNER, 0.25, 1}, {PARAM_OUTER, 0.25, 1}, {PARAM_EMBED, 1, 4},
                 {PARAM_HEAD, 1, 4},     {PARAM_GAIN, 1, 4},     {PARAM_BIAS, 1, 4}};
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        param p = of_kind(&adam, table[k].kind);
        ck_assert_double_eq(parametrization_rate(&adam, &p), table[k].adam);
        ck_assert_double_eq(parametrization_rate(&sgd, &p), table[k].sgd);
        /* rate x decay is that of the base network */
        ck_assert_double_eq(parametrization_decay(&adam, &p) * table[k].adam, 1);
        ck_assert_double_eq(parametrization_decay(&sgd, &p) * table[k].sgd, 1);
    }
    ck_assert_double_eq(parametrization_readout(&adam), 0.25);
    adam.model.head_dim = 4 * adam.train.base_head_dim;
    ck_assert_double_eq(parametrization_logits(&adam), 0.5);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("parametrization");
    TCase *t = tcase_create("mup");
    tcase_add_loop_test(t, test_init_is_the_base_networks_and_blocks_shrink_with_the_root, 0,
                        init_registry.n);
    tcase_add_test(t, test_at_the_base_width_nothing_changes);
    tcase_add_test(t, test_rates_are_those_of_the_table);
    suite_add_tcase(s, t);
    return suite_run(s);
}
