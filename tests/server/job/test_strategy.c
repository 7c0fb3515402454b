/* The catalogue of strategies as jobs see it: names, which of several givers of a field wins, which
 * fields mean nothing to which strategy, sweeps over all of them.
 */
#include "server/job/preset.h"
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "tests/suite.h"

#include <cJSON.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static err_code read_text(const char *text, job *j, error *err)
{
    limits lim = limits_default();
    lim.peak_bytes = UINT64_MAX;
    lim.flops = INFINITY;
    *err = (error){0};
    return reader_job(text, strlen(text), &lim, j, err);
}

static void read_ok(const char *text, job *j)
{
    error err;
    ck_assert_msg(read_text(text, j, &err) == ERR_OK, "%s: %s %s", text, err.pointer, err.message);
}

/* said: part of the message, or NULL. */
static void refused(const char *text, err_code code, const char *pointer, const char *said)
{
    job j;
    error err;
    err_code found = read_text(text, &j, &err);
    ck_assert_msg(found == code && strcmp(err.pointer, pointer) == 0, "%s: %d %s %s", text, found,
                  err.pointer, err.message);
    ck_assert_msg(said == NULL || strstr(err.message, said) != NULL, "%s: '%s' does not say '%s'",
                  text, err.message, said);
    job_deinit(&j);
}

/* --- names ------------------------------------------------------------------------------------ */

/* A slip of the pen: the last letter missing, the first one doubled, two letters swapped. */
static bool misspell(char *out, const char *name, int how)
{
    size_t n = strlen(name);
    strcpy(out, name);
    if (how == 0) {
        out[n - 1] = '\0';
    } else if (how == 1) {
        memmove(out + 1, name, n + 1);
    } else if (n > 4) {
        out[n / 2] = name[n / 2 - 1];
        out[n / 2 - 1] = name[n / 2];
    }
    return registry_find(&strategy_registry, out) < 0;
}

START_TEST(test_a_misspelt_strategy_is_refused_and_the_nearest_named)
{
    const char *name = strategy_registry.rows[_i]->name;
    for (int how = 0; how < 3; how++) {
        char wrong[64], text[256];
        if (!misspell(wrong, name, how)) continue;
        snprintf(text, sizeof text, "{\"strategy\":\"%s\"}", wrong);
        refused(text, ERR_UNKNOWN_NAME, "/strategy", "did you mean ");
        if (how == 1) refused(text, ERR_UNKNOWN_NAME, "/strategy", name);
        snprintf(text, sizeof text, "{\"strategy\":{\"name\":\"%s\"}}", wrong);
        refused(text, ERR_UNKNOWN_NAME, "/strategy/name", "did you mean ");
        snprintf(text, sizeof text, "{\"sweep\":{\"strategy\":[\"pre_ln\",\"%s\"]}}", wrong);
        refused(text, ERR_UNKNOWN_NAME, "/sweep/strategy/1", "did you mean ");
    }
}
END_TEST

START_TEST(test_a_known_strategy_that_is_not_offered_is_refused_with_the_reason)
{
    const strategy *s = strategy_table[_i];
    const char *name = s->entry.name;
    char text[256], why[48];
    if (s->refused == NULL) return;
    snprintf(why, sizeof why, "%s", s->refused);
    snprintf(text, sizeof text, "{\"strategy\":\"%s\"}", name);
    refused(text, ERR_COMBINATION, "/strategy", why);
    refused(text, ERR_COMBINATION, "/strategy", name);
    snprintf(text, sizeof text, "{\"strategy\":{\"name\":\"%s\",\"eps\":0}}", name);
    refused(text, ERR_COMBINATION, "/strategy/name", why);
    snprintf(text, sizeof text, "{\"sweep\":{\"strategy\":[\"pre_ln\",\"%s\"]}}", name);
    refused(text, ERR_COMBINATION, "/sweep/strategy/1", why);
}
END_TEST

