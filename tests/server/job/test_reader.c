/* The job reader: every field, every refusal with its code and pointer, and one meaning, one text.
 */
#include "server/catalogue/schema.h"
#include "server/catalogue/tables.h"
#include "server/job/choice.h"
#include "server/job/field.h"
#include "server/job/kind_json.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"
#include "tests/server/reading.h"

#include <stdio.h>
#include <stdlib.h>

static int row(const char *kind, const char *name)
{
    int i = registry_find(choice_registry(kind), name);
    ck_assert_int_ge(i, 0);
    return i;
}

/* --- defaults and resolution ------------------------------------------------------------------ */

START_TEST(test_empty_object_is_a_job)
{
    job j;
    read_ok("{}", &j);
    ck_assert_int_eq(j.n_runs, 3);
    const run_spec *s = &j.runs[0].spec;
    ck_assert_int_eq(s->depth, 12);
    ck_assert_int_eq(s->model.d_model, 64);
    ck_assert_int_eq(s->model.n_kv_heads, 4);
    ck_assert_int_eq(s->model.d_ff, 256);
    ck_assert_int_eq(s->strategy.placement, row("placements", "pre_ln"));
    ck_assert(s->strategy.final_norm);
    ck_assert(s->init.depth_scale);
    ck_assert(isnan(s->init.embed_std));
    ck_assert_double_eq(s->train.clip, 1);
    ck_assert_int_eq(s->measure.n_steps, 1);
    ck_assert_int_eq(s->measure.steps[0], 0);
    ck_assert(s->measure.sites[SITE_resid_out]);
    ck_assert(!s->measure.sites[SITE_q]);
    for (int i = 0; i < 3; i++) ck_assert_uint_eq(j.runs[i].spec.seed, (uint64_t)i);
    ck_assert_str_eq(j.runs[2].arm, "{}");
    ck_assert_uint_eq(strlen(j.hash), 64);
    ck_assert_uint_gt(j.runs[0].cost.peak_bytes, 0);
    job_deinit(&j);
}
END_TEST

START_TEST(test_three_lines_are_a_job)
{
    job j;
    read_ok("{\"model\":\"gpt2\",\"strategy\":\"peri_ln\",\"depth\":48}", &j);
    const run_spec *s = &j.runs[0].spec;
    ck_assert_int_eq(s->model.d_model, 768);
    ck_assert_int_eq(s->model.activation, row("activations", "gelu_tanh"));
    ck_assert_int_eq(s->strategy.placement, row("placements", "peri_ln"));
    ck_assert_int_eq(s->depth, 48);
    ck_assert(s->model.bias);
    job_deinit(&j);
}
END_TEST

START_TEST(test_fields_win_over_preset_and_sweep_over_fields)
{
    job j;
    read_ok(
        "{\"model\":{\"preset\":\"gpt2\",\"d_model\":96,\"d_ff\":100},\"depth\":7,\"seeds\":[5],"
        "\"sweep\":{\"depth\":[2,3],\"model\":[{\"d_ff\":50},{\"preset\":\"bert_base\"}]}}",
        &j);
    ck_assert_int_eq(j.n_runs, 4);
    ck_assert_int_eq(j.runs[0].spec.depth, 2);
    ck_assert_int_eq(j.runs[2].spec.depth, 3);
    ck_assert_int_eq(j.runs[0].spec.model.d_ff, 50);
    ck_assert_int_eq(j.runs[1].spec.model.d_ff, 100);
    ck_assert_int_eq(j.runs[1].spec.model.d_model, 96);
    ck_assert_int_eq(j.runs[0].spec.model.vocab, 50257);
    ck_assert_int_eq(j.runs[1].spec.model.vocab, 30522);
    ck_assert_int_eq(j.runs[1].spec.model.mask, MASK_BIDIRECTIONAL);
    ck_assert(!j.runs[1].spec.strategy.final_norm);
    ck_assert_str_eq(j.runs[3].arm, "{\"depth\":3,\"model\":\"bert_base\"}");
    job_deinit(&j);
}
END_TEST

START_TEST(test_dependent_defaults_follow_swept_values)
{
    job j;
    read_ok(
        "{\"seeds\":[1],\"sweep\":{\"model.activation\":[\"gelu\",\"swiglu\"],\"model.d_model\":["
        "64,100],"
        "\"train.steps\":[0,5],\"strategy\":[\"none\",\"pre_ln\"],\"init\":[\"gpt2\",\"xavier\"]}}",
        &j);
    ck_assert_int_eq(j.n_runs, 32);
    for (int i = 0; i < j.n_runs; i++) {
        const run_spec *s = &j.runs[i].spec;
        bool gated = engine_f32.activation_gated(s->model.activation);
        int d = s->model.d_model;
        ck_assert_int_eq(s->model.d_ff, !gated ? 4 * d : d == 64 ? 176 : 272);
        ck_assert_int_eq(s->measure.n_steps, s->train.steps ? 2 : 1);
        ck_assert_int_eq(s->strategy.final_norm,
                         engine_f32.placement_final_norm(s->strategy.placement));
        ck_assert_int_eq(s->init.depth_scale, engine_f32.init_depth_scale(s->init.scheme));
    }
    job_deinit(&j);
}
END_TEST

START_TEST(test_init_std_is_the_schemes_unless_it_is_given)
{
    job j;
    error err;
    read_ok("{\"model\":{\"d_model\":40},\"seeds\":[0],\"sweep\":{\"init\":[\"gpt2\","
            "\"full_megatron\",{\"scheme\":\"full_megatron\",\"std\":0.3},\"xavier\"]}}",
            &j);
    const double expected[] = {0.02, 0.1, 0.3, 0.02};
    for (int i = 0; i < j.n_runs; i++)
        ck_assert_double_eq_tol(j.runs[i].spec.init.std, expected[i], 1e-17);
    job_deinit(&j);
    read_ok("{\"model\":\"gpt2\",\"init\":\"full_megatron\",\"seeds\":[0]}", &j);
    ck_assert_double_eq_tol(j.runs[0].spec.init.std, sqrt(2.0 / (5 * 768)), 1e-17);
    job_deinit(&j);
    ck_assert_int_eq(read_text("{\"init\":{\"scheme\":\"xavier\",\"std\":0.3}}", &j, &err),
                     ERR_COMBINATION);
    ck_assert_str_eq(err.pointer, "/init/std");
    job_deinit(&j);
    ck_assert_int_eq(read_text("{\"init\":{\"head_std\":1}}", &j, &err), ERR_COMBINATION);
    ck_assert_str_eq(err.pointer, "/init/head_std");
    job_deinit(&j);
    ck_assert_int_eq(
        read_text("{\"model\":{\"position\":\"rope\"},\"init\":{\"position_std\":1}}", &j, &err),
        ERR_COMBINATION);
    ck_assert_str_eq(err.pointer, "/init/position_std");
    job_deinit(&j);
}
END_TEST

