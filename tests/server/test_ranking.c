/* Rankings of tables whose order is known. */
#include "server/ranking.h"
#include "tests/suite.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ARMS = 3 };
static const char *const arms[ARMS] = {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"};

static ranking *start(const char *weights)
{
    ranking *r;
    error err = {0};
    ck_assert_msg(ranking_new(&r, weights, &err) == ERR_OK, "%s", err.message);
    return r;
}

static void run(ranking *r, const char *arm)
{
    error err;
    ck_assert_int_eq(ranking_run(r, arm, &err), ERR_OK);
}

static void whole(ranking *r, metric m, double value)
{
    ranking_measure(r, 0, -1, SITE_run, m, value, !isnan(value));
}

/* The members as an object. */
static cJSON *end(ranking *r)
{
    error err;
    json_out o = {0};
    ck_assert_int_eq(ranking_end(r, &err), ERR_OK);
    json_begin_object(&o);
    ranking_json(r, &o);
    json_end(&o);
    cJSON *tree = cJSON_Parse(o.text);
    ck_assert_ptr_nonnull(tree);
    json_deinit(&o);
    ranking_free(r);
    return tree;
}

static const cJSON *arm_of(const cJSON *tree, int place)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "arms"), place);
}

static double number(const cJSON *object, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(object, key));
}

static void expect_arm(const cJSON *tree, int place, int a, double rank, double score)
{
    const cJSON *arm = arm_of(tree, place);
    ck_assert_double_eq(number(cJSON_GetObjectItem(arm, "arm"), "a"), a);
    ck_assert_double_eq(number(arm, "rank"), rank);
    ck_assert_double_eq_tol(number(arm, "score"), score, 1e-12);
}

/* Ranks by covariance 1 2 3, confidence 2 1 3, synflow 1 2.5 2.5 (equal), token_corr 1 2 3 (less is
 * better), parameters 3 2 1 (less is better). */
START_TEST(test_borda_of_a_known_table)
{
    const double table[ARMS][5] = {
        {-1, 0.5, 9, 0.1, 300}, {-2, 0.6, 8, 0.2, 200}, {-3, 0.4, 8, 0.3, 100}};
    const metric metrics[] = {METRIC_hidden_cov_per_row, METRIC_softmax_confidence_per_tensor,
                              METRIC_synflow_log10, METRIC_token_corr, METRIC_param_count};
    ranking *r = start(NULL);
    for (int seed = 0; seed < 3; seed++)
        for (int a = ARMS - 1; a >= 0; a--) {
            run(r, arms[a]);
            for (int m = 0; m < 5; m++) {
                double jitter = m == 0 ? 0.01 * (seed - 1) : 0;
                if (metrics[m] != METRIC_token_corr)
                    whole(r, metrics[m], table[a][m] + jitter);
                else /* the mean over blocks; other sites and steps do not count */
                    for (int l = 0; l <= 4; l++) {
                        ranking_measure(r, 0, l, SITE_resid_out, METRIC_token_corr,
                                        l == 0 ? 77 : table[a][m] + 0.01 * (l - 2.5), true);
                        ranking_measure(r, 0, l, SITE_q, METRIC_token_corr, 99, true);
                        ranking_measure(r, 5, l, SITE_resid_out, METRIC_token_corr, 99, true);
                    }
            }
        }
    cJSON *tree = end(r);
    ck_assert_str_eq(cJSON_GetObjectItem(tree, "method")->valuestring, "borda");
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(tree, "few_seeds")));
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(tree, "note")));
    expect_arm(tree, 0, 1, 1, (1 + 2 + 1 + 1 + 3) / 5.0);
    expect_arm(tree, 1, 2, 2, (2 + 1 + 2.5 + 2 + 2) / 5.0);
    expect_arm(tree, 2, 3, 3, (3 + 3 + 2.5 + 3 + 1) / 5.0);
    const cJSON *values = cJSON_GetObjectItem(arm_of(tree, 0), "values"),
                *first = cJSON_GetArrayItem(values, 0), *corr = cJSON_GetArrayItem(values, 3);
    ck_assert_double_eq_tol(number(first, "mean"), -1, 1e-12);
    ck_assert_double_eq_tol(number(first, "std"), 0.01, 1e-12); /* of the sample */
    ck_assert_double_eq(number(first, "seeds"), 3);
    ck_assert_double_eq_tol(number(corr, "mean"), 0.1, 1e-12);
    cJSON_Delete(tree);
}
END_TEST

