/* The demo study: its text gets into the store once, its job is one that any machine takes. */
#include "server/command/demo.h"
#include "server/job/reader.h"
#include "tests/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[128], text_path[128];
static store *s;
static error err;

static void setup(void)
{
    strcpy(folder, "/tmp/test_demo.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/demo.db", folder);
    snprintf(text_path, sizeof text_path, "%s/text", folder);
    ck_assert_msg(store_open(&s, path, &err) == ERR_OK, "%s", err.message);
}

static void teardown(void)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-lock"};
    char name[160];
    store_close(s);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
    unlink(text_path);
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_text(const char *text)
{
    FILE *to = fopen(text_path, "w");
    ck_assert_ptr_nonnull(to);
    fputs(text, to);
    fclose(to);
}

static char *stored_text(size_t *n)
{
    void *bytes;
    char hash[TEXT_SHA256];
    ck_assert_msg(store_get_corpus(s, "demo", &bytes, n, hash, &err) == ERR_OK, "%s", err.message);
    return bytes;
}

START_TEST(test_named_text_is_stored_and_kept)
{
    size_t n;
    write_text("one text");
    ck_assert_int_eq(demo_store_text(s, text_path, 100, &err), ERR_OK);
    ck_assert_int_eq(demo_store_text(s, NULL, 100, &err),
                     ERR_OK); /* there is one: nothing is looked for */
    char *text = stored_text(&n);
    ck_assert_uint_eq(n, 8);
    ck_assert_mem_eq(text, "one text", 8);
    free(text);
    write_text("another");
    ck_assert_int_eq(demo_store_text(s, text_path, 100, &err), ERR_OK);
    text = stored_text(&n);
    ck_assert_uint_eq(n, 7);
    free(text);
}
END_TEST

START_TEST(test_text_that_is_missing_or_too_long_is_refused)
{
    write_text("too long a text");
    ck_assert_int_eq(demo_store_text(s, text_path, 5, &err), ERR_LIMIT);
    ck_assert_int_eq(demo_store_text(s, "/nonexistent", 5, &err), ERR_IO);
}
END_TEST

START_TEST(test_licences_are_text_enough)
{
    size_t n;
    if (access("/usr/share/common-licenses/GPL-3", R_OK) != 0) return; /* not a Debian */
    ck_assert_msg(demo_store_text(s, NULL, 16 << 20, &err) == ERR_OK, "%s", err.message);
    char *text = stored_text(&n);
    ck_assert_uint_gt(n, 50000);
    free(text);
}
END_TEST

START_TEST(test_demo_is_a_job_for_a_small_machine)
{
    limits lim = limits_default();
    job j;
    const char *text = demo_job();
    ck_assert_ptr_nonnull(text);
    lim.peak_bytes = 256 << 20;
    lim.flops = 1e12;
    ck_assert_msg(reader_job(text, strlen(text), &lim, &j, &err) == ERR_OK, "%s %s", err.pointer,
                  err.message);
    ck_assert_int_eq(j.n_runs, 27);
    ck_assert_str_eq(j.runs[0].spec.data.corpus, "demo");
    job_deinit(&j);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("demo");
    TCase *c = tcase_create("demo");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, test_named_text_is_stored_and_kept);
    tcase_add_test(c, test_text_that_is_missing_or_too_long_is_refused);
    tcase_add_test(c, test_licences_are_text_enough);
    tcase_add_test(c, test_demo_is_a_job_for_a_small_machine);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