START_TEST(test_last_axis_and_then_seeds_are_fastest)
{
    job j;
    read_ok("{\"seeds\":[9,8],\"sweep\":{\"depth\":[1,2],\"train.lr\":[0.5,1e-3,0]}}", &j);
    ck_assert_int_eq(j.n_runs, 12);
    for (int i = 0; i < 12; i++) {
        static const double lr[] = {0.5, 1e-3, 0};
        ck_assert_int_eq(j.runs[i].spec.depth, 1 + i / 6);
        ck_assert_double_eq(j.runs[i].spec.train.lr, lr[i / 2 % 3]);
        ck_assert_uint_eq(j.runs[i].spec.seed, i % 2 ? 8 : 9);
    }
    ck_assert_str_eq(j.runs[11].arm, "{\"depth\":2,\"train.lr\":0}");
    job_deinit(&j);
}
END_TEST

START_TEST(test_groups_of_metrics_are_their_members)
{
    job j;
    read_ok("{\"measure\":{\"metrics\":[\"spectrum\",\"var\"],\"sites\":[\"q\"]}}", &j);
    const spec_measure *m = &j.runs[0].spec.measure;
    ck_assert(m->metrics[METRIC_var] && m->metrics[METRIC_stable_rank] && !m->metrics[METRIC_mean]);
    ck_assert(m->sites[SITE_q] && !m->sites[SITE_resid_out]);
    job_deinit(&j);
}
END_TEST

START_TEST(test_name_may_have_120_characters_of_any_length)
{
    job j;
    error err;
    char text[1024];
    for (int count = 120; count <= 121; count++) {
        int n = sprintf(text, "{\"name\":\"");
        for (int i = 0; i < count; i++) n += sprintf(text + n, "\xf0\x9d\x84\x9e");
        sprintf(text + n, "\"}");
        ck_assert_int_eq(read_text(text, &j, &err), count == 120 ? ERR_OK : ERR_RANGE);
        if (count == 120)
            ck_assert_uint_eq(strlen(j.name), 480);
        else
            ck_assert_str_eq(err.pointer, "/name");
        job_deinit(&j);
    }
}
END_TEST

