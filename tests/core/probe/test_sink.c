/* The gauge of attention sinks against closed forms and the plain definition. */
#include "core/op/op.h"
#include "core/probe/gauge.h"
#include "tests/suite.h"

#include <math.h>
#include <string.h>

enum { HEADS = 3, BATCH = 2, MOST = 9 };

/* One attention matrix per head and sequence, without the network around it. */
typedef struct one_tap {
    graph g;
    value v;
    tap t;
    node n;
    attention_args how;
    real data[BATCH][HEADS * MOST * MOST];
    metric_value out[METRIC_COUNT];
} one_tap;

static void set_up(one_tap *k, int length, bool causal, int window)
{
    memset(k, 0, sizeof *k);
    k->how = (attention_args){.heads = HEADS, .causal = causal, .window = window};
    k->n.own = &k->how;
    k->v = (value){.rows = HEADS * length, .cols = length, .ld = length};
    k->t = (tap){.site = SITE_attn_prob, .is_matrix = true};
    k->g = (graph){.batch = BATCH,
                   .seq_len = length,
                   .values = &k->v,
                   .taps = &k->t,
                   .nodes = &k->n,
                   .n_taps = 1};
}

static real *cell(one_tap *k, int b, int h, int i, int j)
{
    const int length = k->v.cols;
    return &k->data[b][(h * length + i) * length + j];
}

static void measure(one_tap *k)
{
    const gauge *sink = gauge_table[GROUP_sink];
    _Alignas(ARENA_ALIGN) static char memory[1 << 12];
    arena counting, a;
    arena_init(&counting, NULL, 0);
    ck_assert_ptr_null(sink->layout(&k->g, 1, &counting));
    arena_init(&a, memory, sizeof memory);
    void *state = sink->layout(&k->g, 1, &a);
    ck_assert_ptr_nonnull(state);
    ck_assert_uint_eq(counting.used, a.used);
    for (int b = BATCH - 1; b >= 0; b--) {
        const look l = {.g = &k->g, .n = &k->n, .t = &k->t, .v = &k->v, .b = b, .data = k->data[b]};
        sink->value(state, &l);
    }
    sink->finish(state, &k->g, 0, false, k->out);
    arena_release(memory, sizeof memory);
}

static void ck_shares(const one_tap *k, double mean, double most)
{
    const metric_value *v = k->out;
    ck_assert_int_eq(v[METRIC_attn_sink_mean].reason, REASON_NONE);
    ck_assert_int_eq(v[METRIC_attn_sink_max].reason, REASON_NONE);
    ck_assert_double_eq_tol(v[METRIC_attn_sink_mean].value, mean, 4 * REAL_EPSILON);
    ck_assert_double_eq_tol(v[METRIC_attn_sink_max].value, most, 4 * REAL_EPSILON);
}

START_TEST(test_uniform_causal_attention_has_the_mean_of_the_reciprocals)
{
    static one_tap k;
    const int length = _i + 2;
    double want = 0;
    set_up(&k, length, true, 0);
    for (int b = 0; b < BATCH; b++)
        for (int h = 0; h < HEADS; h++)
            for (int i = 0; i < length; i++)
                for (int j = 0; j <= i; j++) *cell(&k, b, h, i, j) = 1 / (real)(i + 1);
    for (int i = 1; i < length; i++) want += 1.0 / (i + 1) / (length - 1);
    measure(&k);
    ck_shares(&k, want, want);
}
END_TEST

START_TEST(test_all_mass_on_the_first_token_is_1_in_its_head)
{
    static one_tap k;
    set_up(&k, MOST, true, 0);
    for (int b = 0; b < BATCH; b++)
        for (int i = 0; i < MOST; i++)
            for (int h = 0; h < HEADS; h++) *cell(&k, b, h, i, h == 1 ? 0 : i) = 1;
    measure(&k);
    ck_shares(&k, 1.0 / HEADS, 1);
}
END_TEST

/* Masked entries hold what must not be read. */
START_TEST(test_it_is_the_plain_definition)
{
    static one_tap k;
    const bool causal = _i % 2;
    const int window = _i / 2 * 3, length = MOST;
    double mean = 0, most = 0;
    set_up(&k, length, causal, window);
    for (int h = 0; h < HEADS; h++) {
        double sum = 0;
        int n = 0;
        for (int b = 0; b < BATCH; b++)
            for (int i = 0; i < length; i++) {
                const bool sees = !window || i < window, alone = causal && i == 0;
                for (int j = 0; j < length; j++)
                    *cell(&k, b, h, i, j) = (real)(((b * 7 + h) * 5 + i * 3 + j) % 11) / 11;
                if (!sees) *cell(&k, b, h, i, 0) = (real)NAN;
                if (!sees || alone) continue;
                sum += (double)*cell(&k, b, h, i, 0);
                n++;
            }
        mean += sum / n / HEADS;
        most = sum / n > most ? sum / n : most;
    }
    measure(&k);
    ck_shares(&k, mean, most);
}
END_TEST

START_TEST(test_without_a_query_that_could_look_elsewhere_there_is_a_reason)
{
    static one_tap k;
    set_up(&k, _i ? MOST : 1, true, _i);
    for (int b = 0; b < BATCH; b++)
        for (int h = 0; h < HEADS; h++) *cell(&k, b, h, 0, 0) = 1;
    measure(&k);
    ck_assert_int_eq(k.out[METRIC_attn_sink_mean].reason, REASON_NO_ENTRIES);
    ck_assert_int_eq(k.out[METRIC_attn_sink_max].reason, REASON_NO_ENTRIES);
}
END_TEST

START_TEST(test_a_nan_does_not_look_like_a_number)
{
    static one_tap k;
    set_up(&k, MOST, true, 0);
    *cell(&k, 0, _i, 3, 0) = (real)NAN;
    *cell(&k, 1, HEADS - 1, 4, 0) = 1;
    measure(&k);
    ck_assert_int_eq(k.out[METRIC_attn_sink_mean].reason, REASON_NAN);
    ck_assert_int_eq(k.out[METRIC_attn_sink_max].reason, REASON_NAN);
}
END_TEST

START_TEST(test_it_looks_at_probabilities_alone)
{
    static one_tap k;
    set_up(&k, MOST, true, 0);
    k.t.site = (site)_i;
    const bool pairs = site_role_of((site)_i) == ROLE_pairs;
    const gauge *sink = gauge_table[GROUP_sink];
    ck_assert(gauge_applies(&k.g, &k.t, METRIC_attn_sink_mean, false) == pairs);
    ck_assert((sink->reads(&k.g, &k.t) == GAUGE_VALUE) == pairs);
    ck_assert_double_eq(sink->flops(&k.g, &k.t), pairs ? 4.0 * HEADS * MOST : 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sink");
    TCase *t = tcase_create("sink");
    tcase_add_loop_test(t, test_uniform_causal_attention_has_the_mean_of_the_reciprocals, 0,
                        MOST - 1);
    tcase_add_test(t, test_all_mass_on_the_first_token_is_1_in_its_head);
    tcase_add_loop_test(t, test_it_is_the_plain_definition, 0, 4);
    tcase_add_loop_test(t, test_without_a_query_that_could_look_elsewhere_there_is_a_reason, 0, 2);
    tcase_add_loop_test(t, test_a_nan_does_not_look_like_a_number, 0, HEADS);
    tcase_add_loop_test(t, test_it_looks_at_probabilities_alone, 0, SITE_COUNT);
    suite_add_tcase(s, t);
    return suite_run(s);
}
