/* The command line: one table, the environment beside it, and one line that says what is wrong. */
#include "server/command/option.h"
#include "tests/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static options o;
static error err;

enum { WORDS = 12 };

/* Words of the command line after the program's name. */
static err_code parse(const char *const *words)
{
    char *argv[WORDS + 1] = {(char *)(uintptr_t) "normscope"};
    int argc = 1;
    for (; argc < WORDS && words[argc - 1]; argc++) argv[argc] = (char *)(uintptr_t)words[argc - 1];
    err = (error){0};
    return option_parse(&o, argc, argv, &err);
}
#define PARSE(...) parse((const char *const[WORDS]){__VA_ARGS__})

static void setup(void)
{
    clearenv();
}

START_TEST(test_fallbacks_fill_what_is_not_given)
{
    ck_assert_int_eq(PARSE("serve"), ERR_OK);
    ck_assert_int_eq(o.command, COMMAND_serve);
    ck_assert_str_eq(o.text[OPTION_listen], "127.0.0.1:8080");
    ck_assert_double_eq(o.number[OPTION_max_body], 256 << 10);
    ck_assert_ptr_null(o.text[OPTION_token_file]);
    ck_assert(!o.flag[OPTION_demo] && !o.given[OPTION_listen]);
}
END_TEST

START_TEST(test_values_come_with_space_or_equals)
{
    ck_assert_int_eq(
        PARSE("serve", "--listen", "[::1]:0", "--max-body=1M", "--demo", "--workers=3"), ERR_OK);
    ck_assert_str_eq(o.text[OPTION_listen], "[::1]:0");
    ck_assert_double_eq(o.number[OPTION_max_body], 1 << 20);
    ck_assert_double_eq(o.number[OPTION_workers], 3);
    ck_assert(o.flag[OPTION_demo] && o.given[OPTION_listen]);
}
END_TEST

START_TEST(test_command_line_wins_over_environment_over_fallback)
{
    setenv("NORMSCOPE_MAX_RUNS", "10", 1);
    setenv("NORMSCOPE_WORKERS", "5", 1);
    setenv("NORMSCOPE_DEMO", "1", 1);
    setenv("NORMSCOPE_DB", "", 1);
    ck_assert_int_eq(PARSE("serve", "--workers", "2"), ERR_OK);
    ck_assert_double_eq(o.number[OPTION_max_runs], 10);
    ck_assert_double_eq(o.number[OPTION_workers], 2);
    ck_assert(o.flag[OPTION_demo]);
    ck_assert_str_eq(o.text[OPTION_db], "normscope.db");
    ck_assert_int_eq(PARSE("run", "a.json"), ERR_OK); /* no option of run: not even looked at */
    setenv("NORMSCOPE_DEMO", "maybe", 1);
    ck_assert_int_eq(PARSE("run", "a.json"), ERR_OK);
    ck_assert_int_eq(PARSE("serve"), ERR_TYPE);
    ck_assert_ptr_nonnull(strstr(err.message, "NORMSCOPE_DEMO is maybe"));
}
END_TEST

START_TEST(test_list_and_arguments_are_kept_in_order)
{
    ck_assert_int_eq(PARSE("run", "--corpus", "a=1", "job.json", "--corpus=b=2", "--", "--x"),
                     ERR_OK);
    ck_assert_int_eq(o.n_list, 2);
    ck_assert_str_eq(o.list[0].text, "a=1");
    ck_assert_str_eq(o.list[1].text, "b=2");
    ck_assert_int_eq(o.n_arguments, 2);
    ck_assert_str_eq(o.arguments[0], "job.json");
    ck_assert_str_eq(o.arguments[1], "--x");
    ck_assert_int_eq(PARSE("run", "-"), ERR_OK);
    ck_assert_str_eq(o.arguments[0], "-");
}
END_TEST

START_TEST(test_help_is_asked_for_in_many_ways)
{
    ck_assert_int_eq(parse((const char *const[WORDS]){NULL}), ERR_OK);
    ck_assert_int_eq(o.command, COMMAND_COUNT);
    ck_assert_int_eq(PARSE("--help"), ERR_OK);
    ck_assert_int_eq(o.command, COMMAND_COUNT);
    ck_assert_int_eq(PARSE("run", "-h"), ERR_OK);
    ck_assert(o.command == COMMAND_run && o.flag[OPTION_help]);
    ck_assert_int_eq(PARSE("serve", "--help"), ERR_OK);
    ck_assert(o.flag[OPTION_help]);
    ck_assert_int_eq(PARSE("--version"), ERR_OK);
    ck_assert_int_eq(o.command, COMMAND_version);
}
END_TEST