START_TEST(test_null_switches_off)
{
    job j;
    read_ok("{\"train\":{\"clip\":null},\"init\":{\"embed_std\":0.5,\"head_std\":null}}", &j);
    ck_assert(isnan(j.runs[0].spec.train.clip));
    ck_assert_double_eq(j.runs[0].spec.init.embed_std, 0.5);
    ck_assert(isnan(j.runs[0].spec.init.head_std));
    job_deinit(&j);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    err_code code;
    const char *pointer, *says;
} refused[] = {
    {"[]", ERR_TYPE, "", "an object"},
    {"3", ERR_TYPE, "", "an object"},
    {"{\"depth\":}", ERR_JSON, "/depth", "value was expected"},
    {"{\"depth\":1,\"depth\":2}", ERR_DUPLICATE_FIELD, "/depth", "twice"},
    {"{\"modle\":\"tiny\"}", ERR_UNKNOWN_FIELD, "/modle", "did you mean model?"},
    {"{\"Model\":\"tiny\"}", ERR_UNKNOWN_FIELD, "/Model", "did you mean model?"},
    {"{\"model\":{\"dmodel\":64}}", ERR_UNKNOWN_FIELD, "/model/dmodel", "did you mean d_model?"},
    {"{\"model\":{\"a/b~c\":64}}", ERR_UNKNOWN_FIELD, "/model/a~1b~0c", "allowed: preset"},
    {"{\"model\":\"gpt3\"}", ERR_UNKNOWN_NAME, "/model", "did you mean gpt2?"},
    {"{\"model\":3}", ERR_TYPE, "/model", "preset is 3"},
    {"{\"model\":[]}", ERR_TYPE, "/model", "a list; allowed: an object"},
    {"{\"model\":null}", ERR_TYPE, "/model", "null"},
    {"{\"strategy\":\"periln\"}", ERR_UNKNOWN_NAME, "/strategy", "did you mean peri_ln?"},
    {"{\"strategy\":{\"norm\":\"weightnorm\"}}", ERR_UNKNOWN_NAME, "/strategy/norm",
     "allowed: none, layernorm, rmsnorm"},
    {"{\"strategy\":{\"norm\":\"batchnorm\",\"sigma\":\"frozen\"}}", ERR_COMBINATION,
     "/strategy/sigma", "sigma needs a norm that divides by a deviation of the token"},
    {"{\"strategy\":{\"sigma\":\"frozen\",\"overrides\":[{\"layers\":2,\"norm\":\"batchnorm\"}]}}",
     ERR_COMBINATION, "/strategy/sigma", "batchnorm divides by no deviation that could be frozen"},
    {"{\"strategy\":{\"overrides\":[{\"layers\":\"all\",\"norm\":\"none\",\"sigma\":\"frozen\"}]}}",
     ERR_COMBINATION, "/strategy/overrides/0/sigma", "none divides by no deviation"},
    {"{\"model\":{\"qk_norm\":true,\"qk_norm_type\":\"batchnorm\"}}", ERR_COMBINATION,
     "/model/qk_norm_type", "no form for queries"},
    {"{\"strategy\":{\"norm\":\"powernorm\",\"group_scale\":3}}", ERR_COMBINATION,
     "/strategy/group_scale", "must divide d_model = 64"},
    {"{\"model\":{\"d_ff\":65},\"strategy\":{\"name\":\"subln\",\"norm\":\"powernorm\",\"group_"
     "scale\":4}}",
     ERR_COMBINATION, "/strategy/group_scale", "must divide d_ff = 65"},
    {"{\"strategy\":{\"norm\":\"batchnorm\",\"group_scale\":2}}", ERR_COMBINATION,
     "/strategy/group_scale", "needs a norm with group scaling"},
    {"{\"strategy\":{\"stat_keep\":0.5}}", ERR_COMBINATION, "/strategy/stat_keep",
     "needs a norm with running statistics"},
    {"{\"strategy\":{\"norm\":\"batchnorm\",\"progress_steps\":9}}", ERR_COMBINATION,
     "/strategy/progress_steps", "needs a norm that changes over the training steps"},
    {"{\"strategy\":{\"eps\":-1e-5}}", ERR_RANGE, "/strategy/eps", "numbers 0 to 1e30"},
    {"{\"strategy\":{\"eps\":null}}", ERR_TYPE, "/strategy/eps", "eps is null"},
    {"{\"strategy\":{\"affine\":1}}", ERR_TYPE, "/strategy/affine", "true, false"},
    {"{\"depth\":0}", ERR_RANGE, "/depth", "depth is 0; allowed: integers 1 to 4096"},
    {"{\"depth\":-1}", ERR_RANGE, "/depth", "-1"},
    {"{\"depth\":1e9}", ERR_RANGE, "/depth", "1000000000"},
    {"{\"depth\":1e300}", ERR_RANGE, "/depth", "1e300"},
    {"{\"depth\":1e999}", ERR_RANGE, "/depth", "too large"},
    {"{\"depth\":12.5}", ERR_TYPE, "/depth", "12.5"},
    {"{\"depth\":\"12\"}", ERR_TYPE, "/depth", "\"12\""},
    {"{\"depth\":[12]}", ERR_TYPE, "/depth", "a list"},
    {"{\"depth\":4294967297}", ERR_RANGE, "/depth", "4294967297"},
    {"{\"model\":{\"d_model\":63}}", ERR_COMBINATION, "/model/n_heads", "63"},
    {"{\"model\":{\"n_heads\":4,\"n_kv_heads\":3}}", ERR_COMBINATION, "/model/n_kv_heads", "3"},
    {"{\"model\":{\"window\":8}}", ERR_COMBINATION, "/model/window",
     "with global_every 1 no block is local"},
    {"{\"model\":{\"global_every\":6}}", ERR_COMBINATION, "/model/global_every",
     "needs model.window"},
    {"{\"model\":{\"position\":\"rope\",\"head_dim\":5}}", ERR_COMBINATION, "/model/position",
     "head_dim is 5"},
    {"{\"model\":{\"rope_base\":500}}", ERR_COMBINATION, "/model/rope_base",
     "needs rope positions"},
    {"{\"model\":{\"rope_fraction\":0.5}}", ERR_COMBINATION, "/model/rope_fraction",
     "needs rope positions"},
    {"{\"model\":{\"position\":\"rope\",\"rope_base_local\":500}}", ERR_COMBINATION,
     "/model/rope_base_local", "needs rope positions and model.window"},
    {"{\"model\":{\"v_norm\":true,\"qk_norm_span\":\"joint\"}}", ERR_COMBINATION,
     "/model/qk_norm_span", "needs model.qk_norm"},
    {"{\"model\":{\"qk_norm_type\":\"rmsnorm\"}}", ERR_COMBINATION, "/model/qk_norm_type",
     "needs model.qk_norm or model.v_norm"},
    {"{\"strategy\":\"u_spa\",\"model\":{\"logit_scale\":\"cosine\"}}", ERR_COMBINATION,
     "/model/logit_scale", "u_spa starts with W_Q = 0"},
    {"{\"strategy\":{\"name\":\"e_spa\",\"gamma_last\":1e-10},\"model\":{\"mask\":"
     "\"bidirectional\"}}",
     ERR_COMBINATION, "/strategy/gamma_last", "no usable root"},
    {"{\"model\":{\"preset\":\"mlp\",\"n_heads\":8}}", ERR_COMBINATION, "/model/n_heads",
     "n_heads needs attention in every block"},
    {"{\"model\":{\"preset\":\"mlp\",\"position\":\"rope\"}}", ERR_COMBINATION, "/model/position",
     "needs a family that tells places of a sequence apart"},
    {"{\"model\":{\"mixer\":\"none\",\"window\":8}}", ERR_COMBINATION, "/model/window",
     "needs attention in every block"},
    {"{\"model\":{\"mixer\":\"none\",\"qk_norm\":true}}", ERR_COMBINATION, "/model/qk_norm",
     "needs attention in every block"},
    {"{\"model\":{\"mlp\":\"none\",\"activation\":\"relu\"}}", ERR_COMBINATION, "/model/activation",
     "needs an MLP in every block"},
    {"{\"model\":{\"preset\":\"mlp\",\"d_ff\":64}}", ERR_COMBINATION, "/model/d_ff",
     "needs an MLP of two maps"},
    {"{\"model\":{\"family\":\"mlp\",\"mixer\":\"attention\"}}", ERR_COMBINATION, "/model/mixer",
     "the family mlp mixes no tokens; allowed: none"},
    {"{\"model\":{\"alpha_dropout\":0.1}}", ERR_COMBINATION, "/model/alpha_dropout",
     "needs the activation selu"},
    {"{\"data\":{\"token_corr\":0.5}}", ERR_COMBINATION, "/data/token_corr",
     "needs given inputs (data.source gaussian)"},
    {"{\"data\":{\"token_corr\":0.5}}", ERR_COMBINATION, "/data/token_corr",
     "token_corr is 0.5; token_corr needs given inputs"},
    {"{\"data\":{\"mask_fraction\":0.5}}", ERR_COMBINATION, "/data/mask_fraction",
     "needs masked places"},
    {"{\"train\":{\"momentum\":0.5}}", ERR_COMBINATION, "/train/momentum",
     "momentum is 0.5; momentum needs an optimizer with one moment"},
    {"{\"train\":{\"optimizer\":\"sgd\",\"beta1\":0.5}}", ERR_COMBINATION, "/train/beta1",
     "needs an optimizer with two moments"},
    {"{\"train\":{\"optimizer\":\"sgd\",\"beta2\":0.5}}", ERR_COMBINATION, "/train/beta2",
     "needs an optimizer with two moments"},
    {"{\"train\":{\"optimizer\":\"sgd\",\"eps\":1}}", ERR_COMBINATION, "/train/eps",
     "needs an optimizer with two moments"},
    {"{\"train\":{\"min_lr\":0.5}}", ERR_COMBINATION, "/train/min_lr",
     "needs a schedule that ends"},
    {"{\"model\":{\"preset\":\"mlp\",\"mask\":\"bidirectional\"},\"data\":\"gaussian\","
     "\"train\":{\"loss\":\"grad_iid\"}}",
     ERR_COMBINATION, "/model/mask", "needs attention in every block or a loss"},
    {"{\"train\":{\"momentum\":0.5},\"sweep\":{\"depth\":[2,3]}}", ERR_COMBINATION,
     "/train/momentum", "needs an optimizer with one moment"},
    {"{\"sweep\":{\"train.optimizer\":[\"sgd\",\"adamw\"],\"train.momentum\":[0.5,0.8]}}",
     ERR_COMBINATION, "/sweep/train.momentum/0", "needs an optimizer with one moment"},
    {"{\"data\":{\"variance\":4}}", ERR_COMBINATION, "/data/variance",
     "needs given inputs (data.source gaussian)"},
    {"{\"strategy\":{\"placement\":\"chain_pre_act\"}}", ERR_COMBINATION, "/model/mixer",
     "needs blocks of an MLP alone"},
    {"{\"model\":{\"logit_softcap\":0}}", ERR_RANGE, "/model/logit_softcap", "or null"},
    {"{\"model\":{\"rope_base\":0}}", ERR_RANGE, "/model/rope_base", "above 0"},
    {"{\"train\":{\"beta1\":1}}", ERR_RANGE, "/train/beta1", "to below 1"},
    {"{\"train\":{\"clip\":0}}", ERR_RANGE, "/train/clip", "or null"},
    {"{\"train\":-1}", ERR_RANGE, "/train", "steps is -1"},
    {"{\"train\":true}", ERR_TYPE, "/train", "steps is true"},
    {"{\"measure\":3}", ERR_TYPE, "/measure", "an object"},
    {"{\"measure\":{\"steps\":[0,0]}}", ERR_RANGE, "/measure/steps/1", "ascend"},
    {"{\"measure\":{\"steps\":[0,\"x\"]}}", ERR_TYPE, "/measure/steps/1", "\"x\""},
    {"{\"measure\":{\"steps\":3}}", ERR_TYPE, "/measure/steps", "a list"},
    {"{\"measure\":{\"steps\":[1]}}", ERR_COMBINATION, "/measure/steps/0", "train.steps is 0"},
    {"{\"measure\":{\"sites\":[\"resid_out\",\"resid\"]}}", ERR_UNKNOWN_NAME, "/measure/sites/1",
     "\"resid\""},
    {"{\"measure\":{\"metrics\":[\"moments\",\"vars\"]}}", ERR_UNKNOWN_NAME, "/measure/metrics/1",
     "did you mean var?"},
    {"{\"measure\":{\"metrics\":[4]}}", ERR_TYPE, "/measure/metrics/0", "4"},
    {"{\"measure\":{\"metrics\":\"var\"}}", ERR_TYPE, "/measure/metrics", "a list"},
    {"{\"data\":\"text\"}", ERR_MISSING_FIELD, "/data/corpus", "corpus"},
    {"{\"data\":{\"corpus\":\"a\"}}", ERR_COMBINATION, "/data/corpus", "not text"},
    {"{\"data\":{\"source\":\"text\",\"corpus\":\"../x\"}}", ERR_RANGE, "/data/corpus", "letters"},
    {"{\"data\":{\"source\":\"text\",\"corpus\":\"\"}}", ERR_RANGE, "/data/corpus", "letters"},
    {"{\"data\":{\"token_corr\":1.5}}", ERR_RANGE, "/data/token_corr", "0 to 1"},
    {"{\"seeds\":[]}", ERR_RANGE, "/seeds", "empty"},
    {"{\"seeds\":3}", ERR_TYPE, "/seeds", "a list"},
    {"{\"seeds\":[1,2,1]}", ERR_RANGE, "/seeds/2", "twice"},
    {"{\"seeds\":[1.5]}", ERR_TYPE, "/seeds/0", "1.5"},
    {"{\"seeds\":[-1]}", ERR_RANGE, "/seeds/0", "-1"},
    {"{\"seeds\":[9007199254740993]}", ERR_RANGE, "/seeds/0", "9007199254740991"},
    {"{\"precision\":\"float16\"}", ERR_UNKNOWN_NAME, "/precision", "float32, float64"},
    {"{\"name\":3}", ERR_TYPE, "/name", "120 characters"},
    {"{\"name\":\"a\\nb\"}", ERR_RANGE, "/name", "U+000A"},
    {"{\"sweep\":[]}", ERR_TYPE, "/sweep", "an object"},
    {"{\"sweep\":{\"depth\":6}}", ERR_TYPE, "/sweep/depth", "at least one value"},
    {"{\"sweep\":{\"depth\":[]}}", ERR_RANGE, "/sweep/depth", "empty"},
    {"{\"sweep\":{\"depth\":[6,0]}}", ERR_RANGE, "/sweep/depth/1", "depth is 0"},
    {"{\"sweep\":{\"depth\":[6,12,6]}}", ERR_RANGE, "/sweep/depth/2", "twice"},
    {"{\"sweep\":{\"strategy\":[\"pre_ln\",{\"name\":\"pre_ln\"}]}}", ERR_RANGE,
     "/sweep/strategy/1", "twice"},
    {"{\"sweep\":{\"strategy\":[{\"epss\":1}]}}", ERR_UNKNOWN_FIELD, "/sweep/strategy/0/epss",
     "did you mean eps?"},
    {"{\"sweep\":{\"seeds\":[[1]]}}", ERR_UNKNOWN_FIELD, "/sweep/seeds", "no field to sweep"},
    {"{\"sweep\":{\"name\":[\"x\"]}}", ERR_UNKNOWN_FIELD, "/sweep/name", "no field to sweep"},
    {"{\"sweep\":{\"sweep\":[{}]}}", ERR_UNKNOWN_FIELD, "/sweep/sweep", "no field to sweep"},
    {"{\"sweep\":{\"train.rl\":[1]}}", ERR_UNKNOWN_FIELD, "/sweep/train.rl",
     "did you mean train.lr?"},
    {"{\"sweep\":{\".depth\":[1]}}", ERR_UNKNOWN_FIELD, "/sweep/.depth", "no field"},
    {"{\"sweep\":{\"\":[1]}}", ERR_UNKNOWN_FIELD, "/sweep/", "no field"},
    {"{\"sweep\":{\"model.n_heads\":[4,5]}}", ERR_COMBINATION, "/sweep/model.n_heads/1",
     "(in {\"model.n_heads\":5})"},
    {"{\"sweep\":{\"model\":[\"tiny\",{\"n_heads\":5}]}}", ERR_COMBINATION,
     "/sweep/model/1/n_heads", "5"},
    {"{\"sweep\":{\"measure.steps\":[[0],[0,3]]}}", ERR_COMBINATION, "/sweep/measure.steps/1/1",
     "step 3"},
    {"{\"train\":4,\"sweep\":{\"measure.steps\":[[0],[0,3],[5]]}}", ERR_COMBINATION,
     "/sweep/measure.steps/2/0", "step 5"},
    {"{\"sweep\":{\"data\":[\"gaussian\",\"text\"]}}", ERR_MISSING_FIELD, "/data/corpus", "corpus"},
};