static void is_plain_text(const char *name, const char *text, bool may_be_empty)
{
    ck_assert_msg(text != NULL && (may_be_empty || *text != '\0'), "%s lacks a text", name);
    for (const char *c = text; *c != '\0'; c++)
        ck_assert_msg(isprint((unsigned char)*c) && (*c != ' ' || c[1] != ' '), "%s: '%s'", name,
                      text);
    ck_assert_msg(*text == '\0' || (text[0] != ' ' && text[strlen(text) - 1] != ' '), "%s: '%s'",
                  name, text);
}

START_TEST(test_every_strategy_is_described)
{
    const strategy *s = strategy_table[_i];
    const char *name = s->entry.name;
    bool own = strncmp(name, "residual_inv_", 13) == 0; /* published under no name */
    is_plain_text(name, name, false);
    is_plain_text(name, s->entry.summary, false);
    is_plain_text(name, s->entry.source, own);
    is_plain_text(name, s->init, s->refused != NULL);
    is_plain_text(name, s->behaviour, s->refused != NULL);
    is_plain_text(name, s->limits, true);
    if (s->refused != NULL) is_plain_text(name, s->refused, false);
}
END_TEST

/* --- who wins --------------------------------------------------------------------------------- */

/* Does the resolved job say what the row says, as far as it means something to the network? */
static void has_all_of(const strategy *s, const job *j)
{
    cJSON *row = cJSON_Parse(s->job), *resolved = cJSON_Parse(j->resolved);
    const cJSON *group, *member;
    ck_assert_ptr_nonnull(row);
    ck_assert_ptr_nonnull(resolved);
    cJSON_ArrayForEach(group, row)
    {
        const cJSON *found = cJSON_GetObjectItemCaseSensitive(resolved, group->string);
        cJSON_ArrayForEach(member, group)
        {
            const cJSON *value = cJSON_GetObjectItemCaseSensitive(found, member->string);
            int id = field_find(group->string, member->string);
            if (id >= 0 && !field_means(&field_table[id], engine_f32.uses(&j->runs[0].spec)))
                continue;
            ck_assert_msg(cJSON_Compare(value, member, true), "%s: %s.%s is not the row's",
                          s->entry.name, group->string, member->string);
        }
    }
    cJSON_Delete(row);
    cJSON_Delete(resolved);
}

/* Models of which each strategy has some, and what may stand in the way. */
START_TEST(test_a_strategy_wins_over_every_preset_or_says_why_not)
{
    const strategy *s = strategy_table[_i];
    int accepted = 0;
    if (s->refused != NULL) return;
    for (int p = 0; p < preset_registry.n; p++) {
        char text[256];
        job j;
        error err;
        snprintf(text, sizeof text,
                 "{\"model\":\"%s\",\"strategy\":\"%s\",\"depth\":2,\"seeds\":[0]}",
                 preset_registry.rows[p]->name, s->entry.name);
        err_code code = read_text(text, &j, &err);
        if (code == ERR_OK) has_all_of(s, &j);
        ck_assert_msg(code == ERR_OK || (code == ERR_COMBINATION && *err.pointer == '/'),
                      "%s: %d %s %s", text, code, err.pointer, err.message);
        accepted += code == ERR_OK;
        job_deinit(&j);
    }
    /* one preset, mlp, has no attention */
    ck_assert_msg(accepted >= (preset_registry.n - 1) / 2, "%s goes with %d of %d presets",
                  s->entry.name, accepted, preset_registry.n);
}
END_TEST

