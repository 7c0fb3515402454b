/* Any bytes as a job: never a crash, and what is accepted keeps its meaning when its resolved text
 * and its runs are read again. */
#include "server/job/reader.h"
#include "server/text/json_scan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static limits small_limits(void)
{
    limits lim = limits_default();
    lim.runs = 64;
    lim.depth = 64;
    lim.blocks = 1000;
    return lim;
}

static void require(int true_thing)
{
    if (!true_thing) abort();
}

static void check_again(const job *j, const limits *lim)
{
    job again;
    error err;
    require(reader_job(j->resolved, strlen(j->resolved), lim, &again, &err) == ERR_OK);
    require(strcmp(again.hash, j->hash) == 0 && again.n_runs == j->n_runs);
    for (int i = 0; i < j->n_runs; i++)
        require(memcmp(&again.runs[i].spec, &j->runs[i].spec, sizeof j->runs[i].spec) == 0);
    job_deinit(&again);
    char *text = reader_run_text(&j->runs[0].spec);
    require(text && reader_job(text, strlen(text), lim, &again, &err) == ERR_OK &&
            again.n_runs == 1);
    require(memcmp(&again.runs[0].spec, &j->runs[0].spec, sizeof j->runs[0].spec) == 0);
    job_deinit(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    limits lim = small_limits();
    job j;
    error err = {0};
    err_code code = reader_job((const char *)data, size, &lim, &j, &err);
    require(code == err.code || code == ERR_OK);
    require(code != ERR_INTERNAL);
    require(!code || *err.message);
    require(strlen(err.pointer) < sizeof err.pointer && strlen(err.message) < sizeof err.message);
    if (!code) check_again(&j, &lim);
    job_deinit(&j);
    return 0;
}