START_TEST(test_bad_job_is_refused_with_code_pointer_and_reason)
{
    job j;
    error err;
    err_code code = read_text(refused[_i].text, &j, &err);
    ck_assert_msg(code == refused[_i].code, "%s: %s %s", refused[_i].text, error_name(code),
                  err.message);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strcmp(err.pointer, refused[_i].pointer) == 0, "%s: %s", refused[_i].text,
                  err.pointer);
    ck_assert_msg(strstr(err.message, refused[_i].says), "%s: %s", refused[_i].text, err.message);
    ck_assert_ptr_null(strchr(err.message, '\n'));
    job_deinit(&j);
}
END_TEST

START_TEST(test_hostile_texts_do_not_reach_the_message)
{
    job j;
    error err;
    ck_assert_int_eq(read_text("{\"strategy\":\"\\u001b[31m\\n\\u0085\\u009b\\r\"}", &j, &err),
                     ERR_UNKNOWN_NAME);
    for (const char *p = err.message; *p; p++) ck_assert_int_ge((unsigned char)*p, 0x20);
    ck_assert_ptr_null(strstr(err.message, "\xc2\x9b"));
    job_deinit(&j);
    char *text = malloc(200100);
    int n = sprintf(text, "{\"strategy\":\"");
    memset(text + n, 'x', 200000);
    strcpy(text + n + 200000, "\"}");
    ck_assert_int_eq(read_text(text, &j, &err), ERR_UNKNOWN_NAME);
    ck_assert_msg(strstr(err.message, "xxx…\""), "%s", err.message);
    ck_assert_msg(strstr(err.message, "pre_ln"), "%s", err.message);
    job_deinit(&j);
    free(text);
}
END_TEST

