/* The identity of stored results: tests/golden/hashes.txt has the hash of every preset, gallery job and
 * file of tests/jobs, one "HASH JOB" a line, as they were when the file was made. A hash that changes
 * makes stored results stale; it must be meant, and CHANGELOG.md says so. Run from the root of the
 * repository.
 */
#include "server/catalogue/gallery.h"
#include "tests/server/reading.h"

#include <stdio.h>

/* The text of "gallery:NAME", of a file, or the text itself; the caller frees it. */
static char *job_text(const char *name)
{
    int row = gallery_named(name);
    ck_assert_msg(row != -2, "%s", name);
    if (row >= 0) return strdup(gallery_table[row].job);
    if (*name == '{') return strdup(name);
    FILE *f = fopen(name, "rb");
    ck_assert_msg(f != NULL, "%s: run from the root of the repository", name);
    char *text = calloc(1, 1 << 16);
    ck_assert(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    return text;
}

START_TEST(test_hashes_are_what_they_were)
{
    FILE *f = fopen("tests/golden/hashes.txt", "r");
    ck_assert_msg(f != NULL, "run from the root of the repository");
    int n = 0;
    for (char line[512]; fgets(line, sizeof line, f); n++) {
        line[strcspn(line, "\n")] = '\0';
        ck_assert_uint_gt(strlen(line), 65);
        line[64] = '\0';
        char *text = job_text(line + 65);
        job j;
        read_ok(text, &j);
        ck_assert_msg(strcmp(j.hash, line) == 0, "%s: %s", line + 65, j.hash);
        job_deinit(&j);
        free(text);
    }
    ck_assert_int_ge(n, 80);
    fclose(f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hash");
    TCase *c = tcase_create("hash");
    suite_add_tcase(s, c);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, test_hashes_are_what_they_were);
    return suite_run(s);
}
