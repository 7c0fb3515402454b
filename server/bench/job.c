#include "server/bench/job.h"

#include "server/machine/block.h"

#include <string.h>

typedef struct bench_machine {
    team teams[BENCH_TEAMS];
    int n_teams; /* 2 when several threads are asked for */
    void *memory;
    size_t bytes;
} bench_machine;

bench_clock bench_team_clock(int t)
{
    return t == BENCH_ONE ? BENCH_CPU : BENCH_WALL;
}

static err_code plan(bench_job *b, const run_spec *spec, bench_machine *m, int rounds, error *err)
{
    const engine *e = engine_for(spec->precision);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        b->specs[pass] = bench_pass_spec(spec, (bench_pass)pass);
        for (int t = 0; t < BENCH_TEAMS; t++) {
            estimate cost;
            bench_cell *cell = &b->cells[pass][t];
            err_code code =
                e->estimate(&b->specs[pass], t == BENCH_ONE ? 1 : b->threads, false, &cost, err);
            if (code) return code;
            cell->peak_bytes = cost.peak_bytes;
            cell->measurements = cost.measurements;
            b->parameters = cost.parameters;
            if (cost.peak_bytes > m->bytes) m->bytes = (size_t)cost.peak_bytes;
        }
    }
    m->memory = block_map(m->bytes, block_worth_huge((long long)rounds * PASS_COUNT));
    return m->memory ? ERR_OK
                     : error_set(err, ERR_MEMORY, "",
                                 "the system has no %zu bytes of memory for the run", m->bytes);
}

static err_code start(bench_machine *m, int threads, error *err)
{
    int sizes[BENCH_TEAMS] = {1, threads};
    for (int wanted = threads > 1 ? BENCH_TEAMS : 1; m->n_teams < wanted; m->n_teams++) {
        err_code code = team_start(&m->teams[m->n_teams], sizes[m->n_teams], err);
        if (code) return code;
    }
    return ERR_OK;
}

static err_code measure(bench_job *b, bench_machine *m, bench_pass pass, bool keep, error *err)
{
    for (int t = 0; t < m->n_teams; t++) {
        bench_time took;
        err_code code =
            bench_pass_run(&b->specs[pass], m->memory, m->bytes, &m->teams[t], &took, err);
        if (code) return code;
        if (keep) bench_add(&b->cells[pass][t].times, took);
    }
    return ERR_OK;
}

static err_code measure_rounds(bench_job *b, bench_machine *m, int rounds, error *err)
{
    err_code code = measure(b, m, PASS_ALL, false, err); /* touches every page */
    for (int r = 0; r < rounds && !code; r++) {
        bench_gemm_round(&b->gemm);
        for (int pass = 0; pass < PASS_COUNT && !code; pass++)
            code = measure(b, m, (bench_pass)pass, true, err);
    }
    return code;
}

err_code bench_job_measure(bench_job *b, const job *j, int threads, int rounds, error *err)
{
    bench_machine m = {.n_teams = 0};
    *b = (bench_job){.threads = threads};
    memcpy(b->name, j->name, sizeof b->name);
    err_code code = bench_gemm_init(&b->gemm, &j->runs[0].spec, err);
    if (!code) code = plan(b, &j->runs[0].spec, &m, rounds, err);
    if (!code) code = start(&m, threads, err);
    if (!code) code = measure_rounds(b, &m, rounds, err);
    for (int t = 0; t < m.n_teams; t++) team_stop(&m.teams[t]);
    block_unmap(m.memory, m.bytes);
    return code;
}

void bench_job_deinit(bench_job *b)
{
    bench_gemm_deinit(&b->gemm);
}