/* --- limits ----------------------------------------------------------------------------------- */

START_TEST(test_depth_limit_is_the_servers)
{
    limits lim = wide();
    job j;
    error err;
    lim.depth = 10;
    ck_assert_int_eq(reader_job("{\"depth\":11}", 12, &lim, &j, &err), ERR_RANGE);
    ck_assert_str_eq(err.pointer, "/depth");
    ck_assert_ptr_nonnull(strstr(err.message, "1 to 10"));
    job_deinit(&j);
    ck_assert_int_eq(reader_job("{\"depth\":10}", 12, &lim, &j, &err), ERR_OK);
    job_deinit(&j);
    ck_assert_int_eq(reader_job("{}", 2, &lim, &j, &err), ERR_LIMIT); /* the default is 12 */
    ck_assert_str_eq(err.pointer, "/depth");
    job_deinit(&j);
}
END_TEST

/* Beside a sweep a field needs one arm that it means something to; the others have its default. */
START_TEST(test_a_field_beside_a_sweep_is_of_the_arms_that_use_it)
{
    job j, again;
    read_ok("{\"train\":{\"momentum\":0.5},\"sweep\":{\"train.optimizer\":[\"sgd\",\"adamw\"]},"
            "\"seeds\":[0]}",
            &j);
    ck_assert_double_eq(j.runs[0].spec.train.momentum, 0.5);
    ck_assert_double_eq(j.runs[1].spec.train.momentum, 0.9);
    ck_assert(j.beside[FIELD_train_momentum] && !j.beside[FIELD_train_optimizer]);
    read_ok(j.resolved, &again);
    ck_assert_str_eq(j.hash, again.hash);
    job_deinit(&j);
    job_deinit(&again);
}
END_TEST

/* A run that an older program stored is read whatever fields mean today. */
START_TEST(test_what_means_nothing_in_a_stored_text_is_dropped)
{
    const char *text = "{\"train\":{\"momentum\":0.5},\"seeds\":[0]}";
    limits lim = limits_default();
    job j;
    error err;
    lim.stored = true;
    job_init(&j);
    ck_assert_int_eq(reader_job(text, strlen(text), &lim, &j, &err), ERR_OK);
    ck_assert_double_eq(j.runs[0].spec.train.momentum, 0.9);
    job_deinit(&j);
}
END_TEST

