/* Hugging Face configs: what published ones become, what is refused and where, what is reported. */
#include "server/job/choice.h"
#include "server/job/field.h"
#include "server/job/hf_config.h"
#include "server/job/preset.h"
#include "server/job/reader.h"
#include "server/text/file_read.h"
#include "tests/suite.h"

#include <cJSON.h>
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static limits wide(void)
{
    limits lim = limits_default();
    lim.peak_bytes = UINT64_MAX;
    lim.flops = INFINITY;
    return lim;
}

static err_code read_text(const char *text, job *j, error *err)
{
    limits lim = wide();
    *err = (error){0};
    return reader_job(text, strlen(text), &lim, j, err);
}

static void read_ok(const char *text, job *j)
{
    error err;
    ck_assert_msg(read_text(text, j, &err) == ERR_OK, "%.600s: %s %s", text, err.pointer,
                  err.message);
}

/* A job whose model is this config, with further members: "\"depth\":3". Heap. */
static char *job_of(const char *config, const char *members)
{
    size_t n = strlen(config) + strlen(members) + 80;
    char *text = malloc(n);
    ck_assert_ptr_nonnull(text);
    snprintf(text, n, "{\"model\":{\"hf_config\":%s}%s%s}", config, *members ? "," : "", members);
    return text;
}

static void read_config(const char *config, const char *members, job *j)
{
    char *text = job_of(config, members);
    read_ok(text, j);
    free(text);
}

static const cJSON *get(const cJSON *tree, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(tree, name);
    ck_assert_msg(value != NULL, "there is no %s", name);
    return value;
}

/* --- published configs: tests/hf ----------------------------------------------------------------
 */

enum { FILES = 64 };
static char files[FILES][128];
static int n_files;

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list_files(void)
{
    DIR *dir = opendir("tests/hf");
    const struct dirent *e;
    while (dir && (e = readdir(dir)))
        if (strstr(e->d_name, ".json") && n_files < FILES)
            snprintf(files[n_files++], sizeof *files, "tests/hf/%.100s", e->d_name);
    if (dir) closedir(dir);
    qsort(files, (size_t)n_files, sizeof *files, by_name);
}

static cJSON *read_file(const char *path)
{
    char *bytes;
    size_t n;
    error err;
    ck_assert_msg(file_read(&bytes, &n, path, 1 << 20, &err) == ERR_OK, "%s", err.message);
    cJSON *tree = cJSON_Parse(bytes);
    ck_assert_msg(tree != NULL, "%s", path);
    free(bytes);
    return tree;
}

static bool has_field(const cJSON *list, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item,
                       list) if (strcmp(get(item, "field")->valuestring, name) == 0) return true;
    return false;
}

static void assert_lists(const cJSON *file, const cJSON *coverage, const char *path)
{
    const cJSON *name, *unsupported = get(coverage, "unsupported");
    cJSON_ArrayForEach(name, get(file, "unsupported")) ck_assert_msg(
        has_field(unsupported, name->valuestring), "%s: %s is not told", path, name->valuestring);
    ck_assert_msg(cJSON_GetArraySize(unsupported) == cJSON_GetArraySize(get(file, "unsupported")),
                  "%s: %s", path, cJSON_Print(unsupported));
    cJSON_ArrayForEach(name, get(file, "ignored"))
        ck_assert_msg(has_field(get(coverage, "ignored"), name->valuestring),
                      "%s: %s is not ignored", path, name->valuestring);
}

/* Every field of the file is in one of the lists, once. */
static void assert_complete(const cJSON *config, const cJSON *coverage, const char *path)
{
    static const char *const lists[] = {"used", "ignored", "unsupported"};
    const cJSON *member;
    cJSON_ArrayForEach(member, config)
    {
        int n = 0;
        for (int i = 0; i < 3; i++) n += has_field(get(coverage, lists[i]), member->string);
        bool twice = strcmp(member->string, "model_type") == 0 && n == 2; /* and what it lacks */
        ck_assert_msg(n == 1 || twice, "%s: %s is told %d times", path, member->string, n);
    }
}

