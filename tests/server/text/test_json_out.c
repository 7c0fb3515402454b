/* Numbers are the shortest that read back, texts are escaped, commas come by themselves. */
#include "server/text/json_out.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_out o;

static void setup(void)
{
    o = (json_out){0};
}

static void teardown(void)
{
    json_deinit(&o);
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* What the fast way must agree with: the fewest of 15, 16, 17 digits that strtod reads back. */
static void slow_text(char out[64], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 64, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    char *e = strchr(out, 'e');
    if (!e) return;
    int exponent = atoi(e + 1);
    sprintf(e, "e%d", exponent);
}

static uint64_t state = 88172645463325252u;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void check_number(double value)
{
    char ours[JSON_NUMBER], slow[64];
    size_t n = json_number_text(ours, value);
    ck_assert_uint_eq(n, strlen(ours));
    slow_text(slow, value);
    if (fabs(value) < 0x1p53 && value == floor(value)) snprintf(slow, sizeof slow, "%.0f", value);
    if (strcmp(ours, slow) != 0) ck_abort_msg("%a: %s, not %s", value, ours, slow);
    if (strtod(ours, NULL) != value) ck_abort_msg("%a reads back as %s", value, ours);
}

START_TEST(test_number_is_the_shortest_that_reads_back)
{
    state += (uint64_t)_i * 1234567;
    for (int i = 0; i < 40000; i++) {
        double mantissa = (double)(random_bits() >> 11) * 0x1p-53 + 0.5;
        int exponent =
            _i < 4 ? (int)(random_bits() % 100) - 45 : (int)(random_bits() % 2000) - 1000;
        double value = ldexp(mantissa, exponent);
        if (_i % 2) value = (float)value; /* few bits: short texts, ties */
        check_number(random_bits() % 2 ? value : -value);
    }
}
END_TEST

START_TEST(test_decimal_numbers_stay_short)
{
    char text[64], ours[JSON_NUMBER];
    for (int i = 0; i < 20000; i++) {
        int digits = 1 + (int)(random_bits() % 15), exponent = (int)(random_bits() % 30) - 14;
        uint64_t whole = random_bits() % (uint64_t)pow(10, digits);
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)whole, exponent);
        double value = strtod(text, NULL);
        check_number(value);
        json_number_text(ours, value);
        ck_assert_uint_le(strspn(ours, "0123456789.") ? strlen(ours) : 0, 26);
    }
}
END_TEST

static const struct {
    double value;
    const char *text;
} numbers[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-1, "-1"},
    {0.1, "0.1"},
    {0.02, "0.02"},
    {1e-5, "1e-5"},
    {0.0001, "0.0001"},
    {1e-8, "1e-8"},
    {1.5e-7, "1.5e-7"},
    {1e15, "1000000000000000"},
    {9007199254740991, "9007199254740991"},
    {9007199254740992, "9007199254740992"},
    {1e16, "1e16"},
    {1e30, "1e30"},
    {1e300, "1e300"},
    {5e-324, "4.94065645841247e-324"},
    {1.7976931348623157e308, "1.7976931348623157e308"},
    {1.0 / 3, "0.3333333333333333"},
    {2.0 / 3, "0.6666666666666666"},
    {0.1 + 0.2, "0.30000000000000004"},
    {123456.789, "123456.789"},
    {999999999999999.9, "999999999999999.9"},
    {0.99999999999999989, "0.9999999999999999"},
    {0.5, "0.5"},
};

START_TEST(test_number_has_one_text)
{
    char text[JSON_NUMBER];
    json_number_text(text, numbers[_i].value);
    ck_assert_str_eq(text, numbers[_i].text);
}
END_TEST

START_TEST(test_values_that_are_not_finite_are_words_or_null)
{
    json_begin_array(&o);
    json_double(&o, NAN);
    json_double(&o, INFINITY);
    json_double(&o, -INFINITY);
    json_number(&o, NAN, REASON_ZERO);
    json_number(&o, 0, REASON_NAN);
    json_number(&o, 1.5, REASON_NONE);
    json_end(&o);
    ck_assert_str_eq(o.text, "[\"NaN\",\"Infinity\",\"-Infinity\",null,\"NaN\",1.5]");
    json_reset(&o);
    json_csv_number(&o, NAN, REASON_NONE);
    json_text(&o, ",");
    json_csv_number(&o, -INFINITY, REASON_NEG_INF);
    json_text(&o, ",");
    json_csv_number(&o, NAN, REASON_ONE_TOKEN);
    ck_assert_str_eq(o.text, "NaN,-Infinity,");
}
END_TEST