START_TEST(test_too_large_a_run_is_refused_with_figures)
{
    limits lim = wide();
    job j;
    error err;
    static const char text[] = "{\"model\":\"llama3_8b\",\"depth\":4000}";
    lim.peak_bytes = 1 << 30;
    ck_assert_int_eq(reader_job(text, strlen(text), &lim, &j, &err), ERR_LIMIT);
    ck_assert_msg(strstr(err.message, "TiB") && strstr(err.message, "1 GiB"), "%s", err.message);
    job_deinit(&j);
    lim = wide();
    lim.flops = 1e6;
    ck_assert_int_eq(reader_job("{}", 2, &lim, &j, &err), ERR_LIMIT);
    ck_assert_msg(strstr(err.message, "1e+06"), "%s", err.message);
    job_deinit(&j);
}
END_TEST

START_TEST(test_sweep_product_is_checked_before_it_is_made)
{
    job j;
    error err;
    char text[8192];
    int n = sprintf(text, "{\"sweep\":{");
    for (int i = 0, first = 1; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        char path[FIELD_PATH];
        if (f->type != FIELD_NUMBER || f->open_min) continue;
        field_path(path, f);
        n += sprintf(text + n, "%s\"%s\":[0,0.1,0.2,0.3,0.4,0.5]", first ? "" : ",", path);
        first = 0;
    }
    sprintf(text + n, "}}"); /* about 6^20 runs */
    ck_assert_int_eq(read_text(text, &j, &err), ERR_LIMIT);
    ck_assert_str_eq(err.pointer, "/sweep");
    ck_assert_msg(strstr(err.message, "4096"), "%s", err.message);
    job_deinit(&j);
}
END_TEST

START_TEST(test_blocks_of_all_combinations_are_limited)
{
    job j;
    error err;
    char *text = malloc(1 << 17);
    int n = sprintf(text, "{\"seeds\":[1],\"sweep\":{\"depth\":[4096");
    for (int i = 1; i < 4000; i++) n += sprintf(text + n, ",%d", i);
    sprintf(text + n, "]}}");
    ck_assert_int_eq(read_text(text, &j, &err), ERR_LIMIT);
    ck_assert_msg(strstr(err.message, "400000 blocks"), "%s", err.message);
    ck_assert_int_eq(strncmp(err.pointer, "/sweep/depth/", 13), 0);
    free(text);
    job_deinit(&j);
}
END_TEST

/* A strategy whose network has what the field needs; NULL: none does. */
static const char *strategy_with(const field *f, const char *base, const char *sweep)
{
    for (int i = 0; i < strategy_registry.n; i++) {
        const char *name = strategy_registry.rows[i]->name;
        char text[768];
        job j;
        error err;
        if (!f->use && strcmp(name, "pre_ln") != 0) continue;
        snprintf(text, sizeof text, "{%s,\"strategy\":\"%s\",\"seeds\":[0],%s}", base, name, sweep);
        err_code code = read_text(text, &j, &err);
        job_deinit(&j);
        if (code == ERR_OK) return name;
        ck_assert_msg(code == ERR_COMBINATION, "%s: %s %s", text, err.pointer, err.message);
    }
    return NULL;
}

START_TEST(test_free_fields_do_not_change_the_estimate)
{
    static const char *const bases[] = {
        "\"model\":\"tiny\",\"train\":{\"steps\":3,\"optimizer\":\"%s\",\"schedule\":\"cosine\"}",
        "\"model\":\"llama_tiny\",\"train\":{\"steps\":3,\"optimizer\":\"%s\"},\"precision\":"
        "\"float64\""};
    const field *f = &field_table[_i];
    if (!f->free) return;
    char path[FIELD_PATH];
    field_path(path, f);
    for (int i = 0; i < 4; i++) {
        job j;
        char base[256], sweep[256], text[768];
        snprintf(base, sizeof base, bases[i / 2], i % 2 ? "sgd" : "adamw");
        snprintf(sweep, sizeof sweep, "\"depth\":2,\"sweep\":{\"%s\":[%s,%s,%s]}", path,
                 f->open_min ? "0.25" : "0", f->open_max ? "0.75" : "1",
                 f->type == FIELD_INTEGER ? "3" : "0.5");
        const char *name = strategy_with(f, base, sweep);
        if (!name && f->use) return;
        snprintf(text, sizeof text, "{%s,\"strategy\":\"%s\",\"seeds\":[0],%s}", base, name, sweep);
        error err;
        read_ok(text, &j);
        for (int k = 0; k < j.n_runs; k++) {
            estimate own;
            const run_spec *spec = &j.runs[k].spec;
            ck_assert_int_eq(engine_for(spec->precision)->estimate(spec, 1, false, &own, &err),
                             ERR_OK);
            ck_assert_uint_eq(own.peak_bytes, j.runs[k].cost.peak_bytes);
            ck_assert_uint_eq(own.parameters, j.runs[k].cost.parameters);
            ck_assert_uint_eq(own.measurements, j.runs[k].cost.measurements);
            ck_assert_double_eq(own.flops, j.runs[k].cost.flops);
        }
        job_deinit(&j);
    }
}
END_TEST

START_TEST(test_most_runs_and_a_long_axis_are_read_at_once)
{
    job j;
    char *text = malloc(1 << 17);
    int n = sprintf(text, "{\"depth\":1,\"seeds\":[1],\"sweep\":{\"train.lr\":[0");
    for (int i = 1; i < 4000; i++) n += sprintf(text + n, ",%d", i);
    sprintf(text + n, "]}}");
    read_ok(text, &j);
    ck_assert_int_eq(j.n_runs, 4000);
    free(text);
    job_deinit(&j);
}
END_TEST

START_TEST(test_arm_too_long_is_refused)
{
    job j;
    error err;
    char text[16384];
    int n =
        sprintf(text, "{\"sweep\":{\"measure.metrics\":[[\"%s\"", metric_registry.rows[0]->name);
    for (int i = 1; i < METRIC_COUNT; i++)
        n += sprintf(text + n, ",\"%s\"", metric_registry.rows[i]->name);
    sprintf(text + n, "]]}}");
    ck_assert_int_eq(read_text(text, &j, &err), ERR_LIMIT);
    ck_assert_str_eq(err.pointer, "/sweep");
    job_deinit(&j);
}
END_TEST

/* --- one meaning, one text -------------------------------------------------------------------- */