START_TEST(test_published_config_is_the_same_job_as_its_fields)
{
    const char *path = files[_i];
    cJSON *file = read_file(path);
    char *config = cJSON_PrintUnformatted(get(file, "config")),
         *fields = cJSON_PrintUnformatted(get(file, "expect"));
    job by_config, by_fields;
    ck_assert_uint_gt(strlen(get(file, "origin")->valuestring), 20);
    read_config(config, "", &by_config);
    read_ok(fields, &by_fields);
    ck_assert_msg(strcmp(by_config.resolved, by_fields.resolved) == 0, "%s:\n%s\n%s", path,
                  by_config.resolved, by_fields.resolved);
    ck_assert_str_eq(by_config.hash, by_fields.hash);
    ck_assert_ptr_null(by_fields.coverage);
    cJSON *coverage = cJSON_Parse(by_config.coverage);
    assert_lists(file, coverage, path);
    assert_complete(get(file, "config"), coverage, path);
    cJSON_Delete(coverage);
    job_deinit(&by_config);
    job_deinit(&by_fields);
    cJSON_free(config);
    cJSON_free(fields);
    cJSON_Delete(file);
}
END_TEST

/* --- the tables ---------------------------------------------------------------------------------
 */

START_TEST(test_every_model_reads_its_defaults_and_no_field_is_unknown)
{
    const hf_model *m = hf_model_table[_i];
    char config[128];
    snprintf(config, sizeof config, "{\"model_type\":\"%s\"}", m->entry.name);
    job j;
    error err;
    char *text = job_of(config, "\"seeds\":[0]");
    err_code code = read_text(text, &j, &err);
    free(text);
    if (m->refused) {
        ck_assert_int_eq(code, ERR_COMBINATION);
        ck_assert_str_eq(err.pointer, "/model/hf_config/model_type");
        ck_assert_ptr_nonnull(strstr(err.message, m->refused));
        job_deinit(&j);
        return;
    }
    ck_assert_msg(code == ERR_OK, "%s: %s %s", m->entry.name, err.pointer, err.message);
    cJSON *defaults = cJSON_Parse(m->defaults);
    const cJSON *member;
    cJSON_ArrayForEach(member, defaults)
    {
        int rows = 0;
        for (int i = 0; i < hf_n_fields; i++)
            rows += strcmp(hf_field_table[i].name, member->string) == 0;
        ck_assert_msg(rows == 1, "%s: %s has %d rows", m->entry.name, member->string, rows);
    }
    cJSON_Delete(defaults);
    job_deinit(&j);
}
END_TEST

START_TEST(test_class_names_find_the_same_model)
{
    const hf_model *m = hf_model_table[_i];
    char config[192];
    error err;
    hf_config c;
    snprintf(config, sizeof config, "{\"architectures\":[\"%s%s\"]}", m->class,
             strstr(m->class, "For") ? "" : "ForCausalLM");
    cJSON *tree = cJSON_Parse(config);
    err_code code = hf_config_read(&c, tree, 0, &err);
    if (m->refused)
        ck_assert_msg(strstr(err.message, m->entry.name) == err.message, "%s", err.message);
    else
        ck_assert_msg(code == ERR_OK && strstr(c.report, m->entry.name), "%s: %s", config,
                      err.message);
    hf_config_deinit(&c);
    cJSON_Delete(tree);
}
END_TEST

/* --- precedence ---------------------------------------------------------------------------------
 */

static const char small[] =
    "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_attention_heads\":4,"
    "\"num_hidden_layers\":2,\"intermediate_size\":96,\"vocab_size\":300}";

START_TEST(test_strategy_and_fields_win_over_the_config)
{
    job j;
    char *text = job_of(small, "\"depth\":5,\"strategy\":{\"name\":\"post_ln\",\"eps\":0.25}");
    read_ok(text, &j);
    const run_spec *s = &j.runs[0].spec;
    ck_assert_int_eq(s->depth, 5);
    ck_assert_double_eq(s->strategy.eps, 0.25);
    ck_assert_int_eq(s->strategy.placement,
                     registry_find(choice_registry("placements"), "post_ln"));
    ck_assert_int_eq(s->strategy.norm, registry_find(choice_registry("norms"), "rmsnorm"));
    ck_assert_int_eq(s->model.d_ff, 96);
    ck_assert_ptr_null(strstr(j.resolved, "hf_config"));
    ck_assert_ptr_null(strstr(j.resolved, "preset"));
    job_deinit(&j);
    free(text);
}
END_TEST

