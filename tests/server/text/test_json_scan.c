/* The scan accepts RFC 8259 and our rules, nothing else, in linear time; it says where. */
#include "server/text/json_scan.h"
#include "tests/suite.h"

#include <cJSON.h>
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static err_code scan(const char *text, size_t n, error *err)
{
    *err = (error){0};
    return json_scan(text, n, &json_scan_job, err);
}

/* --- what is JSON ----------------------------------------------------------------------------- */

static const char *const valid[] = {
    "{}",
    "[]",
    " \t\r\n[ ]\n",
    "0",
    "-0",
    "-0.0",
    "1e5",
    "1E+5",
    "1.5e-7",
    "123456789012345678901234567890",
    "\"\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uD834\\uDD1E\"",
    "true",
    "false",
    "null",
    "[1,2,[3,[4]]]",
    "{\"a\":{\"b\":{\"a\":1}},\"b\":{\"a\":2}}",
    "\"\xc3\xa9 \xe2\x82\xac \xf0\x9d\x84\x9e\"",
    "{\"\":0}",
    "{\"a\":1,\"A\":2,\"\\u00e9\":3,\"e\":4}",
    "[[],{},[{}],\"]}\"]",
    "\"\x7f\"",
    "{\"a\\u0062\":1,\"a\\\\u0062\":2}",
};

START_TEST(test_valid_text_is_accepted)
{
    error err;
    ck_assert_msg(scan(valid[_i], strlen(valid[_i]), &err) == ERR_OK, "%s: %s", valid[_i],
                  err.message);
}
END_TEST

START_TEST(test_every_proper_prefix_is_refused)
{
    const char *text = valid[_i];
    error err;
    size_t n = strlen(text);
    if (text[0] != '{' && text[0] != '[' && text[0] != '"') return; /* 12 is a prefix of 123 */
    for (size_t cut = 0; cut < n; cut++) ck_assert_int_eq(scan(text, cut, &err), ERR_JSON);
}
END_TEST

/* --- what is not ------------------------------------------------------------------------------ */

static const struct {
    const char *text;
    err_code code;
    const char *pointer, *says;
} invalid[] = {
    {"", ERR_JSON, "", "ends too early"},
    {"   ", ERR_JSON, "", "ends too early"},
    {"[1,]", ERR_JSON, "/1", "value was expected"},
    {"[,1]", ERR_JSON, "/0", "value was expected"},
    {"[1 2]", ERR_JSON, "/0", "comma or ]"},
    {"{\"a\":1,}", ERR_JSON, "", "key in quotes"},
    {"{\"a\" 1}", ERR_JSON, "/a", "colon"},
    {"{a:1}", ERR_JSON, "", "key in quotes"},
    {"{\"a\":1 \"b\":2}", ERR_JSON, "/a", "comma or }"},
    {"{\"a\":[1,{\"b\":tru}]}", ERR_JSON, "/a/1/b", "value was expected"},
    {"[1}", ERR_JSON, "/0", "comma or ]"},
    {"{\"a\":1]", ERR_JSON, "/a", "comma or }"},
    {"1 x", ERR_JSON, "", "follows the end"},
    {"{}{}", ERR_JSON, "", "follows the end"},
    {"012", ERR_JSON, "", "begin with a zero"},
    {"-012", ERR_JSON, "", "begin with a zero"},
    {"[12.]", ERR_JSON, "/0", "after its point"},
    {"[1e]", ERR_JSON, "/0", "exponent"},
    {"[1e+]", ERR_JSON, "/0", "exponent"},
    {"[.5]", ERR_JSON, "/0", "value was expected"},
    {"[+5]", ERR_JSON, "/0", "value was expected"},
    {"[-]", ERR_JSON, "/0", "needs a digit"},
    {"[0x10]", ERR_JSON, "/0", "comma or ]"},
    {"[NaN]", ERR_JSON, "/0", "value was expected"},
    {"[Infinity]", ERR_JSON, "/0", "value was expected"},
    {"['a']", ERR_JSON, "/0", "value was expected"},
    {"[True]", ERR_JSON, "/0", "value was expected"},
    {"// a\n1", ERR_JSON, "", "value was expected"},
    {"[\"\n\"]", ERR_JSON, "/0", "control character"},
    {"[\"\\x41\"]", ERR_JSON, "/0", "no such escape"},
    {"[\"\\u12g4\"]", ERR_JSON, "/0", "four hexadecimal"},
    {"[\"a\\u0000b\"]", ERR_JSON, "/0", "U+0000"},
    {"{\"a\\u0000b\":1}", ERR_JSON, "", "U+0000"},
    {"[\"\\ud800\"]", ERR_JSON, "/0", "surrogate"},
    {"[\"\\udc00\"]", ERR_JSON, "/0", "surrogate"},
    {"[\"\\ud800\\u0041\"]", ERR_JSON, "/0", "surrogate"},
    {"[\"\xff\"]", ERR_JSON, "/0", "UTF-8"},
    {"[\"\xc0\xaf\"]", ERR_JSON, "/0", "UTF-8"},
    {"[\"\xe0\x80\xaf\"]", ERR_JSON, "/0", "UTF-8"},
    {"[\"\xed\xa0\x80\"]", ERR_JSON, "/0", "UTF-8"},
    {"[\"\xf4\x90\x80\x80\"]", ERR_JSON, "/0", "UTF-8"},
    {"[\"\xc3\"]", ERR_JSON, "/0", "UTF-8"},
    {"[\xc2\xa0 1]", ERR_JSON, "/0", "value was expected"},
    {"\xef\xbb\xbf{}", ERR_JSON, "", "byte order mark"},
    {"{\"a\":1,\"b\":2,\"a\":3}", ERR_DUPLICATE_FIELD, "/a", "twice"},
    {"{\"a\":1,\"\\u0061\":3}", ERR_DUPLICATE_FIELD, "/a", "twice"},
    {"{\"x\":[{},{\"\xf0\x9d\x84\x9e\":1,\"\\uD834\\uDD1E\":3}]}", ERR_DUPLICATE_FIELD,
     "/x/1/\xf0\x9d\x84\x9e", "twice"},
    {"{\"\":1,\"\":3}", ERR_DUPLICATE_FIELD, "/", "twice"},
    {"{\"a/b\":{\"c~d\":{\"e\":1,\"e\":2}}}", ERR_DUPLICATE_FIELD, "/a~1b/c~0d/e", "twice"},
    {"[12345678901234567890123456789012345678901234567890123456789012345]", ERR_LIMIT, "/0",
     "64 characters"},
};

