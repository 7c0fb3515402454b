/* `normscope describe`: every kind and every row can be told, to people and to programs. */
#include "server/command/describe.h"
#include "tests/suite.h"

#include <cJSON.h>
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *printed;

/* The exit status; what came on standard output in `printed`. */
static int describe(const char *kind, const char *name, bool json)
{
    options o = {.command = COMMAND_describe};
    if (kind) o.arguments[o.n_arguments++] = kind;
    if (name) o.arguments[o.n_arguments++] = name;
    o.flag[OPTION_json] = json;
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), to = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    ck_assert_int_ge(to, 0);
    dup2(to, STDOUT_FILENO);
    int status = describe_main(&o);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    off_t n = lseek(to, 0, SEEK_END);
    free(printed);
    printed = calloc((size_t)n + 1, 1);
    ck_assert_int_eq(pread(to, printed, (size_t)n, 0), n);
    close(saved);
    close(to);
    return status;
}

static cJSON *parsed(const char *kind, const char *name)
{
    ck_assert_int_eq(describe(kind, name, true), 0);
    cJSON *tree = cJSON_Parse(printed);
    ck_assert_msg(tree != NULL, "%s %s: %.200s", kind, name, printed);
    return tree;
}

static void describe_rows(const char *kind, const cJSON *rows, const char *key)
{
    const cJSON *row;
    ck_assert_int_gt(cJSON_GetArraySize(rows), 0);
    cJSON_ArrayForEach(row, rows)
    {
        const char *name = cJSON_GetObjectItemCaseSensitive(row, key)->valuestring;
        ck_assert_int_eq(describe(kind, name, false), 0);
        ck_assert_uint_gt(strlen(printed), 10);
        cJSON_Delete(parsed(kind, name));
    }
}

START_TEST(test_every_row_of_every_registry_is_told)
{
    cJSON *all = parsed(NULL, NULL);
    const cJSON *choices = cJSON_GetObjectItemCaseSensitive(all, "choices"), *registry;
    ck_assert_int_ge(cJSON_GetArraySize(choices->child), 15);
    cJSON_ArrayForEach(registry, choices->child)
    {
        const char *kind = cJSON_GetObjectItemCaseSensitive(registry, "kind")->valuestring;
        describe_rows(kind, cJSON_GetObjectItemCaseSensitive(registry, "rows"), "name");
        ck_assert_int_eq(describe(kind, NULL, false), 0);
    }
    cJSON_Delete(all);
}
END_TEST

START_TEST(test_every_field_and_gallery_job_is_told)
{
    cJSON *fields = parsed("fields", NULL), *starts = parsed("gallery", NULL);
    describe_rows("fields", cJSON_GetObjectItemCaseSensitive(fields, "fields"), "path");
    describe_rows("gallery", cJSON_GetObjectItemCaseSensitive(starts, "gallery"), "name");
    ck_assert_int_eq(describe("gallery", "deepnorm", false), 0);
    ck_assert_ptr_nonnull(strstr(printed, "is 0.95 to 1.05"));
    ck_assert_int_eq(describe("fields", "model.d_ff", false), 0);
    ck_assert_ptr_nonnull(strstr(printed, "multiple of 8"));
    ck_assert_int_eq(describe("fields", NULL, false), 0);
    ck_assert_ptr_nonnull(strstr(printed, "number of blocks L; default: 12\n"));
    ck_assert_ptr_nonnull(strstr(printed, "; default: 0.001\n"));
    ck_assert_ptr_nonnull(strstr(printed, "tells what is allowed"));
    ck_assert_int_eq(describe(NULL, NULL, false), 0);
    ck_assert_ptr_nonnull(strstr(printed, "placements"));
    cJSON_Delete(fields);
    cJSON_Delete(starts);
}
END_TEST

START_TEST(test_unknown_kind_and_name_are_refused)
{
    int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    ck_assert_int_eq(describe("norm", NULL, false), 2);
    ck_assert_int_eq(describe("norms", "rms", true), 2);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("describe");
    TCase *c = tcase_create("describe");
    tcase_set_timeout(c, 30);
    tcase_add_test(c, test_every_row_of_every_registry_is_told);
    tcase_add_test(c, test_every_field_and_gallery_job_is_told);
    tcase_add_test(c, test_unknown_kind_and_name_are_refused);
    suite_add_tcase(s, c);
    int failed = suite_run(s);
    free(printed);
    return failed;
}