/* Strategies that differ in fields of the config: the resolved text must still say the same. */
START_TEST(test_swept_strategies_resolve_to_themselves)
{
    static const char *const sweeps[] = {
        "\"sweep\":{\"strategy\":[\"pre_ln\",\"peri_ln\",\"ngpt\"]}",
        "\"sweep\":{\"strategy\":[\"none\",\"pre_ln\"],\"depth\":[1,2]}",
        "\"sweep\":{\"strategy\":[{\"norm\":\"none\",\"embed_norm\":false},\"peri_ln_emb\"]}",
        "\"sweep\":{\"strategy.norm\":[\"none\",\"layernorm\"]}",
    };
    static const char *const configs[] = {
        small,
        "{\"model_type\":\"gemma2\",\"hidden_size\":64,\"num_attention_heads\":4,\"head_dim\":16,"
        "\"num_key_value_heads\":4,\"num_hidden_layers\":2,\"vocab_size\":300}",
        "{\"model_type\":\"bert\",\"hidden_size\":64,\"num_attention_heads\":4,"
        "\"num_hidden_layers\":2,\"vocab_size\":300}"};
    job j, again;
    char *text = job_of(configs[_i % 3], sweeps[_i / 3]);
    error err;
    err_code code = read_text(text, &j, &err);
    if (code) { /* nGPT has no biases, a norm on the embeddings is no norm when there is none */
        bool expected = strstr(text, "ngpt") || strstr(err.message, "embed_norm needs a norm");
        ck_assert_msg(expected && code == ERR_COMBINATION, "%s: %s", text, err.message);
        job_deinit(&j);
        free(text);
        return;
    }
    read_ok(j.resolved, &again);
    ck_assert_msg(strcmp(j.resolved, again.resolved) == 0, "%s\n%s", j.resolved, again.resolved);
    ck_assert_int_eq(j.n_runs, again.n_runs);
    for (int i = 0; i < j.n_runs; i++)
        ck_assert_msg(memcmp(&j.runs[i].spec, &again.runs[i].spec, sizeof j.runs[i].spec) == 0,
                      "run %d of %s", i, j.resolved);
    ck_assert_ptr_null(strstr(j.resolved, "hf_config"));
    job_deinit(&j);
    job_deinit(&again);
    free(text);
}
END_TEST

/* --- refusals -----------------------------------------------------------------------------------
 */