START_TEST(test_invalid_text_is_refused_with_place_and_reason)
{
    error err;
    err_code code = scan(invalid[_i].text, strlen(invalid[_i].text), &err);
    ck_assert_msg(code == invalid[_i].code, "%s: code %s, %s", invalid[_i].text, error_name(code),
                  err.message);
    ck_assert_int_eq(err.code, code);
    ck_assert_str_eq(err.pointer, invalid[_i].pointer);
    ck_assert_msg(strstr(err.message, invalid[_i].says), "%s: %s", invalid[_i].text, err.message);
}
END_TEST

START_TEST(test_place_is_byte_line_and_column)
{
    error err;
    static const char text[] = "{\n  \"a\": 1,\n  \"b\": x\n}";
    scan(text, strlen(text), &err);
    ck_assert_msg(strstr(err.message, "byte 19 (line 3, column 8)"), "%s", err.message);
}
END_TEST

START_TEST(test_nul_byte_is_not_an_end)
{
    error err;
    ck_assert_int_eq(scan("{}\0", 3, &err), ERR_JSON);
    ck_assert_int_eq(scan("[\"a\0b\"]", 7, &err), ERR_JSON);
    ck_assert_int_eq(scan("\0", 1, &err), ERR_JSON);
}
END_TEST

/* --- limits ----------------------------------------------------------------------------------- */

static char *repeat(const char *open, const char *close, size_t n)
{
    size_t a = strlen(open), b = strlen(close);
    char *text = malloc(n * (a + b) + 1), *p = text;
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < n; i++, p += a) memcpy(p, open, a);
    for (size_t i = 0; i < n; i++, p += b) memcpy(p, close, b);
    *p = '\0';
    return text;
}

START_TEST(test_depth_32_is_the_limit)
{
    static const char *const opens[] = {"[", "{\"a\":"}, *const closes[] = {"]", "}"},
                             *const inside[] = {"", "{}"};
    error err;
    for (size_t n = 30; n < 35; n++) {
        char *text = repeat(opens[_i], closes[_i], n), *whole = malloc(2000);
        const char *middle = strchr(text, closes[_i][0]);
        snprintf(whole, 2000, "%.*s%s%s", (int)(middle - text), text, inside[_i], middle);
        size_t depth = n + (_i == 1);
        err_code code = scan(whole, strlen(whole), &err);
        ck_assert_msg(code == (depth <= 32 ? ERR_OK : ERR_LIMIT), "%zu levels: %s", depth,
                      err.message);
        free(text);
        free(whole);
    }
}
END_TEST

START_TEST(test_deep_nesting_does_not_recurse)
{
    error err;
    char *text = repeat(_i ? "{\"a\":" : "[", "", _i ? 50000 : 250000);
    ck_assert_int_eq(scan(text, strlen(text), &err), ERR_LIMIT);
    free(text);
}
END_TEST

START_TEST(test_16384_tokens_are_the_limit)
{
    error err;
    char *text = repeat("1,", "", 16384);
    text[0] = '[';
    text[1] = ' ';
    text[2 * 16384 - 1] = ']'; /* the list and 16383 numbers */
    ck_assert_msg(scan(text, strlen(text), &err) == ERR_OK, "%s", err.message);
    char *more = malloc(strlen(text) + 3);
    sprintf(more, "[1,%s", text + 1);
    ck_assert_int_eq(scan(more, strlen(more), &err), ERR_LIMIT);
    free(text);
    free(more);
}
END_TEST

