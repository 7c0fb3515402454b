/* `normscope run` from end to end, in this process: formats, weights, corpora, exit statuses. */
#include "server/command/run.h"
#include "server/command/safetensors.h"
#include "server/text/file_read.h"
#include "tests/suite.h"

#include <cJSON.h>
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], said[8192];

static const char *in_folder(const char *name)
{
    static char paths[8][128];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static void setup(void)
{
    strcpy(folder, "/tmp/test_run.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    clearenv();
}

static void teardown(void)
{
    static const char *const names[] = {"job", "out", "out2", "weights", "dump", "text", "said"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(in_folder(names[i]));
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_text(const char *name, const char *text)
{
    FILE *to = fopen(in_folder(name), "w");
    ck_assert_ptr_nonnull(to);
    fputs(text, to);
    fclose(to);
}

static char *read_text(const char *name)
{
    char *bytes;
    size_t n;
    error err;
    ck_assert_msg(file_read(&bytes, &n, in_folder(name), 1 << 30, &err) == ERR_OK, "%s",
                  err.message);
    return bytes;
}

/* run with words alone; what it said is in `said`. */
static int run_words(int argc, const char *const *argv)
{
    options o;
    error err;
    int saved = dup(STDERR_FILENO), to = open(in_folder("said"), O_CREAT | O_TRUNC | O_RDWR, 0600);
    dup2(to, STDERR_FILENO);
    err_code code = option_parse(&o, argc, (char *const *)(uintptr_t)argv, &err);
    int status = code ? -1 : run_main(&o);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    ssize_t n = pread(to, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(saved);
    close(to);
    return status;
}

/* run with the job and further words; the exit status, and what it said on standard error in
 * `said`. */
static int run(const char *job, const char *const *words)
{
    const char *argv[24] = {"normscope",      "run",    in_folder("job"), "--out",
                            in_folder("out"), "--quiet"};
    int argc = 6;
    for (; words[argc - 6]; argc++) argv[argc] = words[argc - 6];
    write_text("job", job);
    return run_words(argc, argv);
}
#define RUN(job, ...) run(job, (const char *const[18]){__VA_ARGS__})

static const char small[] =
    "{\"depth\":2,\"seeds\":[1],\"data\":{\"seq_len\":16},\"model\":{\"d_model\":32}}";

/* --- a config.json, and fields from the command line -------------------------------------------
 */

static const char config[] =
    "{\"model_type\":\"llama\",\"hidden_size\":32,\"num_attention_heads\":2,\"num_hidden_layers\":"
    "9,"
    "\"intermediate_size\":48,\"vocab_size\":100,\"use_cache\":true,\"new\\u0007thing\":1}";

#define HF(...)                                                                                    \
    run_words(6 + (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                   \
              (const char *const[]){"normscope", "run", "--hf", in_folder("job"), "--out",         \
                                    in_folder("out"), __VA_ARGS__})

START_TEST(test_config_runs_without_a_job_file)
{
    write_text("job", config);
    ck_assert_msg(HF("--strategy", "peri_ln", "--depth", "2", "--set", "data.seq_len=8", "--set",
                     "seeds=[4]", "--set", "data=gaussian", "--set", "data.batch=2") == 0,
                  "%s", said);
    char *text = read_text("out");
    ck_assert_ptr_nonnull(strstr(text, "\"placement\":\"peri_ln\""));
    ck_assert_ptr_nonnull(strstr(text, "\"norm\":\"rmsnorm\""));
    ck_assert_ptr_nonnull(strstr(text, "\"depth\":2"));
    ck_assert_ptr_nonnull(strstr(text, "\"source\":\"gaussian\",\"batch\":2,\"seq_len\":8"));
    ck_assert_ptr_null(strstr(text, "hf_config"));
    ck_assert_ptr_nonnull(strstr(said, "hidden_size"));
    ck_assert_ptr_nonnull(strstr(said, "model.d_model 32"));
    ck_assert_ptr_nonnull(strstr(said, "for generation"));
    ck_assert_ptr_nonnull(strstr(said, "new?thing")); /* no control character reaches a terminal */
    free(text);
    ck_assert_int_eq(HF("--depth", "1", "--quiet"), 0);
    ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(test_config_and_fields_go_into_a_job_file)
{
    write_text("text", config);
    ck_assert_msg(RUN("{\"strategy\":\"post_ln\",\"seeds\":[3],\"depth\":4}", "--hf",
                      in_folder("text"), "--set", "strategy.eps=0.5", "--depth", "1") == 0,
                  "%s", said);
    char *text = read_text("out");
    ck_assert_ptr_nonnull(
        strstr(text, "\"placement\":\"post_ln\",\"norm\":\"rmsnorm\",\"eps\":0.5"));
    ck_assert_ptr_nonnull(strstr(text, "\"d_model\":32"));
    ck_assert_ptr_nonnull(strstr(text, "\"seeds\":[3]"));
    free(text);
    ck_assert_int_eq(RUN("{\"seeds\":[3]}", "--strategy", "peri_ln", "--depth", "1"), 0);
}
END_TEST

START_TEST(test_bad_config_and_bad_settings_are_status_2)
{
    write_text("job", "{\"model_type\":\"mixtral\",\"num_local_experts\":8}");
    ck_assert_int_eq(HF("--depth", "1"), 2);
    ck_assert_ptr_nonnull(strstr(said, "/model/hf_config/num_local_experts: mixtral is known"));
    write_text("job", "{\"model_type\":}");
    ck_assert_int_eq(HF("--depth", "1"), 2);
    ck_assert_ptr_nonnull(strstr(said, "/model/hf_config/model_type: "));
    ck_assert_int_eq(RUN("[]", "--depth", "2"), 2);
    ck_assert_int_eq(RUN("{}", "--set", "depth"), 2);
    ck_assert_ptr_nonnull(strstr(said, "FIELD=VALUE"));
    ck_assert_int_eq(RUN("{\"model\":[]}", "--set", "model.d_model=3"), 2);
    ck_assert_ptr_nonnull(strstr(said, "model has no fields"));
    ck_assert_int_eq(RUN("{}", "--set", "model.dmodel=3"), 2);
    ck_assert_ptr_nonnull(strstr(said, "did you mean d_model?"));
    ck_assert_int_eq(RUN("{\"model\":\"gpt2\"}", "--hf", in_folder("text")), 2);
    write_text("text", config);
    ck_assert_int_eq(RUN("{\"model\":\"gpt2\"}", "--hf", in_folder("text")), 2);
    ck_assert_ptr_nonnull(strstr(said, "/model/hf_config: hf_config takes the place of a preset"));
    ck_assert_int_eq(run_words(2, (const char *const[]){"normscope", "run"}), 2);
}
END_TEST

/* --- formats ---------------------------------------------------------------------------------- */

START_TEST(test_json_has_rows_steps_and_runs)
{
    ck_assert_msg(RUN("{\"depth\":2,\"seeds\":[1,2],\"train\":2,\"data\":{\"seq_len\":16},"
                      "\"sweep\":{\"strategy\":["
                      "\"pre_ln\",\"post_ln\"]}}",
                      "--threads", "2") == 0,
                  "%s", said);
    char *text = read_text("out");
    cJSON *tree = cJSON_Parse(text);
    ck_assert_ptr_nonnull(tree);
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(tree, "rows");
    const cJSON *columns = cJSON_GetObjectItemCaseSensitive(tree, "columns");
    ck_assert_int_gt(cJSON_GetArraySize(rows), 1000);
    ck_assert_int_eq(cJSON_GetArraySize(columns), 12);
    ck_assert_int_eq(cJSON_GetArraySize(rows->child), 12);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(tree, "steps")), 4 * 3);
    const cJSON *runs = cJSON_GetObjectItemCaseSensitive(tree, "runs");
    ck_assert_int_eq(cJSON_GetArraySize(runs), 4);
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(runs->child, "diverged")));
    ck_assert_ptr_null(cJSON_GetObjectItemCaseSensitive(tree, "error"));
    cJSON_Delete(tree);
    free(text);
}
END_TEST

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

START_TEST(test_three_formats_have_the_same_rows)
{
    ck_assert_int_eq(RUN(small, "--format", "csv"), 0);
    char *csv = read_text("out");
    static const char begin[] = "run_id,seed,arm,step,layer,site,metric,param,value,reason,item,"
                                "item_kind\n0,1,{},0,0,embed,";
    ck_assert_int_eq(strncmp(csv, begin, sizeof begin - 1), 0);
    ck_assert_int_eq(RUN(small, "--format", "ndjson"), 0);
    char *lines = read_text("out");
    int measured = 0;
    for (const char *p = lines; *p; p = strchr(p, '\n') + 1) {
        cJSON *line = cJSON_ParseWithLength(p, (size_t)(strchr(p, '\n') - p));
        ck_assert_ptr_nonnull(line);
        measured +=
            strcmp(cJSON_GetObjectItemCaseSensitive(line, "type")->valuestring, "measurement") == 0;
        cJSON_Delete(line);
    }
    ck_assert_int_eq(measured, count_lines(csv) - 1);
    free(csv);
    free(lines);
}
END_TEST

START_TEST(test_same_bits_for_any_number_of_threads)
{
    ck_assert_int_eq(RUN(small, "--format", "csv", "--threads", "1"), 0);
    char *one = read_text("out");
    ck_assert_int_eq(RUN(small, "--format", "csv", "--threads", "3"), 0);
    char *three = read_text("out");
    ck_assert(strcmp(one, three) == 0);
    free(one);
    free(three);
}
END_TEST

START_TEST(test_divergence_is_a_result)
{
    ck_assert_msg(RUN("{\"depth\":2,\"seeds\":[1],\"data\":{\"seq_len\":16},\"strategy\":\"none\","
                      "\"train\":{\"steps\":30,\"optimizer\":\"sgd\",\"lr\":1e30,\"clip\":null}}",
                      "--quiet") == 0,
                  "%s", said);
    char *text = read_text("out");
    ck_assert_ptr_nonnull(strstr(text, "\"diverged\":true"));
    cJSON *tree = cJSON_Parse(text);
    ck_assert_ptr_nonnull(tree); /* NaN and Inf are not bare */
    cJSON_Delete(tree);
    free(text);
}
END_TEST

/* --- tensors ---------------------------------------------------------------------------------- */

START_TEST(test_weights_go_out_and_in)
{
    static const char trained[] =
        "{\"depth\":2,\"seeds\":[1],\"train\":2,\"data\":{\"seq_len\":16},\"precision\":"
        "\"float64\","
        "\"measure\":{\"sites\":[\"param\"],\"metrics\":[\"param_weight_norm\"],\"steps\":[2]}}";
    static const char loaded[] =
        "{\"depth\":2,\"seeds\":[77],\"data\":{\"seq_len\":16},\"precision\":\"float64\","
        "\"measure\":{\"sites\":[\"param\"],\"metrics\":[\"param_weight_norm\"]}}";
    ck_assert_msg(RUN(trained, "--save-weights", in_folder("weights"), "--format", "csv") == 0,
                  "%s", said);
    char *first = read_text("out");
    ck_assert_msg(RUN(loaded, "--weights", in_folder("weights"), "--format", "csv") == 0, "%s",
                  said);
    char *second = read_text("out");
    /* The same norms, but for the columns seed and step. */
    int compared = 0;
    const char *a = strchr(first, '\n') + 1, *b = strchr(second, '\n') + 1;
    for (; *a && *b; a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1, compared++) {
        const char *tail_a = strchr(strchr(strchr(strchr(a, ',') + 1, ',') + 1, ',') + 1, ',');
        const char *tail_b = strchr(strchr(strchr(strchr(b, ',') + 1, ',') + 1, ',') + 1, ',');
        size_t n = strcspn(tail_a, "\n");
        ck_assert_msg(strncmp(tail_a, tail_b, n + 1) == 0, "%.120s and %.120s", a, b);
    }
    ck_assert_int_gt(compared, 10);
    ck_assert(!*a && !*b);
    free(first);
    free(second);
}
END_TEST

/* Weights of a model that was never frozen, or had no Admin: what is profiled need not be there. */
START_TEST(test_weights_may_lack_what_is_profiled)
{
    static const char job[] = "{\"depth\":2,\"seeds\":[1],\"data\":{\"seq_len\":16},\"model\":{"
                              "\"d_model\":32},\"strategy\":{\"placement\":\"%s\"%s}}";
    static const char *const pairs[][2] = {{"pre_ln", ",\"sigma\":\"frozen\""}, {"post_ln", ""}};
    char from[256], to[256];
    for (int i = 0; i < 2; i++) {
        snprintf(from, sizeof from, job, pairs[i][0], "");
        snprintf(to, sizeof to, job, i == 0 ? pairs[i][0] : "admin", pairs[i][1]);
        ck_assert_msg(RUN(from, "--save-weights", in_folder("weights")) == 0, "%s", said);
        ck_assert_msg(RUN(to, "--weights", in_folder("weights")) == 0, "%s", said);
    }
}
END_TEST

START_TEST(test_dump_has_values_and_gradients)
{
    safetensors dump;
    error err;
    ck_assert_msg(RUN(small, "--dump", in_folder("dump")) == 0, "%s", said);
    ck_assert_msg(safetensors_open(&dump, in_folder("dump"), &err) == ERR_OK, "%s", err.message);
    static const char *const names[] = {"embed.weight",
                                        "data.tokens",
                                        "blocks.1.mlp.down.weight",
                                        "probe.0.act.1.resid_out",
                                        "probe.0.grad.1.resid_out",
                                        "probe.0.grad.blocks.0.attn.q.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(safetensors_find(&dump, names[i]) != NULL, "%s", names[i]);
    safetensors_close(&dump);
}
END_TEST

START_TEST(test_weights_that_do_not_fit_are_refused)
{
    ck_assert_int_eq(RUN(small, "--save-weights", in_folder("weights")), 0);
    ck_assert_int_eq(
        RUN("{\"depth\":3,\"seeds\":[1],\"model\":{\"d_model\":32},\"data\":{\"seq_len\":16}}",
            "--weights", in_folder("weights")),
        2);
    ck_assert_msg(strstr(said, "no tensor blocks.2."), "%s", said);
    ck_assert_int_eq(
        RUN("{\"depth\":1,\"seeds\":[1],\"model\":{\"d_model\":32},\"data\":{\"seq_len\":16}}",
            "--weights", in_folder("weights")),
        2);
    ck_assert_msg(strstr(said, "the model takes"), "%s", said);
    ck_assert_int_eq(RUN("{\"depth\":2,\"seeds\":[1],\"data\":{\"seq_len\":16}}", "--weights",
                         in_folder("weights")),
                     2);
    ck_assert_msg(strstr(said, "shape"), "%s", said);
    char *text = read_text("out");
    ck_assert_str_eq(text, ""); /* nothing half written */
    free(text);
    ck_assert_int_eq(RUN("{\"depth\":2}", "--save-weights", in_folder("weights")), 2);
    ck_assert_msg(strstr(said, "job of one run; this one has 3"), "%s", said);
    ck_assert_int_eq(RUN(small, "--weights", "/nonexistent"), 2);
    ck_assert_msg(strstr(said, "No such file"), "%s", said);
}
END_TEST

/* --- corpora and bad input -------------------------------------------------------------------- */

START_TEST(test_corpus_is_read_from_a_file)
{
    static const char job[] = "{\"depth\":1,\"seeds\":[1],\"data\":{\"source\":\"text\",\"corpus\":"
                              "\"a\",\"seq_len\":16}}";
    char named[160];
    write_text("text", "The quick brown fox jumps over the lazy dog, again and again and again, "
                       "until evening comes. ");
    snprintf(named, sizeof named, "a=%s", in_folder("text"));
    ck_assert_msg(RUN(job, "--corpus", named) == 0, "%s", said);
    char *text = read_text("out");
    ck_assert_ptr_nonnull(strstr(text, "\"corpus\":\"a\",\"corpus_hash\":\""));
    free(text);
    ck_assert_int_eq(RUN(job, "--quiet"), 2);
    ck_assert_str_eq(
        said,
        "normscope: /data/corpus: there is no corpus a here; name its file with --corpus a=FILE\n");
    ck_assert_int_eq(RUN(job, "--corpus", "a"), 2);
    ck_assert_int_eq(RUN(job, "--corpus", "a=/nonexistent"), 2);
    write_text("text", "short");
    ck_assert_int_eq(RUN(job, "--corpus", named), 2);
    ck_assert_msg(strstr(said, "/data/"), "%s", said);
}
END_TEST

static const struct {
    const char *job, *says;
} bad[] = {
    {"", "normscope: the text ends too early"},
    {"{\"depth\":0}", "normscope: /depth: depth is 0; allowed: integers 1 to 4096\n"},
    {"{\"model\":{\"n_heads\":5}}", "normscope: /model/n_heads: "},
    {"{\"model\":\"llama3_8b\",\"depth\":4096}", "the limit is"},
};

START_TEST(test_bad_job_is_one_line_and_status_2)
{
    ck_assert_int_eq(RUN(bad[_i].job, "--quiet"), 2);
    ck_assert_msg(strstr(said, bad[_i].says), "%s", said);
    ck_assert_int_eq(count_lines(said), 1);
    ck_assert_int_ne(access(in_folder("out"), F_OK), 0);
}
END_TEST

START_TEST(test_full_disk_is_status_1)
{
    ck_assert_int_eq(RUN(small, "--out", "/dev/full"), 1);
    ck_assert_msg(strstr(said, "No space left"), "%s", said);
    ck_assert_int_eq(RUN(small, "--out", "/nonexistent/x"), 2);
    ck_assert_int_eq(RUN(small, "--format", "xml"), 2);
}
END_TEST

/* --- the gallery ------------------------------------------------------------------------------ */

/* run gallery:NAME; the exit status. */
static int run_gallery(const char *name)
{
    const char *argv[] = {"normscope", "run", name, "--out", in_folder("out"), "--quiet"};
    options o;
    error err;
    int saved = dup(STDERR_FILENO), to = open(in_folder("said"), O_CREAT | O_TRUNC | O_RDWR, 0600);
    dup2(to, STDERR_FILENO);
    err_code code = option_parse(&o, 6, (char *const *)(uintptr_t)argv, &err);
    int status = code ? -1 : run_main(&o);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    ssize_t n = pread(to, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(saved);
    close(to);
    return status;
}

START_TEST(test_a_gallery_job_runs_and_says_what_holds)
{
    ck_assert_msg(run_gallery("gallery:rezero-dead-first-step") == 0, "%s", said);
    ck_assert_msg(strstr(said, "holds  0 ") != NULL, "%s", said);
    ck_assert_ptr_null(strstr(said, "FAILS"));
    char *text = read_text("out");
    ck_assert_ptr_nonnull(strstr(text, "ReZero's first steps"));
    free(text);
}
END_TEST

START_TEST(test_an_unknown_gallery_job_is_refused_with_the_nearest)
{
    ck_assert_int_eq(run_gallery("gallery:deep-norm"), 2);
    ck_assert_msg(strstr(said, "did you mean deepnorm?") != NULL, "%s", said);
}
END_TEST

/* Post-LN at 24 blocks loses its tokens, Pre-LN does not; one seed is a warning. */
static const struct {
    const char *job, *more;
    int status;
} checks[] = {
    {"{\"model\":\"relu_xavier\",\"strategy\":\"pre_ln\",\"depth\":4,\"seeds\":[0,1]}", "--check",
     0},
    {"{\"model\":\"relu_xavier\",\"strategy\":\"pre_ln\",\"depth\":4,\"seeds\":[0,1]}", "--strict",
     0},
    {"{\"model\":\"relu_xavier\",\"strategy\":\"pre_ln\",\"depth\":4,\"seeds\":[0]}", "--check", 0},
    {"{\"model\":\"relu_xavier\",\"strategy\":\"pre_ln\",\"depth\":4,\"seeds\":[0]}", "--strict",
     3},
    {"{\"model\":\"relu_xavier\",\"strategy\":\"post_ln\",\"depth\":24,\"seeds\":[0]}", "--check",
     4},
    {"{\"model\":\"relu_xavier\",\"strategy\":\"post_ln\",\"depth\":24,\"seeds\":[0]}", "--quiet",
     0},
    {"{\"model\":\"relu_xavier\",\"depth\":4,\"seeds\":[0,1],"
     "\"expect\":[{\"metric\":\"var\",\"max\":0.5}]}",
     "--check", 4},
    {"{\"model\":\"relu_xavier\",\"depth\":4,\"seeds\":[0,1],"
     "\"expect\":[{\"metric\":\"var\",\"max\":0.5,\"verdict\":\"warn\"}]}",
     "--strict", 3},
};

START_TEST(test_the_verdict_is_the_exit_status)
{
    bool strict = strcmp(checks[_i].more, "--strict") == 0;
    ck_assert_int_eq(
        run(checks[_i].job, (const char *[]){checks[_i].more, strict ? "--check" : NULL, NULL}),
        checks[_i].status);
    char *text = read_text("out");
    cJSON *tree = cJSON_Parse(text);
    const cJSON *v = cJSON_GetObjectItem(tree, "verdict");
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(v, "sentence"));
    ck_assert_ptr_nonnull(cJSON_GetObjectItem(
        cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "runs"), 0), "verdict"),
        "verdict"));
    cJSON_Delete(tree);
    free(text);
}
END_TEST

START_TEST(test_a_search_computes_what_it_needs)
{
    ck_assert_int_eq(run("{\"model\":\"relu_xavier\",\"strategy\":\"post_ln\",\"seeds\":[0,1],"
                         "\"find\":{\"min_depth\":6,\"max_depth\":26}}",
                         (const char *[]){"--check", NULL}),
                     0);
    char *text = read_text("out");
    cJSON *tree = cJSON_Parse(text);
    const cJSON *run,
        *runs = cJSON_GetObjectItem(tree, "runs"),
        *row = cJSON_GetArrayItem(
            cJSON_GetObjectItem(cJSON_GetObjectItem(tree, "verdict"), "max_depth"), 0);
    int skipped = 0;
    cJSON_ArrayForEach(run, runs) skipped += cJSON_HasObjectItem(run, "skipped");
    ck_assert_int_eq(cJSON_GetArraySize(runs), 42);
    ck_assert_int_ge(skipped, 42 - 2 * 5);
    int pass = cJSON_GetObjectItem(row, "deepest_pass")->valueint,
        fail = cJSON_GetObjectItem(row, "shallowest_fail")->valueint;
    ck_assert_int_eq(fail, pass + 1);
    ck_assert(pass >= 12 && pass <= 20);
    cJSON_Delete(tree);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("run");
    TCase *c = tcase_create("run");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_json_has_rows_steps_and_runs);
    tcase_add_test(c, test_config_runs_without_a_job_file);
    tcase_add_test(c, test_config_and_fields_go_into_a_job_file);
    tcase_add_test(c, test_bad_config_and_bad_settings_are_status_2);
    tcase_add_test(c, test_three_formats_have_the_same_rows);
    tcase_add_test(c, test_same_bits_for_any_number_of_threads);
    tcase_add_test(c, test_divergence_is_a_result);
    tcase_add_test(c, test_weights_go_out_and_in);
    tcase_add_test(c, test_weights_may_lack_what_is_profiled);
    tcase_add_test(c, test_dump_has_values_and_gradients);
    tcase_add_test(c, test_weights_that_do_not_fit_are_refused);
    tcase_add_test(c, test_corpus_is_read_from_a_file);
    tcase_add_loop_test(c, test_bad_job_is_one_line_and_status_2, 0, sizeof bad / sizeof *bad);
    tcase_add_test(c, test_full_disk_is_status_1);
    tcase_add_loop_test(c, test_the_verdict_is_the_exit_status, 0, sizeof checks / sizeof *checks);
    tcase_add_test(c, test_a_search_computes_what_it_needs);
    tcase_add_test(c, test_a_gallery_job_runs_and_says_what_holds);
    tcase_add_test(c, test_an_unknown_gallery_job_is_refused_with_the_nearest);
    suite_add_tcase(s, c);
    return suite_run(s);
}