static const struct {
    const char *text; /* a whole job, or with a leading '+' members of a small llama config */
    err_code code;
    const char *pointer, *says;
} refused[] = {
    {"{\"model\":{\"hf_config\":3}}", ERR_TYPE, "/model/hf_config", "the object of a config.json"},
    {"{\"model\":{\"hf_config\":[]}}", ERR_TYPE, "/model/hf_config", "a list"},
    {"{\"model\":{\"hf_config\":{}}}", ERR_MISSING_FIELD, "/model/hf_config/model_type",
     "architectures"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"lama\"}}}", ERR_UNKNOWN_NAME,
     "/model/hf_config/model_type", "did you mean llama?"},
    {"{\"model\":{\"hf_config\":{\"architectures\":[\"FooForCausalLM\"]}}}", ERR_UNKNOWN_NAME,
     "/model/hf_config/architectures", "FooForCausalLM"},
    {"{\"model\":{\"hf_config\":{\"architectures\":3}}}", ERR_UNKNOWN_NAME,
     "/model/hf_config/architectures", "3"},
    {"{\"model\":{\"preset\":\"gpt2\",\"hf_config\":{\"model_type\":\"gpt2\"}}}", ERR_COMBINATION,
     "/model/hf_config", "takes the place of a preset"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gpt2\"}},\"sweep\":{\"model.preset\":[\"tiny\"]}"
     "}",
     ERR_COMBINATION, "/model/hf_config", "the sweep names presets too"},
    {"{\"sweep\":{\"model\":[{\"hf_config\":{\"model_type\":\"gpt2\"}}]}}", ERR_COMBINATION,
     "/sweep/model/0/hf_config", "make one job for each"},
    {"{\"sweep\":{\"model.preset\":[{\"depth\":2}]}}", ERR_COMBINATION, "/sweep/model.preset/0",
     "make one job for each"},
    {"{\"sweep\":{\"model.hf_config\":[{\"model_type\":\"gpt2\"}]}}", ERR_COMBINATION,
     "/sweep/model.hf_config/0", "one job for each"},
    {"{\"model\":{\"preset\":{\"seeds\":[1]}}}", ERR_UNKNOWN_FIELD, "/model/preset/seeds",
     "part of a preset"},
    {"{\"model\":{\"preset\":{\"depth\":0}}}", ERR_RANGE, "/model/preset/depth", "depth is 0"},
    {"{\"model\":{\"preset\":{\"model\":\"gpt2\"}}}", ERR_COMBINATION, "/model/preset/model",
     "stands on no other"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"mixtral\",\"num_local_experts\":8}}}",
     ERR_COMBINATION, "/model/hf_config/num_local_experts", "mixture of experts"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"t5\"}}}", ERR_COMBINATION,
     "/model/hf_config/model_type", "t5 is known and not offered"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"swinv2\",\"depths\":[2,2,6,2]}}}",
     ERR_COMBINATION, "/model/hf_config/depths", "stages"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gemma3\",\"text_config\":{\"hidden_size\":-1}}}}",
     ERR_RANGE, "/model/hf_config/text_config/hidden_size", "d_model is -1"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gpt2\",\"n_embd\":64,\"hidden_size\":64}}}",
     ERR_COMBINATION, "/model/hf_config/hidden_size", "given twice"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"opt\",\"word_embed_proj_dim\":512}}}",
     ERR_COMBINATION, "/model/hf_config/word_embed_proj_dim", "narrower"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"falcon\",\"alibi\":true}}}", ERR_COMBINATION,
     "/model/hf_config/alibi", "ALiBi"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"bert\",\"position_embedding_type\":"
     "\"relative_key\"}}}",
     ERR_COMBINATION, "/model/hf_config/position_embedding_type", "relative"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"olmo\",\"clip_qkv\":8.0}}}", ERR_COMBINATION,
     "/model/hf_config/clip_qkv", "clamped"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gpt2\",\"scale_attn_by_inverse_layer_idx\":true}}"
     "}",
     ERR_COMBINATION, "/model/hf_config/scale_attn_by_inverse_layer_idx", "by block"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gpt2\",\"activation_function\":\"quick_gelu\"}}}",
     ERR_COMBINATION, "/model/hf_config/activation_function", "no such activation"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"qwen2\",\"use_sliding_window\":true,"
     "\"max_window_layers\":3}}}",
     ERR_COMBINATION, "/model/hf_config/max_window_layers", "last blocks"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gemma2\",\"layer_types\":[\"full_attention\","
     "\"full_attention\",\"sliding_attention\"]}}}",
     ERR_COMBINATION, "/model/hf_config/layer_types", "equal distances"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gemma2\",\"layer_types\":[\"linear_attention\"]}}"
     "}",
     ERR_COMBINATION, "/model/hf_config/layer_types", "linear_attention"},
    {"{\"model\":{\"hf_config\":{\"model_type\":\"gemma2\",\"query_pre_attn_scalar\":0}}}",
     ERR_TYPE, "/model/hf_config/query_pre_attn_scalar", "above 0"},
    {"+\"num_local_experts\":8", ERR_COMBINATION, "/model/hf_config/num_local_experts",
     "num_local_experts is 8: a mixture of experts"},
    {"+\"is_encoder_decoder\":true", ERR_COMBINATION, "/model/hf_config/is_encoder_decoder",
     "another network"},
    {"+\"hidden_act\":\"relu\"", ERR_COMBINATION, "/model/hf_config/hidden_act", "no such gate"},
    {"+\"hidden_act\":4", ERR_TYPE, "/model/hf_config/hidden_act", "name of an activation"},
    {"+\"rms_norm_eps\":\"x\"", ERR_TYPE, "/model/hf_config/rms_norm_eps", "eps is \"x\""},
    {"+\"attention_bias\":1", ERR_TYPE, "/model/hf_config/attention_bias", "true, false"},
    {"+\"num_key_value_heads\":3", ERR_COMBINATION, "/model/hf_config/num_key_value_heads",
     "multiple"},
    {"+\"rope_theta\":0", ERR_RANGE, "/model/hf_config/rope_theta", "above 0"},
    {"+\"rope_parameters\":{\"rope_theta\":0}", ERR_RANGE,
     "/model/hf_config/rope_parameters/rope_theta", "above 0"},
    {"+\"rope_scaling\":3", ERR_TYPE, "/model/hf_config/rope_scaling", "an object, or null"},
    {"+\"head_dim\":1e30", ERR_RANGE, "/model/hf_config/head_dim", "head_dim is"},
    {"+\"max_position_embeddings\":1,\"max_position_embeddings\":1", ERR_DUPLICATE_FIELD,
     "/model/hf_config/max_position_embeddings", "twice"},
};

