#include "server/bench/bench.h"

#include "server/bench/group.h"
#include "server/bench/print.h"
#include "server/bench/strategy.h"
#include "server/job/reader.h"
#include "server/machine/blas.h"
#include "server/machine/provenance.h"
#include "server/text/file_read.h"
#include "server/text/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct bench {
    int threads, rounds;
    bool json, groups; /* groups of metrics instead of passes */
    const char *group; /* this one alone, or NULL */
    json_out out;
} bench;

static err_code read_job(job *j, const char *path, const bench *b, error *err)
{
    limits lim = limits_default();
    char *text = NULL;
    size_t n = 0;
    lim.threads = b->threads;
    err_code code = path ? file_read(&text, &n, path, lim.body_bytes, err) : ERR_OK;
    if (!code)
        code = text ? reader_job(text, n, &lim, j, err)
                    : reader_job("{\"name\":\"tiny\"}", 15, &lim, j, err);
    free(text);
    return code;
}

static err_code bench_job_passes(bench *b, const job *j, error *err)
{
    bench_job *result = malloc(sizeof *result);
    if (!result) return error_set(err, ERR_MEMORY, "", "out of memory");
    err_code code = bench_job_measure(result, j, b->threads, b->rounds, err);
    if (!code && b->json) bench_json_job(&b->out, result);
    if (!code && !b->json) bench_print_job(stdout, result);
    bench_job_deinit(result);
    free(result);
    return code;
}

static err_code bench_job_groups(bench *b, const job *j, error *err)
{
    bench_groups *all = malloc(sizeof *all);
    if (!all) return error_set(err, ERR_MEMORY, "", "out of memory");
    err_code code = bench_group_measure(all, j, b->group, b->rounds, err);
    if (!code && b->json) bench_json_groups(&b->out, all);
    if (!code && !b->json) bench_print_groups(stdout, all);
    free(all);
    return code;
}

static err_code bench_job_file(bench *b, const char *path, error *err)
{
    job j;
    job_init(&j);
    err_code code = read_job(&j, path, b, err);
    if (!code) code = b->groups ? bench_job_groups(b, &j, err) : bench_job_passes(b, &j, err);
    fflush(stdout);
    job_deinit(&j);
    return code;
}

static void begin(bench *b)
{
    char *provenance = provenance_json(b->threads);
    if (b->json) {
        json_begin_object(&b->out);
        json_raw_member(&b->out, "provenance", provenance);
        json_integer_member(&b->out, "rounds", b->rounds);
        json_array_member(&b->out, b->groups ? "metrics" : "jobs");
    } else {
        printf("%s, kernel %s%s; %d rounds\n\n", blas_library(), blas_kernel(),
               blas_is_weaker() ? " (the processor could do better: try --best-blas)" : "",
               b->rounds);
    }
    free(provenance);
}

static err_code bench_depths(bench *b, error *err)
{
    bench_depth depths[BENCH_DEPTHS];
    err_code code = bench_depth_measure(depths, b->rounds, err);
    if (code) return code;
    if (b->json) {
        json_key(&b->out, "depths");
        bench_json_depths(&b->out, depths);
    } else {
        bench_print_depths(stdout, depths);
    }
    return ERR_OK;
}

static err_code bench_strategy_rows(bench *b, error *err)
{
    bench_strategies *all = malloc(sizeof *all);
    if (!all) return error_set(err, ERR_MEMORY, "", "out of memory");
    err_code code = bench_strategy_measure(all, b->rounds, err);
    if (!code && b->json) {
        json_key(&b->out, "strategies");
        bench_json_strategies(&b->out, all);
    } else if (!code) {
        bench_print_strategies(stdout, all);
    }
    free(all);
    return code;
}

static err_code bench_all(bench *b, const options *o, error *err)
{
    err_code code = ERR_OK;
    begin(b);
    if (o->n_arguments == 0) code = bench_job_file(b, NULL, err);
    for (int i = 0; i < o->n_arguments && !code; i++)
        code = bench_job_file(b, o->arguments[i], err);
    if (b->json) json_end(&b->out);
    if (!code && ((o->n_arguments == 0 && !b->groups) || o->flag[OPTION_depths]))
        code = bench_depths(b, err);
    if (!code && o->flag[OPTION_strategies]) code = bench_strategy_rows(b, err);
    if (b->json) json_end(&b->out);
    if (!code && b->out.failed) code = error_set(err, ERR_MEMORY, "", "out of memory");
    return code;
}

int bench_main(const options *o)
{
    const char *format = o->text[OPTION_bench_format];
    bench b = {.threads = (int)o->number[OPTION_threads], .rounds = (int)o->number[OPTION_repeat]};
    error err = {0};
    b.json = strcmp(format, "json") == 0;
    b.groups = o->flag[OPTION_metrics];
    b.group = o->text[OPTION_group];
    if (!b.json && strcmp(format, "text") != 0) {
        fprintf(stderr, "normscope: --format is %.40s; allowed: text, json\n", format);
        return 2;
    }
    if (b.threads == 0) b.threads = 1;
    blas_single_thread();
    err_code code = bench_all(&b, o, &err);
    if (!code && b.json) code = puts(b.out.text) < 0;
    json_deinit(&b.out);
    if (code) text_complain(&err);
    if (!code && fflush(stdout) != 0) return 1;
    bool bad_input = code <= ERR_NOT_FOUND || code == ERR_IO; /* only job files are read */
    return !code ? 0 : bad_input ? 2 : 1;
}