START_TEST(test_defaults_then_preset_then_strategy_then_the_job)
{
    static const struct {
        const char *text, *group, *field, *value;
    } rows[] = {
        {"{}", "strategy", "eps", "1e-5"},
        {"{\"model\":\"bert_base\"}", "strategy", "eps", "1e-12"},
        {"{\"model\":\"bert_base\",\"strategy\":\"olmo2_reordered\"}", "strategy", "eps", "1e-6"},
        {"{\"model\":\"bert_base\",\"strategy\":{\"name\":\"olmo2_reordered\",\"eps\":0.5}}",
         "strategy", "eps", "0.5"},
        {"{\"model\":\"bert_base\",\"strategy\":{\"eps\":0.5}}", "strategy", "eps", "0.5"},
        {"{\"strategy\":\"olmo2_reordered\"}", "model", "qk_norm", "true"},
        {"{\"model\":{\"qk_norm\":false},\"strategy\":\"olmo2_reordered\"}", "model", "qk_norm",
         "false"},
        {"{\"model\":\"gpt2\"}", "model", "bias", "true"},
        {"{\"model\":\"gpt2\",\"strategy\":\"fixup\"}", "model", "bias", "false"},
        {"{\"model\":{\"preset\":\"gpt2\",\"bias\":true},\"strategy\":\"fixup\"}", "model", "bias",
         "true"},
        {"{\"model\":\"gpt2\"}", "init", "scheme", "\"gpt2\""},
        {"{\"model\":\"gpt2\",\"strategy\":\"deepnorm\"}", "init", "scheme", "\"xavier\""},
        {"{\"model\":\"gpt2\",\"strategy\":\"deepnorm\",\"init\":\"he\"}", "init", "scheme",
         "\"he\""},
        {"{\"model\":\"gpt2\",\"strategy\":\"deepnorm\",\"sweep\":{\"init\":[\"he\"]}}", "sweep",
         "init", "[\"he\"]"},
        {"{\"strategy\":\"layernorm_scaling\"}", "init", "depth_scale", "false"},
        {"{\"model\":\"relu_xavier\",\"strategy\":\"t_fixup\"}", "init", "embed_std", "null"},
        {"{\"model\":\"relu_xavier\",\"strategy\":\"fixup\"}", "init", "head_std", "null"},
        {"{\"model\":\"relu_xavier\",\"strategy\":\"fixup\",\"init\":{\"head_std\":0.5}}", "init",
         "head_std", "0.5"},
        {"{\"strategy\":\"layerscale\",\"depth\":18}", "strategy", "branch_gain_init", "0.1"},
        {"{\"strategy\":\"layerscale\",\"depth\":24}", "strategy", "branch_gain_init", "1e-5"},
        {"{\"strategy\":\"layerscale\",\"depth\":25}", "strategy", "branch_gain_init", "1e-6"},
        {"{\"strategy\":\"rezero\",\"depth\":18}", "strategy", "branch_gain_init", "0"},
        {"{\"strategy\":{\"name\":\"layerscale\",\"branch_gain_init\":1}}", "strategy",
         "branch_gain_init", "1"},
        {"{\"strategy\":{\"name\":\"peri_ln\",\"placement\":\"post_ln\"}}", "strategy",
         "final_norm", "false"},
    };
    job j;
    read_ok(rows[_i].text, &j);
    cJSON *resolved = cJSON_Parse(j.resolved), *value = cJSON_Parse(rows[_i].value);
    const cJSON *group = cJSON_GetObjectItemCaseSensitive(resolved, rows[_i].group);
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(group, rows[_i].field);
    ck_assert_msg(found != NULL && cJSON_Compare(found, value, true), "%s: %s.%s is not %s\n%s",
                  rows[_i].text, rows[_i].group, rows[_i].field, rows[_i].value, j.resolved);
    cJSON_Delete(resolved);
    cJSON_Delete(value);
    job_deinit(&j);
}
END_TEST
enum { WINNERS = 24 };

/* --- what means nothing ----------------------------------------------------------------------- */

