/* How tests of the reader read a job: nothing but the tables' own limits holds. */
#ifndef TESTS_READING_H
#define TESTS_READING_H

#include "server/job/reader.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline limits wide(void)
{
    limits lim = limits_default();
    lim.peak_bytes = UINT64_MAX;
    lim.flops = INFINITY;
    return lim;
}

static inline err_code read_text(const char *text, job *j, error *err)
{
    limits lim = wide();
    *err = (error){0};
    return reader_job(text, strlen(text), &lim, j, err);
}

static inline void read_ok(const char *text, job *j)
{
    error err;
    ck_assert_msg(read_text(text, j, &err) == ERR_OK, "%s: %s %s", text, err.pointer, err.message);
}

static inline void assert_run_text_is_that_run(const job *j, int i)
{
    job one;
    char *text = reader_run_text(&j->runs[i].spec);
    ck_assert_ptr_nonnull(text);
    read_ok(text, &one);
    ck_assert_int_eq(one.n_runs, 1);
    ck_assert_msg(memcmp(&one.runs[0].spec, &j->runs[i].spec, sizeof one.runs[0].spec) == 0, "%s",
                  text);
    ck_assert_str_eq(one.resolved, text);
    free(text);
    job_deinit(&one);
}

#endif