/* --- texts ------------------------------------------------------------------------------------ */

static const struct {
    const char *text, *json;
} strings[] = {
    {"", "\"\""},
    {"a", "\"a\""},
    {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
    {"\b\f\n\r\t\v\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u000b\\u0001\\u001f\\u007f\""},
    {"\xc3\xa9\xf0\x9d\x84\x9e", "\"\xc3\xa9\xf0\x9d\x84\x9e\""},
    {"a\xff"
     "b\xc3",
     "\"a\xef\xbf\xbd"
     "b\xef\xbf\xbd\""},
    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {NULL, "null"},
};

START_TEST(test_string_is_escaped)
{
    json_string(&o, strings[_i].text);
    ck_assert_str_eq(o.text, strings[_i].json);
}
END_TEST

START_TEST(test_csv_is_quoted_where_it_must_be)
{
    static const char *const texts[][2] = {
        {"a", "a"},           {"", ""},
        {"a,b", "\"a,b\""},   {"{\"a\":1}", "\"{\"\"a\"\":1}\""},
        {"a\nb", "\"a\nb\""}, {"\"", "\"\"\"\""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_reset(&o);
        json_text(&o, "");
        json_csv_string(&o, texts[i][0]);
        ck_assert_str_eq(o.text, texts[i][1]);
    }
}
END_TEST

/* --- structure -------------------------------------------------------------------------------- */

START_TEST(test_commas_come_by_themselves)
{
    json_begin_object(&o);
    json_key(&o, "a");
    json_begin_array(&o);
    json_integer(&o, -5);
    json_begin_object(&o);
    json_end(&o);
    json_unsigned(&o, UINT64_MAX);
    json_end(&o);
    json_key(&o, "b");
    json_raw(&o, "[1]");
    json_key(&o, "c");
    json_null(&o);
    json_key(&o, "d");
    json_bool(&o, true);
    json_end(&o);
    ck_assert_str_eq(o.text,
                     "{\"a\":[-5,{},18446744073709551615],\"b\":[1],\"c\":null,\"d\":true}");
}
END_TEST

START_TEST(test_a_member_is_its_key_and_its_value)
{
    json_begin_object(&o);
    json_string_member(&o, "text", "a");
    json_string_member(&o, "no_text", NULL);
    json_raw_member(&o, "no_value", NULL);
    json_bool_member(&o, "bool", true);
    json_integer_member(&o, "integer", -1);
    json_number_member(&o, "number", NAN);
    json_double_member(&o, "no_number", NAN);
    json_array_member(&o, "list");
    json_double_member(&o, NULL, 2);
    json_end(&o);
    json_object_member(&o, "object");
    json_raw_member(&o, "value", "[1]");
    json_end(&o);
    json_end(&o);
    ck_assert_str_eq(o.text, "{\"text\":\"a\",\"no_text\":null,\"no_value\":null,\"bool\":true,"
                             "\"integer\":-1,\"number\":\"NaN\",\"no_number\":null,\"list\":[2],"
                             "\"object\":{\"value\":[1]}}");
}
END_TEST

START_TEST(test_nesting_beyond_64_fails_and_does_not_overrun)
{
    for (int i = 0; i < 70; i++) json_begin_array(&o);
    for (int i = 0; i < 70; i++) json_end(&o);
    ck_assert(o.failed);
    ck_assert_ptr_null(json_take(&o));
    json_string(&o, "again");
    char *text = json_take(&o);
    ck_assert_str_eq(text, "\"again\"");
    free(text);
}
END_TEST

START_TEST(test_nothing_written_is_an_empty_text)
{
    char *text = json_take(&o);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("json_out");
    TCase *c = tcase_create("numbers");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_number_is_the_shortest_that_reads_back, 0, 6);
    tcase_add_test(c, test_decimal_numbers_stay_short);
    tcase_add_loop_test(c, test_number_has_one_text, 0, sizeof numbers / sizeof *numbers);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_values_that_are_not_finite_are_words_or_null);
    suite_add_tcase(s, c);
    c = tcase_create("texts");
    tcase_set_timeout(c, 20);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_string_is_escaped, 0, sizeof strings / sizeof *strings);
    tcase_add_test(c, test_csv_is_quoted_where_it_must_be);
    tcase_add_test(c, test_commas_come_by_themselves);
    tcase_add_test(c, test_a_member_is_its_key_and_its_value);
    tcase_add_test(c, test_nesting_beyond_64_fails_and_does_not_overrun);
    tcase_add_test(c, test_nothing_written_is_an_empty_text);
    suite_add_tcase(s, c);
    return suite_run(s);
}