START_TEST(test_bad_config_is_refused_with_pointer_and_reason)
{
    job j;
    error err;
    const char *given = refused[_i].text;
    char config[512], *text;
    snprintf(config, sizeof config,
             "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_attention_heads\":4,%s}",
             given + 1);
    text = *given == '+' ? job_of(config, "") : strdup(given);
    err_code code = read_text(text, &j, &err);
    ck_assert_msg(code == refused[_i].code, "%s: %s %s %s", text, error_name(code), err.pointer,
                  err.message);
    ck_assert_msg(strcmp(err.pointer, refused[_i].pointer) == 0, "%s: %s (%s)", text, err.pointer,
                  err.message);
    ck_assert_msg(strstr(err.message, refused[_i].says), "%s: %s", text, err.message);
    ck_assert_ptr_null(j.coverage);
    job_deinit(&j);
    free(text);
}
END_TEST

/* --- the report ---------------------------------------------------------------------------------
 */

START_TEST(test_unknown_and_hostile_members_are_told_and_bounded)
{
    job j;
    char *config = malloc(1 << 18), *p = config;
    p +=
        sprintf(p, "{\"model_type\":\"llama\",\"(factor on the embeddings)\":\"x\","
                   "\"sliding_window\":4,\"a.b\\u0007\":\"\\u001b[31m\",\"huge\":1e999,\"list\":[");
    for (int i = 0; i < 9000; i++) p += sprintf(p, "%d,", i);
    p += sprintf(p, "0],\"text\":\"");
    memset(p, 'x', 5000);
    strcpy(p + 5000, "\"}");
    read_config(config, "\"seeds\":[0]", &j);
    free(config);
    ck_assert_uint_lt(strlen(j.coverage), 8000);
    cJSON *coverage = cJSON_Parse(j.coverage);
    ck_assert_ptr_nonnull(coverage);
    const cJSON *unsupported = get(coverage, "unsupported");
    ck_assert_int_eq(cJSON_GetArraySize(unsupported), 5);
    ck_assert(has_field(unsupported, "(factor on the embeddings)"));
    ck_assert(has_field(unsupported, "a.b\a"));
    ck_assert(has_field(get(coverage, "ignored"), "sliding_window"));
    ck_assert_double_eq(j.runs[0].spec.model.embed_scale, 1);
    ck_assert_int_eq(j.runs[0].spec.model.window, 0);
    cJSON_Delete(coverage);
    job_deinit(&j);
}
END_TEST

/* What stands in `became` is what the spec has. */
START_TEST(test_report_says_what_became_of_a_field)
{
    job j;
    read_config(small, "\"seeds\":[0]", &j);
    cJSON *coverage = cJSON_Parse(j.coverage);
    const cJSON *item, *member;
    cJSON_ArrayForEach(item, get(coverage, "used")) if (strcmp(get(item, "field")->valuestring,
                                                               "intermediate_size") == 0)
    {
        member = get(item, "became")->child;
        ck_assert_str_eq(member->string, "model.d_ff");
        ck_assert_double_eq(member->valuedouble, 96);
    }
    ck_assert(has_field(get(coverage, "defaulted"), "rms_norm_eps"));
    ck_assert_str_eq(get(coverage, "model_type")->valuestring, "llama");
    ck_assert_ptr_nonnull(get(get(coverage, "always"), "strategy"));
    cJSON_Delete(coverage);
    job_deinit(&j);
}
END_TEST

/* --- presets that are written out ----------------------------------------------------------------
 */