static const char *const same[][2] = {
    {"{}", " { } "},
    {"{}", "{\"name\":\"x\",\"model\":\"tiny\",\"depth\":12,\"seeds\":[0,1,2]}"},
    {"{\"depth\":1000}", "{\"depth\":1e3}"},
    {"{\"train\":{\"lr\":0.001,\"steps\":3}}", "{\"train\":{\"steps\":3.0,\"lr\":1e-3}}"},
    {"{\"strategy\":\"post_ln\"}", "{\"strategy\":{\"placement\":\"post_ln\",\"eps\":0.00001}}"},
    {"{\"measure\":{\"sites\":[\"q\",\"k\"]}}", "{\"measure\":{\"sites\":[\"k\",\"q\",\"q\"]}}"},
    {"{\"init\":{\"std\":0}}", "{\"init\":{\"std\":-0.0}}"},
    {"{\"sweep\":{\"strategy\":[\"post_ln\"]}}",
     "{\"sweep\":{\"strategy\":[{\"name\":\"post_ln\"}]}}"},
    {"{\"strategy\":\"peri_ln_emb\"}",
     "{\"strategy\":{\"placement\":\"peri_ln\",\"embed_norm\":true}}"},
    {"{\"model\":\"small\"}", "{\"model\":{\"d_model\":256,\"d_ff\":1024,\"vocab\":1024}}"},
};

START_TEST(test_equal_meaning_gives_equal_hash)
{
    job a, b;
    read_ok(same[_i][0], &a);
    read_ok(same[_i][1], &b);
    ck_assert_str_eq(a.resolved, b.resolved);
    ck_assert_str_eq(a.hash, b.hash);
    job_deinit(&a);
    job_deinit(&b);
}
END_TEST

static const char *const different[] = {
    "{}",
    "{\"depth\":13}",
    "{\"seeds\":[0,1]}",
    "{\"seeds\":[1,0,2]}",
    "{\"precision\":\"float64\"}",
    "{\"train\":1}",
    "{\"train\":{\"lr\":0.0010000000000000002}}",
    "{\"sweep\":{\"depth\":[12]}}",
    "{\"sweep\":{\"depth\":[12,13]}}",
    "{\"sweep\":{\"depth\":[13,12]}}",
    "{\"measure\":{\"sites\":[]}}",
    "{\"train\":{\"clip\":null}}",
    "{\"init\":{\"embed_std\":0.02}}",
    "{\"model\":{\"mask\":\"bidirectional\"}}",
};

START_TEST(test_different_meaning_gives_different_hash)
{
    job a, b;
    enum { N = sizeof different / sizeof *different };
    read_ok(different[_i], &a);
    for (int i = _i + 1; i < N; i++) {
        read_ok(different[i], &b);
        ck_assert_msg(strcmp(a.hash, b.hash) != 0, "%s and %s", different[_i], different[i]);
        job_deinit(&b);
    }
    job_deinit(&a);
}
END_TEST

/* The identity of stored results: a change here makes every stored hash stale, and must be meant.
 */
START_TEST(test_hash_of_a_small_job_is_what_it_was)
{
    job j;
    read_ok(
        "{\"depth\":2,\"seeds\":[7],\"measure\":{\"sites\":[\"resid_out\"],\"metrics\":[\"var\"]}}",
        &j);
    ck_assert_str_eq(
        j.resolved,
        "{\"model\":{\"family\":\"transformer\",\"mask\":\"causal\",\"d_model\":64,\"n_heads"
        "\":4,\"n_kv_heads\":4,\"head_dim\":16,\"d_ff\":256,\"vocab\":256,\"position\":\"lear"
        "ned\",\"rope_base\":10000,\"rope_base_local\":null,\"rope_fraction\":1,\"activation"
        "\":\"gelu\",\"bias\":false,\"qkv_bias\":false,\"k_bias\":false,\"attn_out_bias\":fal"
        "se,\"mlp_bias\":false,\"tied\":true,\"qk_norm\":false,\"qk_norm_span\":\"head\",\"qk"
        "_norm_type\":\"none\",\"v_norm\":false,\"logit_scale\":\"inv_sqrt\",\"logit_factor\""
        ":1,\"logit_softcap\":null,\"final_softcap\":null,\"window\":0,\"global_every\":1,\"p"
        "arallel\":false,\"embed_scale\":1,\"embed_scale_learned\":false},\"strategy\":{\"pla"
        "cement\":\"pre_ln\",\"norm\":\"layernorm\",\"eps\":1e-5,\"affine\":true,\"sigma\":\""
        "live\",\"gain_init\":1,\"unit_offset\":false,\"out_gain_init\":1,\"out_gain_rule\":"
        "\"constant\",\"embed_norm\":false,\"final_norm\":true,\"residual_scale\":1,\"residua"
        "l_rule\":\"constant\",\"residual_scales\":[],\"branch_gain\":\"none\",\"branch_gain_"
        "init\":0,\"alpha\":null,\"beta\":null,\"partner_depth\":0,\"init_factor\":true,\"fra"
        "ction\":0.25,\"fixnorm\":false,\"gpas\":false,\"resscale\":false,\"recentre\":false,"
        "\"parallel_norms\":1,\"alpha_attn\":0.5,\"alpha_mlp\":0.5,\"alpha_final\":0.5,\"grou"
        "ps\":4,\"stat_keep\":0.9,\"stat_warmup\":0,\"stat_window\":4,\"stat_filter\":false,"
        "\"stat_compat\":true,\"stat_divisor\":\"batch\",\"group_scale\":0,\"progress_steps\""
        ":0,\"gamma_last\":0.005,\"rho_last\":0.8,\"overrides\":[]},\"depth\":2,\"init\":{\"s"
        "cheme\":\"gpt2\",\"std\":0.02,\"gain\":1,\"depth_scale\":true,\"embed_std\":null,\"p"
        "osition_std\":null,\"head_std\":null},\"data\":{\"source\":\"random_tokens\",\"batch"
        "\":4,\"seq_len\":64,\"batches\":8,\"token_corr\":0,\"mask_fraction\":0.15},\"train\""
        ":{\"steps\":0,\"loss\":\"cross_entropy\",\"optimizer\":\"adamw\",\"lr\":0.001,\"mome"
        "ntum\":0.9,\"beta1\":0.9,\"beta2\":0.999,\"eps\":1e-8,\"weight_decay\":0.01,\"decay"
        "\":\"matrices\",\"warmup\":0,\"schedule\":\"constant\",\"min_lr\":0,\"clip\":1,\"par"
        "ametrization\":\"standard\",\"base_width\":64,\"base_head_dim\":16},\"rounding\":{\""
        "format\":\"none\",\"activations\":\"none\",\"gradients\":\"none\",\"weights\":\"none"
        "\",\"stochastic\":false,\"scale\":\"tensor\",\"loss_scale\":1},\"measure\":{\"steps"
        "\":[0],\"sites\":[\"resid_out\"],\"metrics\":[\"var\"],\"theory\":true,\"eval\":fals"
        "e,\"probes\":8,\"iterations\":15},\"seeds\":[7],\"precision\":\"float32\"}");
    ck_assert_str_eq(j.hash, "e941ed5c514f518aaeb4fdf1da8684bca4a88bdd1d27af1817ea0e65d01f3e81");
    job_deinit(&j);
}
END_TEST