START_TEST(test_a_modifier_without_a_site_is_refused_by_pointer)
{
    static const struct {
        const char *text, *pointer, *said;
    } rows[] = {
        {"{\"strategy\":{\"name\":\"pre_ln\",\"alpha\":2}}", "/strategy/alpha",
         "alpha needs a placement with a constant alpha on the stream"},
        {"{\"strategy\":{\"name\":\"keel\",\"beta\":2}}", "/strategy/beta", "initial weights"},
        {"{\"strategy\":{\"name\":\"deepnorm\",\"beta\":2,\"init_factor\":false}}",
         "/strategy/beta", "init_factor"},
        {"{\"strategy\":{\"name\":\"pre_ln\",\"init_factor\":false}}", "/strategy/init_factor",
         "factors of its own"},
        {"{\"strategy\":{\"name\":\"keel\",\"partner_depth\":6}}", "/strategy/partner_depth",
         "encoder-decoder"},
        {"{\"strategy\":{\"name\":\"peri_ln\",\"fraction\":0.5}}", "/strategy/fraction",
         "two kinds of block"},
        {"{\"strategy\":{\"name\":\"subln\",\"resscale\":true}}", "/strategy/resscale",
         "a gain on the stream"},
        {"{\"strategy\":{\"name\":\"pre_ln\",\"out_gain_init\":0}}", "/strategy/out_gain_init",
         "branch outputs"},
        {"{\"strategy\":{\"name\":\"peri_ln\",\"affine\":false,\"out_gain_init\":0}}",
         "/strategy/out_gain_init", "learned gain"},
        {"{\"strategy\":{\"name\":\"peri_ln\",\"norm\":\"none\",\"out_gain_rule\":\"inv_depth\"}}",
         "/strategy/out_gain_rule", "learned gain"},
        {"{\"strategy\":{\"name\":\"post_ln\",\"affine\":false,\"gain_init\":2}}",
         "/strategy/gain_init", "learned gain"},
        {"{\"strategy\":{\"name\":\"siamesenorm\",\"gpas\":true}}", "/strategy/gpas",
         "one residual stream"},
        {"{\"strategy\":{\"name\":\"residual_dual\",\"gpas\":true}}", "/strategy/gpas", NULL},
        {"{\"strategy\":{\"name\":\"fixup\",\"gpas\":true}}", "/strategy/gpas", NULL},
        {"{\"strategy\":{\"name\":\"ngpt\",\"gpas\":true}}", "/strategy/gpas", NULL},
        {"{\"strategy\":{\"name\":\"ngpt\",\"residual_scale\":0.5}}", "/strategy/residual_scale",
         "a residual sum"},
        {"{\"strategy\":{\"name\":\"ngpt\",\"branch_gain\":\"layer\"}}", "/strategy/branch_gain",
         "a residual sum"},
        {"{\"strategy\":{\"name\":\"pre_ln\",\"branch_gain_init\":1}}",
         "/strategy/branch_gain_init", "branch_gain"},
        {"{\"strategy\":{\"name\":\"peri_ln\",\"recentre\":true}}", "/strategy/recentre", NULL},
        {"{\"strategy\":{\"name\":\"post_ln\",\"recentre\":true}}", "/strategy/recentre",
         "not normed after their output matrix"},
        {"{\"strategy\":{\"fixnorm\":true},\"data\":\"gaussian\"}", "/strategy/fixnorm",
         "no embedding"},
        {"{\"strategy\":\"fixnorm\",\"data\":\"gaussian\"}", "/strategy", "no embedding"},
        {"{\"model\":{\"embed_scale_learned\":true},\"data\":\"gaussian\"}",
         "/model/embed_scale_learned", "needs an embedding"},
        {"{\"strategy\":\"pre_crmsnorm\",\"data\":\"gaussian\"}", "/data", "fewer features"},
        {"{\"strategy\":\"pre_crmsnorm\",\"train\":{\"loss\":\"grad_iid\"}}", "/train/loss",
         "fewer features"},
        {"{\"strategy\":\"pre_crmsnorm\",\"model\":{\"d_model\":1,\"n_heads\":1}}",
         "/model/d_model", "1 less"},
        {"{\"strategy\":{\"name\":\"pre_ln\",\"alpha_attn\":1}}", "/strategy/alpha_attn",
         "learned alpha"},
        {"{\"strategy\":{\"name\":\"pre_ln\",\"parallel_norms\":2}}", "/strategy/parallel_norms",
         "model.parallel"},
        {"{\"model\":{\"parallel\":true},\"strategy\":{\"name\":\"post_ln\",\"parallel_norms\":2}}",
         "/strategy/parallel_norms", "norm on what the branches read"},
        {"{\"model\":{\"parallel\":true},\"strategy\":\"deepnorm\"}", "/model/parallel",
         "deepnorm has no parallel form"},
        {"{\"model\":{\"parallel\":true},\"strategy\":\"mix_ln\"}", "/model/parallel", NULL},
        {"{\"model\":{\"bias\":true},\"strategy\":\"ngpt\"}", "/model/bias", "no biases"},
        {"{\"strategy\":{\"name\":\"mix_ln\",\"fraction\":1.5}}", "/strategy/fraction", "0 to 1"},
        {"{\"strategy\":\"pre_ln\",\"sweep\":{\"strategy.alpha\":[1,2]}}",
         "/sweep/strategy.alpha/0", "constant alpha"},
        {"{\"sweep\":{\"strategy\":[\"deepnorm\",{\"name\":\"pre_ln\",\"alpha\":2}]}}",
         "/sweep/strategy/1/alpha", "constant alpha"},
        {"{\"sweep\":{\"strategy\":[\"deepnorm\",\"pre_ln\"],\"strategy.alpha\":[2]}}",
         "/sweep/strategy.alpha/0", "\"pre_ln\""},
        {"{\"depth\":4,\"strategy\":{\"residual_scales\":[1,2]}}", "/strategy/residual_scales",
         "depth is 4"},
        {"{\"depth\":4,\"strategy\":{\"name\":\"mix_ln\",\"overrides\":[{\"layers\":5,\"eps\":0}]}"
         "}",
         "/strategy/overrides/0/layers", NULL},
    };
    refused(rows[_i].text,
            rows[_i].said != NULL && strcmp(rows[_i].said, "0 to 1") == 0 ? ERR_RANGE
                                                                          : ERR_COMBINATION,
            rows[_i].pointer, rows[_i].said);
}
END_TEST
enum { REFUSALS = 31 };