static const char *const same[][2] = {
    {"{\"model\":{\"preset\":{\"depth\":3,\"strategy\":{\"norm\":\"rmsnorm\"}}}}",
     "{\"depth\":3,\"strategy\":{\"norm\":\"rmsnorm\"}}"},
    {"{\"model\":{\"preset\":{\"depth\":3}},\"depth\":4}", "{\"depth\":4}"},
    {"{\"model\":{\"preset\":{\"strategy\":\"post_ln\"}}}", "{\"strategy\":\"post_ln\"}"},
    /* The strategy of a preset is that of jobs that name none. */
    {"{\"model\":{\"preset\":{\"strategy\":\"peri_ln_emb\"}},\"strategy\":\"pre_ln\"}",
     "{\"strategy\":\"pre_ln\"}"},
    {"{\"model\":{\"preset\":{\"strategy\":\"peri_ln_emb\"}},\"strategy\":{\"eps\":0.5}}",
     "{\"strategy\":{\"name\":\"peri_ln_emb\",\"eps\":0.5}}"},
    {"{\"model\":{\"preset\":{\"strategy\":{\"norm\":\"rmsnorm\"}}},"
     "\"sweep\":{\"strategy\":[\"none\",\"pre_ln\"]}}",
     "{\"model\":{\"hf_config\":{\"model_type\":\"llama\",\"hidden_size\":64,\"vocab_size\":256,"
     "\"num_hidden_layers\":12,\"num_attention_heads\":4,\"intermediate_size\":256,\"rms_norm_"
     "eps\":"
     "1e-5,\"tie_word_embeddings\":true},\"activation\":\"gelu\",\"position\":\"learned\"},"
     "\"init\":\"gpt2\",\"sweep\":{\"strategy\":[\"none\",\"pre_ln\"]}}"},
};

START_TEST(test_equal_networks_are_equal_however_they_are_said)
{
    job a, b;
    read_ok(same[_i][0], &a);
    read_ok(same[_i][1], &b);
    ck_assert_msg(strcmp(a.resolved, b.resolved) == 0, "%s\n%s", a.resolved, b.resolved);
    job_deinit(&a);
    job_deinit(&b);
}
END_TEST

/* --- presets against what is published -----------------------------------------------------------
 */

/* Presets of models whose config is in tests/hf: the same network to the last field. */
static const char *const twins[][2] = {{"gpt2", "gpt2"},
                                       {"llama3_8b", "llama-3-8b"},
                                       {"gemma2_27b", "gemma-2-27b"},
                                       {"gemma3_1b", "gemma-3-1b"},
                                       {"gemma3_4b", "gemma-3-4b"},
                                       {"qwen3_8b", "qwen3-8b"},
                                       {"gptj_6b", "gpt-j-6b"},
                                       {"pythia_160m", "pythia-160m"}};

START_TEST(test_preset_is_the_config_of_its_model)
{
    char text[128], path[64];
    job by_preset, by_config;
    snprintf(path, sizeof path, "tests/hf/%s.json", twins[_i][1]);
    snprintf(text, sizeof text, "{\"model\":\"%s\"}", twins[_i][0]);
    cJSON *file = read_file(path);
    char *config = cJSON_PrintUnformatted(get(file, "config"));
    read_ok(text, &by_preset);
    read_config(config, "", &by_config);
    ck_assert_msg(strcmp(by_preset.resolved, by_config.resolved) == 0, "%s\n%s", by_preset.resolved,
                  by_config.resolved);
    job_deinit(&by_preset);
    job_deinit(&by_config);
    cJSON_free(config);
    cJSON_Delete(file);
}
END_TEST

/* Parameters of the checkpoint, but for the parts that the preset's summary names: missing. Learned
 * positions are as many as a sequence has tokens. */
