#include "server/bench.h"

#include "server/blas.h"
#include "server/reader.h"
#include "server/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void count(void *user, const measurement *m, size_t n)
{
    (void)m;
    *(size_t *)user += n;
}

/* Runs the spec again and again for a second; seconds per run. */
static err_code repeat(const job_run *run, double *seconds, size_t *rows, error *err)
{
    const engine *e = engine_for(run->spec.precision);
    team one;
    run_summary summary;
    size_t bytes = (run->cost.peak_bytes + 63) / 64 * 64;
    sink to = {.user = rows, .measure = count};
    err_code code = team_start(&one, 1, err);
    if (code) return code;
    void *memory = aligned_alloc(64, bytes);
    if (!memory) code = error_set(err, ERR_MEMORY, "", "not enough memory for the probe");
    double began = now_s();
    int n = 0;
    for (; !code && (n < 3 || now_s() - began < 1); n++) {
        *rows = 0;
        code = e->run(&run->spec, &(run_input){0}, memory, bytes, &one, &to, &summary, err);
    }
    *seconds = n ? (now_s() - began) / n : 0;
    free(memory);
    team_stop(&one);
    return code;
}

int bench_main(int n_arguments, const char *const *arguments)
{
    static const char text[] = "{\"seeds\":[0]}";
    limits lim = limits_default();
    job j;
    error err;
    double seconds = 0;
    size_t rows = 0;
    (void)n_arguments, (void)arguments;
    blas_single_thread();
    err_code code = reader_job(text, strlen(text), &lim, &j, &err);
    if (!code) code = repeat(&j.runs[0], &seconds, &rows, &err);
    job_deinit(&j);
    if (code) {
        text_complain(&err);
        return 1;
    }
    printf("tiny probe, depth 12, one thread: %.2f ms a run, %.0f runs/s, %zu measurements (%s)\n",
           1e3 * seconds, 1 / seconds, rows, blas_kernel());
    return 0;
}