/* snip scaled 0, 1/2, 1; zen undefined in the first, then 0 and 1; fisher equal: nothing. */
START_TEST(test_robot_of_a_known_table)
{
    ranking *r = start("snip:1,zen:-0.25,fisher:1");
    const double snip[] = {2, 4, 6}, zen[] = {NAN, 10, 20};
    for (int a = 0; a < ARMS; a++) {
        run(r, arms[a]);
        whole(r, METRIC_snip, snip[a]);
        whole(r, METRIC_zen, zen[a]);
        whole(r, METRIC_fisher, 5);
        ranking_loss(r, 3 - a); /* more snip, less loss */
    }
    cJSON *tree = end(r);
    ck_assert_str_eq(cJSON_GetObjectItem(tree, "method")->valuestring, "robot");
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(tree, "few_seeds")));
    ck_assert_ptr_nonnull(strstr(cJSON_GetObjectItem(tree, "note")->valuestring, "3 seeds"));
    expect_arm(tree, 0, 3, 1, 1 - 0.25);
    expect_arm(tree, 1, 2, 2, 0.5);
    expect_arm(tree, 2, 1, 3, 0);
    const cJSON *terms = cJSON_GetObjectItem(tree, "terms"), *t = cJSON_GetArrayItem(terms, 0);
    ck_assert_double_eq(number(t, "tau"), 1);
    /* standardised: -u, 0, u with u = sqrt(3/2) */
    double u = sqrt(1.5), one = pow(tanh(u / 4), 2), two = pow(tanh(2 * u / 4), 2);
    ck_assert_double_eq_tol(number(t, "soft_tau"), (2 * one + two) / 3, 1e-12);
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetArrayItem(terms, 2), "tau")));
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(
        cJSON_GetArrayItem(cJSON_GetObjectItem(arm_of(tree, 2), "values"), 1), "mean")));
    cJSON_Delete(tree);
}
END_TEST

/* What no run has does not count; what one arm lacks ranks it last. */
START_TEST(test_missing_values)
{
    ranking *r = start("");
    for (int a = 0; a < ARMS; a++) {
        run(r, arms[a]);
        whole(r, METRIC_hidden_cov_per_row, a == 0 ? NAN : -a);
    }
    cJSON *tree = end(r);
    expect_arm(tree, 0, 2, 1, 1);
    expect_arm(tree, 1, 3, 2, 2);
    expect_arm(tree, 2, 1, 3, 3);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(arm_of(tree, 0), "values")), 1);
    cJSON_Delete(tree);
    r = start(NULL);
    run(r, arms[0]);
    whole(r, METRIC_loss, 1);
    tree = end(r);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "arms")), 0);
    ck_assert_ptr_nonnull(strstr(cJSON_GetObjectItem(tree, "note")->valuestring, "group proxy"));
    cJSON_Delete(tree);
    tree = end(start(NULL)); /* no run at all */
    cJSON_Delete(tree);
}
END_TEST

static const struct {
    const char *weights;
    err_code code;
} refused[] = {
    {"snip", ERR_TYPE},      {":1", ERR_TYPE},
    {"snip:1,", ERR_TYPE},   {"nothing:1", ERR_UNKNOWN_NAME},
    {"snip:1.5", ERR_RANGE}, {"snip:-1.01", ERR_RANGE},
    {"snip:nan", ERR_RANGE}, {"snip:1x", ERR_RANGE},
    {"snip:", ERR_RANGE},    {"snip:1,zen:0,snip:1", ERR_DUPLICATE_FIELD},
};

START_TEST(test_bad_weights_are_refused)
{
    ranking *r;
    error err = {0};
    ck_assert_int_eq(ranking_new(&r, refused[_i].weights, &err), refused[_i].code);
    ck_assert_str_eq(err.pointer, "/weights");
    ck_assert_uint_gt(strlen(err.message), 10);
    ranking_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ranking");
    TCase *tc = tcase_create("ranking");
    tcase_add_test(tc, test_borda_of_a_known_table);
    tcase_add_test(tc, test_robot_of_a_known_table);
    tcase_add_test(tc, test_missing_values);
    tcase_add_loop_test(tc, test_bad_weights_are_refused, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