/* --- presets and tables ----------------------------------------------------------------------- */

START_TEST(test_every_preset_is_a_job)
{
    job j;
    char text[128];
    snprintf(text, sizeof text, "{\"model\":\"%s\"}", preset_registry.rows[_i]->name);
    read_ok(text, &j);
    assert_run_text_is_that_run(&j, 0);
    job_deinit(&j);
}
END_TEST

START_TEST(test_every_field_has_doc_default_and_registry)
{
    const field *f = &field_table[_i];
    char allowed[64];
    ck_assert(f->doc && *f->doc);
    ck_assert_int_eq(field_find(f->group, f->name), _i);
    if (f->type == FIELD_CHOICE) {
        ck_assert_ptr_nonnull(choice_registry(f->choices));
        if (!f->rule) ck_assert_int_ge(registry_find(choice_registry(f->choices), f->text), 0);
    }
    if (!f->rule && (f->type == FIELD_INTEGER || f->type == FIELD_DEPTH))
        ck_assert(f->number >= f->min && f->number <= f->max);
    field_allowed(allowed, sizeof allowed, f, 0);
    ck_assert_uint_gt(strlen(allowed), 0);
}
END_TEST

START_TEST(test_every_kind_has_what_its_fields_need)
{
    const field *f = &field_table[_i];
    const field_kind *k = kind_table[f->type];
    ck_assert(k->name && (k->allows || k->allowed) && k->schema && k->write_default);
    ck_assert(f->size   ? k->read && k->write
              : k->read ? k->copy_draft != NULL
                        : k->read_own != NULL);
    if (k->write_default == kind_default_json && !f->rule) ck_assert_ptr_nonnull(f->text);
}
END_TEST

START_TEST(test_tables_are_json)
{
    char *texts[] = {schema_job(), tables_fields(), tables_presets(), tables_registries(),
                     tables_registry("norms")};
    ck_assert_ptr_null(tables_registry("nroms"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        job j;
        error err;
        limits lim = wide();
        lim.body_bytes = 1 << 20;
        ck_assert_ptr_nonnull(texts[i]);
        /* Read as a job it fails on its fields or on the number of its values, not on its grammar.
         */
        err_code code = reader_job(texts[i], strlen(texts[i]), &lim, &j, &err);
        ck_assert_msg(code == ERR_UNKNOWN_FIELD || code == ERR_LIMIT, "%zu: %s %s", i, err.pointer,
                      err.message);
        job_deinit(&j);
        free(texts[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reader");
    TCase *c = tcase_create("resolve");
    tcase_set_timeout(c, 30);
    tcase_add_test(c, test_empty_object_is_a_job);
    tcase_add_test(c, test_three_lines_are_a_job);
    tcase_add_test(c, test_fields_win_over_preset_and_sweep_over_fields);
    tcase_add_test(c, test_dependent_defaults_follow_swept_values);
    tcase_add_test(c, test_init_std_is_the_schemes_unless_it_is_given);
    tcase_add_test(c, test_last_axis_and_then_seeds_are_fastest);
    tcase_add_test(c, test_groups_of_metrics_are_their_members);
    tcase_add_test(c, test_name_may_have_120_characters_of_any_length);
    tcase_add_test(c, test_null_switches_off);
    suite_add_tcase(s, c);
    c = tcase_create("refusals");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, test_bad_job_is_refused_with_code_pointer_and_reason, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(c, test_hostile_texts_do_not_reach_the_message);
    tcase_add_test(c, test_depth_limit_is_the_servers);
    tcase_add_test(c, test_a_field_beside_a_sweep_is_of_the_arms_that_use_it);
    tcase_add_test(c, test_what_means_nothing_in_a_stored_text_is_dropped);
    tcase_add_test(c, test_too_large_a_run_is_refused_with_figures);
    tcase_add_test(c, test_sweep_product_is_checked_before_it_is_made);
    tcase_add_test(c, test_blocks_of_all_combinations_are_limited);
    tcase_add_loop_test(c, test_free_fields_do_not_change_the_estimate, 0, FIELD_COUNT);
    tcase_add_test(c, test_most_runs_and_a_long_axis_are_read_at_once);
    tcase_add_test(c, test_arm_too_long_is_refused);
    suite_add_tcase(s, c);
    c = tcase_create("identity");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_equal_meaning_gives_equal_hash, 0, sizeof same / sizeof *same);
    tcase_add_loop_test(c, test_different_meaning_gives_different_hash, 0,
                        sizeof different / sizeof *different);
    tcase_add_test(c, test_hash_of_a_small_job_is_what_it_was);
    suite_add_tcase(s, c);
    c = tcase_create("tables");
    tcase_set_timeout(c, 30);
    tcase_add_loop_test(c, test_every_preset_is_a_job, 0, preset_registry.n);
    tcase_add_loop_test(c, test_every_field_has_doc_default_and_registry, 0, FIELD_COUNT);
    tcase_add_loop_test(c, test_every_kind_has_what_its_fields_need, 0, FIELD_COUNT);
    tcase_add_test(c, test_tables_are_json);
    suite_add_tcase(s, c);
    return suite_run(s);
}