static const struct {
    const char *preset;
    int seq_len;
    uint64_t published, missing;
} sizes[] = {
    {"gpt2", 1024, 124439808, 0},
    {"gpt2_medium", 1024, 354823168, 0},
    {"gpt2_large", 1024, 774030080, 0},
    {"gpt2_xl", 1024, 1557611200, 0},
    {"bert_base", 512, 109482240, 2 * 768 + 768 * 768 + 768}, /* segments and pooler */
    {"llama3_8b", 1, 8030261248, 0},
    {"gemma2_2b", 1, 2614341888, 0},
    {"gemma2_9b", 1, 9241705984, 0},
    {"gemma2_27b", 1, 27227128320, 0},
    {"gemma3_1b", 1, 999885952, 0},
    {"olmo2_7b", 1, 7298617344, 0},
    {"olmo2_13b", 1, 13716198400, 0},
    {"olmo1_7b", 1, 6888095744, 0},
    {"qwen3_0_6b", 1, 596049920, 0},
    {"qwen3_1_7b", 1, 1720574976, 0},
    {"qwen3_4b", 1, 4022468096, 0},
    {"qwen3_8b", 1, 8190735360, 0},
    {"qwen3_14b", 1, 14768307200, 0},
    {"qwen3_32b", 1, 32762123264, 0},
    {"gptj_6b", 1, 6050882784, 50400}, /* the bias of the output matrix */
    {"pythia_160m", 1, 162322944, 0},
    {"pythia_1_4b", 1, 1414647808, 0},
    {"pythia_6_9b", 1, 6857302016, 0},
    {"gpt_neox_20b", 1, 20554567680, 0},
};

START_TEST(test_preset_has_the_published_number_of_parameters)
{
    char text[128];
    job j;
    snprintf(text, sizeof text, "{\"model\":\"%s\",\"data\":{\"seq_len\":%d},\"seeds\":[0]}",
             sizes[_i].preset, sizes[_i].seq_len);
    read_ok(text, &j);
    uint64_t built = j.runs[0].cost.parameters, published = sizes[_i].published - sizes[_i].missing;
    ck_assert_msg(built == published, "%s: %llu, published %llu", sizes[_i].preset,
                  (unsigned long long)built, (unsigned long long)published);
    job_deinit(&j);
}
END_TEST

/* The strategy that a preset names is left when the job names another; what is the model's stays.
 */
START_TEST(test_strategy_of_a_preset_is_replaced_whole)
{
    job a, b;
    read_ok("{\"model\":\"deepnet_100\",\"seeds\":[0]}", &a);
    read_ok("{\"model\":\"deepnet_100\",\"strategy\":\"pre_ln\",\"seeds\":[0]}", &b);
    ck_assert_ptr_nonnull(strstr(a.resolved, "\"placement\":\"deepnorm\""));
    ck_assert_ptr_nonnull(strstr(b.resolved, "\"placement\":\"pre_ln\""));
    job_deinit(&a);
    job_deinit(&b);
    read_ok("{\"model\":\"swin_v2_t_stage\",\"seeds\":[0]}", &a);
    read_ok("{\"model\":\"swin_v2_t_stage\",\"strategy\":\"pre_ln\",\"seeds\":[0]}", &b);
    ck_assert_ptr_nonnull(strstr(a.resolved, "\"out_gain_init\":0"));
    ck_assert_ptr_nonnull(strstr(b.resolved, "\"out_gain_init\":1"));
    ck_assert_ptr_nonnull(strstr(b.resolved, "\"logit_scale\":\"cosine\""));
    job_deinit(&a);
    job_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hf");
    TCase *c = tcase_create("configs");
    list_files();
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_published_config_is_the_same_job_as_its_fields, 0, n_files);
    tcase_add_loop_test(c, test_every_model_reads_its_defaults_and_no_field_is_unknown, 0,
                        hf_model_registry.n);
    tcase_add_loop_test(c, test_class_names_find_the_same_model, 0, hf_model_registry.n);
    tcase_add_test(c, test_strategy_and_fields_win_over_the_config);
    tcase_add_loop_test(c, test_swept_strategies_resolve_to_themselves, 0, 12);
    tcase_add_loop_test(c, test_bad_config_is_refused_with_pointer_and_reason, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(c, test_unknown_and_hostile_members_are_told_and_bounded);
    tcase_add_test(c, test_report_says_what_became_of_a_field);
    tcase_add_loop_test(c, test_equal_networks_are_equal_however_they_are_said, 0,
                        sizeof same / sizeof *same);
    tcase_add_loop_test(c, test_preset_is_the_config_of_its_model, 0, sizeof twins / sizeof *twins);
    tcase_add_loop_test(c, test_preset_has_the_published_number_of_parameters, 0,
                        sizeof sizes / sizeof *sizes);
    tcase_add_test(c, test_strategy_of_a_preset_is_replaced_whole);
    suite_add_tcase(s, c);
    return suite_run(s);
}