static const struct {
    const char *words[6];
    err_code code;
    const char *says;
} wrong[] = {
    {{"sevre"}, ERR_UNKNOWN_NAME, "did you mean serve?"},
    {{"serve", "--listn", "x"}, ERR_UNKNOWN_FIELD, "did you mean --listen?"},
    {{"run", "--listen", "x"}, ERR_UNKNOWN_FIELD, "run has no option --listen"},
    {{"serve", "--listen"}, ERR_MISSING_FIELD, "ADDRESS:PORT"},
    {{"serve", "-l"}, ERR_UNKNOWN_FIELD, "begin with --"},
    {{"serve", "--workers", "many"}, ERR_TYPE, "--workers is many; allowed: a number"},
    {{"serve", "--workers", ""}, ERR_TYPE, "--workers"},
    {{"serve", "--workers", " 1"}, ERR_TYPE, "--workers"},
    {{"serve", "--workers", "1.5"}, ERR_TYPE, "--workers is 1.5"},
    {{"serve", "--workers", "-1"}, ERR_RANGE, "0 to 256"},
    {{"serve", "--workers", "1e99"}, ERR_RANGE, "0 to 256"},
    {{"serve", "--workers", "nan"}, ERR_TYPE, "--workers is nan"},
    {{"serve", "--workers", "1K"}, ERR_TYPE, "--workers is 1K"},
    {{"serve", "--max-body", "1X"}, ERR_TYPE, "K, M, G or T"},
    {{"serve", "--max-body", "1T"}, ERR_RANGE, "--max-body is 1T"},
    {{"serve", "--demo=perhaps"}, ERR_TYPE, "allowed: 1 or 0"},
};

START_TEST(test_wrong_command_line_is_one_line_of_reason)
{
    err_code code = parse(wrong[_i].words);
    ck_assert_msg(code == wrong[_i].code, "%s: %s", error_name(code), err.message);
    ck_assert_msg(strstr(err.message, wrong[_i].says), "%s", err.message);
    ck_assert_str_eq(err.pointer, "");
}
END_TEST

START_TEST(test_bytes_have_suffixes)
{
    static const struct {
        const char *text;
        double bytes;
    } sizes[] = {{"4096", 4096},    {"64K", 65536},    {"64k", 65536},  {"2M", 2097152},
                 {"2MiB", 2097152}, {"1.5M", 1572864}, {"2MB", 2097152}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_msg(PARSE("serve", "--max-body", sizes[i].text) == ERR_OK, "%s", err.message);
        ck_assert_double_eq(o.number[OPTION_max_body], sizes[i].bytes);
    }
}
END_TEST

START_TEST(test_help_names_every_option_of_a_command)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    option_help(to, COMMAND_serve);
    option_help(to, COMMAND_COUNT);
    fclose(to);
    ck_assert_ptr_nonnull(strstr(text, "--token-file FILE"));
    ck_assert_ptr_nonnull(strstr(text, "(default 127.0.0.1:8080)"));
    ck_assert_ptr_null(strstr(text, "--save-weights"));
    ck_assert_ptr_nonnull(strstr(text, "describe"));
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("option");
    TCase *c = tcase_create("option");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_set_timeout(c, 20);
    tcase_add_test(c, test_fallbacks_fill_what_is_not_given);
    tcase_add_test(c, test_values_come_with_space_or_equals);
    tcase_add_test(c, test_command_line_wins_over_environment_over_fallback);
    tcase_add_test(c, test_list_and_arguments_are_kept_in_order);
    tcase_add_test(c, test_help_is_asked_for_in_many_ways);
    tcase_add_loop_test(c, test_wrong_command_line_is_one_line_of_reason, 0,
                        sizeof wrong / sizeof *wrong);
    tcase_add_test(c, test_bytes_have_suffixes);
    tcase_add_test(c, test_help_names_every_option_of_a_command);
    suite_add_tcase(s, c);
    return suite_run(s);
}
