/* The job reader under an allocator that fails when told: no allocation may fail unseen. Sanitizers
 * bring allocators of their own, so there is nothing to test under them. */
#include "tests/server/reading.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static long fail_in = -1; /* allocations that still succeed; -1: all */

static int fails(void)
{
    return fail_in >= 0 && fail_in-- == 0;
}

void *malloc(size_t n)
{
    return fails() ? fail_in = 0, NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? fail_in = 0, NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails() ? fail_in = 0, NULL : __libc_realloc(p, n);
}

START_TEST(test_every_allocation_may_fail)
{
    static const char text[] = "{\"model\":\"small\",\"sweep\":{\"depth\":[1,2],\"strategy\":["
                               "\"pre_ln\",{\"eps\":1e-6}]}}";
    limits lim = wide();
    for (long n = 0;; n++) {
        job j;
        error err = {0};
        fail_in = n;
        err_code code = reader_job(text, strlen(text), &lim, &j, &err);
        bool failed = fail_in == 0;
        fail_in = -1;
        job_deinit(&j);
        if (!failed || code == ERR_OK) {
            ck_assert_int_eq(code, ERR_OK);
            ck_assert_int_gt(n, 50);
            break;
        }
        ck_assert_msg(code == ERR_MEMORY, "allocation %ld: %s", n, err.message);
    }
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("reader_memory");
    TCase *c = tcase_create("memory");
    tcase_set_timeout(c, 30);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    tcase_add_test(c, test_every_allocation_may_fail);
#endif
    suite_add_tcase(s, c);
    return suite_run(s);
}