/* A value that is the default anyway is no modifier. */
START_TEST(test_the_default_of_a_field_that_means_nothing_is_taken)
{
    static const char *const texts[] = {
        "{\"strategy\":{\"name\":\"pre_ln\",\"alpha\":null}}",
        "{\"strategy\":{\"name\":\"pre_ln\",\"out_gain_init\":1,\"fraction\":0.25}}",
        "{\"strategy\":{\"name\":\"ngpt\",\"gpas\":false,\"residual_scale\":1}}",
        "{\"strategy\":{\"name\":\"post_ln\",\"parallel_norms\":1}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        job j;
        read_ok(texts[i], &j);
        job_deinit(&j);
    }
}
END_TEST

/* --- sweeps ----------------------------------------------------------------------------------- */

/* A sweep over all strategies that this model can have; around each name stands before and after,
 * rest are further axes. */
static void sweep_of_all(
    char *out, size_t n, const char *model, const char *before, const char *after, const char *rest)
{
    char list[6000], one[512];
    size_t at = 0;
    for (int i = 0; i < strategy_registry.n; i++) {
        static const char form[] =
            "{\"model\":\"%s\",\"depth\":2,\"seeds\":[0],\"sweep\":{\"strategy\":[%s]%s}}";
        char text[1024];
        job j;
        error err;
        if (strategy_table[i]->refused != NULL) continue;
        snprintf(one, sizeof one, "%s\"%s\"%s", before, strategy_registry.rows[i]->name, after);
        snprintf(text, sizeof text, form, model, one, rest);
        err_code code = read_text(text, &j, &err);
        job_deinit(&j);
        if (code != ERR_OK) continue;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at > 0 ? "," : "", one);
        ck_assert_uint_lt(at, sizeof list);
        ck_assert_int_lt(snprintf(out, n, form, model, list, rest), (int)n);
    }
}

