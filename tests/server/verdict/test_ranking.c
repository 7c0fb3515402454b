/* Rankings of tables whose order is known. */
#include "server/verdict/ranking.h"
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
    ck_assert_int_eq(ranking_run(r, arm, 1000, 2000, &err), ERR_OK);
}

static void whole(ranking *r, metric m, double value)
{
    ranking_measure(r, 0, -1, SITE_run, m, value, reason_of(value));
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
                                        l == 0 ? 77 : table[a][m] + 0.01 * (l - 2.5), REASON_NONE);
                        ranking_measure(r, 0, l, SITE_q, METRIC_token_corr, 99, REASON_NONE);
                        ranking_measure(r, 5, l, SITE_resid_out, METRIC_token_corr, 99,
                                        REASON_NONE);
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

/* The element of a list that is about a metric; NULL: none. */
static const cJSON *about(const cJSON *list, const char *name)
{
    const cJSON *v;
    cJSON_ArrayForEach(v, list)
    {
        if (strcmp(cJSON_GetObjectItem(v, "metric")->valuestring, name) == 0) return v;
    }
    return NULL;
}

static const cJSON *value_of(const cJSON *tree, int place, const char *name)
{
    return about(cJSON_GetObjectItem(arm_of(tree, place), "values"), name);
}

/* naswot (more is better) is equal in two arms and undefined in one, zen_std (less is better) 3 2
 * 1, pass_flops has no direction. None of them counts in the score. */
static ranking *beside(const char *weights, bool with_terms)
{
    ranking *r = start(weights);
    for (int a = 0; a < ARMS; a++) {
        run(r, arms[a]);
        whole(r, METRIC_naswot, 7);
        if (a == 1) ranking_measure(r, 0, -1, SITE_run, METRIC_naswot, 0, REASON_SINGULAR);
        whole(r, METRIC_zen_std, ARMS - a);
        whole(r, METRIC_pass_flops, 5);
        if (with_terms) whole(r, METRIC_synflow_log10, ARMS - a);
        ranking_loss(r, 3 - a);
    }
    return r;
}

static void check_others(const cJSON *tree, const int place[ARMS])
{
    static const double zen[ARMS] = {3, 2, 1}, naswot[ARMS] = {1.5, 3, 1.5};
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "others")), 3);
    for (int a = 0; a < ARMS; a++) {
        const cJSON *n = value_of(tree, place[a], "naswot");
        ck_assert_double_eq(number(value_of(tree, place[a], "zen_std"), "rank"), zen[a]);
        ck_assert_double_eq(number(n, "rank"), naswot[a]);
        ck_assert(
            cJSON_IsNull(cJSON_GetObjectItem(value_of(tree, place[a], "pass_flops"), "rank")));
        if (a != 1) continue;
        ck_assert(cJSON_IsNull(cJSON_GetObjectItem(n, "mean")));
        ck_assert_str_eq(cJSON_GetObjectItem(n, "reason")->valuestring, "SINGULAR");
    }
    const cJSON *other = about(cJSON_GetObjectItem(tree, "others"), "zen_std");
    /* Less of it, less loss: it ranks as training does. */
    ck_assert_double_eq(number(other, "tau"), 1);
    ck_assert_str_eq(cJSON_GetObjectItem(other, "direction")->valuestring, "lower");
    ck_assert_double_eq(number(arm_of(tree, 0), "parameters"), 1000);
    ck_assert_double_eq(number(arm_of(tree, 0), "flops"), 2000);
}