START_TEST(test_size_is_checked_before_anything)
{
    error err;
    size_t n = json_scan_job.bytes + 1;
    char *text = malloc(n);
    memset(text, ' ', n);
    text[0] = '1';
    ck_assert_int_eq(scan(text, n, &err), ERR_LIMIT);
    ck_assert_int_eq(scan(text, n - 1, &err), ERR_OK);
    free(text);
}
END_TEST

/* --- hostile input takes no time -------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t many_keys(char *out, size_t n)
{
    char *p = out;
    *p++ = '{';
    for (size_t i = 0; i < n; i++) p += sprintf(p, "%s\"k%zu\":0", i ? "," : "", i);
    *p++ = '}';
    return (size_t)(p - out);
}

START_TEST(test_many_keys_take_linear_time)
{
    json_scan_limits wide = {.bytes = 64 << 20, .tokens = 4 << 20, .depth = 32};
    error err;
    char *text = malloc(20 << 20);
    double took[2];
    for (int i = 0; i < 2; i++) {
        size_t n = many_keys(text, i ? 400000 : 50000);
        double began = seconds();
        ck_assert_int_eq(json_scan(text, n, &wide, &err), ERR_OK);
        took[i] = seconds() - began;
    }
    ck_assert_msg(took[1] < 10, "400000 keys took %g s, 50000 took %g s", took[1], took[0]);
    free(text);
}
END_TEST

START_TEST(test_duplicate_is_found_among_many)
{
    json_scan_limits wide = {.bytes = 64 << 20, .tokens = 4 << 20, .depth = 32};
    error err;
    char *text = malloc(2 << 20);
    size_t n = many_keys(text, 50000);
    n = (size_t)(n - 1 + (size_t)sprintf(text + n - 1, ",\"k4321\":1}"));
    ck_assert_int_eq(json_scan(text, n, &wide, &err), ERR_DUPLICATE_FIELD);
    ck_assert_str_eq(err.pointer, "/k4321");
    free(text);
}
END_TEST

/* --- whatever passes is safe for the parser --------------------------------------------------- */

static const char job[] =
    "{\"model\":{\"d_model\":64,\"activation\":\"gelu\"},\"strategy\":\"pre_ln\",\"depth\":12,"
    "\"seeds\":[0,1,2],\"train\":{\"lr\":1e-3,\"clip\":null},\"sweep\":{\"model.bias\":[true,false]"
    "}}";

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

START_TEST(test_what_passes_mutated_is_parsed_whole)
{
    uint64_t state = (uint64_t)_i + 1;
    char text[sizeof job];
    error err;
    for (int round = 0; round < 2000; round++) {
        memcpy(text, job, sizeof job);
        size_t n = sizeof job - 1;
        for (uint64_t edits = 1 + random_next(&state) % 3; edits; edits--) {
            static const char bytes[] = "{}[]\",:\\ 0e.-+tfnu\x80\xc3\xff\x01";
            text[random_next(&state) % n] = bytes[random_next(&state) % (sizeof bytes - 1)];
        }
        if (scan(text, n, &err)) {
            ck_assert_int_ne(err.code, ERR_OK);
            continue;
        }
        const char *end = NULL;
        cJSON *tree = cJSON_ParseWithLengthOpts(text, n + 1, &end, true);
        ck_assert_msg(tree != NULL, "the scan passed what cJSON refuses: %s", text);
        cJSON_Delete(tree);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("json_scan");
    TCase *c = tcase_create("grammar");
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_valid_text_is_accepted, 0, sizeof valid / sizeof *valid);
    tcase_add_loop_test(c, test_every_proper_prefix_is_refused, 0, sizeof valid / sizeof *valid);
    tcase_add_loop_test(c, test_invalid_text_is_refused_with_place_and_reason, 0,
                        sizeof invalid / sizeof *invalid);
    tcase_add_test(c, test_place_is_byte_line_and_column);
    tcase_add_test(c, test_nul_byte_is_not_an_end);
    suite_add_tcase(s, c);
    c = tcase_create("limits");
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_depth_32_is_the_limit, 0, 2);
    tcase_add_loop_test(c, test_deep_nesting_does_not_recurse, 0, 2);
    tcase_add_test(c, test_16384_tokens_are_the_limit);
    tcase_add_test(c, test_size_is_checked_before_anything);
    tcase_add_test(c, test_many_keys_take_linear_time);
    tcase_add_test(c, test_duplicate_is_found_among_many);
    suite_add_tcase(s, c);
    c = tcase_create("parser");
    tcase_set_timeout(c, 20);
    tcase_add_loop_test(c, test_what_passes_mutated_is_parsed_whole, 0, 10);
    suite_add_tcase(s, c);
    return suite_run(s);
}