static void is_read_again(const char *text, int runs)
{
    job j, again;
    read_ok(text, &j);
    ck_assert_msg(j.n_runs >= runs, "%d runs of %s", j.n_runs, text);
    read_ok(j.resolved, &again);
    ck_assert_msg(strcmp(j.resolved, again.resolved) == 0, "%s\n%s", j.resolved, again.resolved);
    ck_assert_str_eq(j.hash, again.hash);
    ck_assert_int_eq(j.n_runs, again.n_runs);
    for (int i = 0; i < j.n_runs; i++) {
        char *a = reader_run_text(&j.runs[i].spec), *b = reader_run_text(&again.runs[i].spec);
        ck_assert_msg(strcmp(a, b) == 0, "run %d (%s): %s\n%s", i, j.runs[i].arm, a, b);
        free(a);
        free(b);
    }
    job_deinit(&j);
    job_deinit(&again);
}

START_TEST(test_a_sweep_over_all_strategies_is_read_again_as_itself)
{
    static const struct {
        const char *before, *after, *rest;
    } forms[] = {
        {"", "", ""},
        {"{\"name\":", "}", ""},
        {"{\"name\":", ",\"eps\":0.001}", ""},
        {"", "", ",\"strategy.norm\":[\"layernorm\",\"rmsnorm\"]"},
        {"", "", ",\"depth\":[2,3]"},
        {"", "", ",\"init\":[\"gpt2\",\"xavier\"]"},
    };
    static const char *const models[] = {"tiny", "gpt2", "llama_71m"};
    char text[8192];
    for (int m = 0; m < 3; m++) {
        sweep_of_all(text, sizeof text, models[m], forms[_i].before, forms[_i].after,
                     forms[_i].rest);
        is_read_again(text, strategy_registry.n / 2);
    }
}
END_TEST

START_TEST(test_each_strategy_is_read_again_as_itself)
{
    const strategy *s = strategy_table[_i];
    char text[512];
    if (s->refused != NULL) return;
    snprintf(text, sizeof text, "{\"strategy\":\"%s\",\"depth\":3}", s->entry.name);
    is_read_again(text, 1);
    snprintf(text, sizeof text, "{\"strategy\":\"%s\",\"sweep\":{\"depth\":[2,20,30]}}",
             s->entry.name);
    is_read_again(text, 3);
    snprintf(text, sizeof text,
             "{\"strategy\":\"%s\",\"sweep\":{\"strategy\":[\"post_ln\",{\"eps\":0}]}}",
             s->entry.name);
    is_read_again(text, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("strategy");
    TCase *c = tcase_create("names");
    tcase_set_timeout(c, 60);
    int n = strategy_registry.n;
    tcase_add_loop_test(c, test_a_misspelt_strategy_is_refused_and_the_nearest_named, 0, n);
    tcase_add_loop_test(c, test_a_known_strategy_that_is_not_offered_is_refused_with_the_reason, 0,
                        n);
    tcase_add_loop_test(c, test_every_strategy_is_described, 0, n);
    suite_add_tcase(s, c);
    c = tcase_create("precedence");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_a_strategy_wins_over_every_preset_or_says_why_not, 0, n);
    tcase_add_loop_test(c, test_defaults_then_preset_then_strategy_then_the_job, 0, WINNERS);
    suite_add_tcase(s, c);
    c = tcase_create("modifiers");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_a_modifier_without_a_site_is_refused_by_pointer, 0, REFUSALS);
    tcase_add_test(c, test_the_default_of_a_field_that_means_nothing_is_taken);
    suite_add_tcase(s, c);
    c = tcase_create("sweeps");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, test_a_sweep_over_all_strategies_is_read_again_as_itself, 0, 6);
    tcase_add_loop_test(c, test_each_strategy_is_read_again_as_itself, 0, n);
    suite_add_tcase(s, c);
    return suite_run(s);
}