START_TEST(test_other_proxies_are_ranked_beside_the_terms_and_do_not_count)
{
    static const char *const weights[] = {NULL, "synflow_log10:-1"};
    for (int robot = 0; robot < 2; robot++) {
        cJSON *tree = end(beside(weights[robot], true));
        const cJSON *term = cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "terms"), 2 - 2 * robot);
        for (int k = 0; k < ARMS; k++)
            expect_arm(tree, k, robot ? ARMS - k : k + 1, k + 1, robot ? -k / 2.0 : k + 1);
        check_others(tree, robot ? (const int[]){2, 1, 0} : (const int[]){0, 1, 2});
        /* The more synflow the more loss; with a negative weight less of it is better. */
        ck_assert_double_eq(number(term, "tau"), robot ? 1 : -1);
        cJSON_Delete(tree);
    }
}
END_TEST

/* Many arms with ties and holes: a rank is one more than how many are better, and half of the ties.
 */
START_TEST(test_ranks_of_many_arms_are_those_of_counting)
{
    enum { MANY = 300 };
    double value[MANY];
    ranking *r = start(NULL);
    for (int a = 0; a < MANY; a++) {
        char arm[32];
        snprintf(arm, sizeof arm, "{\"a\":%d}", a);
        value[a] = a % 7 == 0 ? NAN : (a * 37) % 53;
        run(r, arm);
        whole(r, METRIC_snip, value[a]);
    }
    cJSON *tree = end(r);
    for (int a = 0; a < MANY; a++) {
        double rank = 1;
        for (int b = 0; b < MANY; b++) {
            bool equal = value[a] == value[b] || (isnan(value[a]) && isnan(value[b]));
            bool better = value[b] > value[a] || (isnan(value[a]) && !isnan(value[b]));
            if (b != a) rank += better ? 1 : equal ? 0.5 : 0;
        }
        ck_assert_double_eq(number(value_of(tree, a, "snip"), "rank"), rank);
    }
    cJSON_Delete(tree);
}
END_TEST

START_TEST(test_without_terms_the_arms_are_in_no_order)
{
    cJSON *tree = end(beside(NULL, false));
    for (int k = 0; k < ARMS; k++) {
        ck_assert_double_eq(number(cJSON_GetObjectItem(arm_of(tree, k), "arm"), "a"), k + 1);
        ck_assert(cJSON_IsNull(cJSON_GetObjectItem(arm_of(tree, k), "rank")));
        ck_assert(cJSON_IsNull(cJSON_GetObjectItem(arm_of(tree, k), "score")));
    }
    check_others(tree, (const int[]){0, 1, 2});
    ck_assert_ptr_nonnull(strstr(cJSON_GetObjectItem(tree, "note")->valuestring, "no order"));
    cJSON_Delete(tree);
}
END_TEST

START_TEST(test_csv_has_a_line_for_each_arm)
{
    json_out o = {0};
    error err;
    ranking *r = beside(NULL, true);
    ck_assert_int_eq(ranking_end(r, &err), ERR_OK);
    ranking_csv(r, &o);
    ck_assert_str_eq(
        o.text, "arm,rank,score,runs,parameters,flops,final_loss,synflow_log10,synflow_log10_std,"
                "synflow_log10_rank,pass_flops,pass_flops_std,pass_flops_rank,naswot,naswot_std,"
                "naswot_rank,zen_std,zen_std_std,zen_std_rank\r\n"
                "\"{\"\"a\"\":1}\",1,1,1,1000,2000,3,3,,1,5,,,7,,1.5,3,,3\r\n"
                "\"{\"\"a\"\":2}\",2,2,1,1000,2000,2,2,,2,5,,,,,3,2,,2\r\n"
                "\"{\"\"a\"\":3}\",3,3,1,1000,2000,1,1,,3,5,,,7,,1.5,1,,1\r\n");
    json_deinit(&o);
    ranking_free(r);
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
    tcase_add_test(tc, test_other_proxies_are_ranked_beside_the_terms_and_do_not_count);
    tcase_add_test(tc, test_ranks_of_many_arms_are_those_of_counting);
    tcase_add_test(tc, test_without_terms_the_arms_are_in_no_order);
    tcase_add_test(tc, test_csv_has_a_line_for_each_arm);
    tcase_add_loop_test(tc, test_bad_weights_are_refused, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
