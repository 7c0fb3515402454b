#include "server/bench/strategy.h"

#include "server/bench/pass.h"
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "server/machine/block.h"

#include <stdlib.h>
#include <string.h>

/* tests/jobs/A.json with nothing said of strategy and init. */
static const char network[] =
    "{\"model\":{\"d_model\":256,\"n_heads\":4,\"d_ff\":1024,\"vocab\":1024},\"strategy\":\"%s\","
    "\"depth\":12,\"data\":{\"source\":\"random_tokens\",\"batch\":8,\"seq_len\":128,"
    "\"batches\":1},\"train\":{\"steps\":0},\"seeds\":[1]}";

enum { NUMBERS = 1 << 23 }; /* of each of three arrays: past every cache */
const double bench_bandwidth_bytes = 3.0 * NUMBERS * sizeof(float);

static const char base_name[] = "pre_ln";

/* --- one network ------------------------------------------------------------------------------ */

static err_code read_spec(run_spec *spec, const char *name, error *err)
{
    const limits lim = limits_default();
    char text[sizeof network + 64];
    job j;
    job_init(&j);
    snprintf(text, sizeof text, network, name);
    err_code code = reader_job(text, strlen(text), &lim, &j, err);
    if (!code) *spec = bench_pass_spec(&j.runs[0].spec, PASS_PLAIN);
    job_deinit(&j);
    return code;
}

typedef struct measuring {
    bench_strategies *out;
    run_spec *specs; /* of the rows, then of the base */
    void *memory;
    size_t bytes;
    float *arrays[3];
    team one;
} measuring;

static err_code add_row(measuring *m, bench_strategy *s, run_spec *spec, error *err)
{
    estimate cost;
    err_code code = read_spec(spec, s->name, err);
    if (!code) code = engine_for(spec->precision)->estimate(spec, 1, false, &cost, err);
    if (code) return code;
    s->flops = cost.flops;
    s->traffic_bytes = cost.traffic_bytes;
    if (cost.peak_bytes > m->bytes) m->bytes = (size_t)cost.peak_bytes;
    return ERR_OK;
}

static err_code plan(measuring *m, error *err)
{
    bench_strategies *out = m->out;
    out->base.name = base_name;
    err_code code = add_row(m, &out->base, &m->specs[BENCH_STRATEGIES], err);
    for (int i = 0; i < strategy_registry.n && out->n < BENCH_STRATEGIES && !code; i++) {
        const strategy *s = strategy_table[i];
        if (s->refused || strcmp(s->entry.name, base_name) == 0) continue;
        out->rows[out->n].name = s->entry.name;
        code = add_row(m, &out->rows[out->n], &m->specs[out->n], err);
        out->n++;
    }
    if (code) return code;
    m->memory = block_map(m->bytes, true);
    for (int i = 0; i < 3; i++) m->arrays[i] = calloc(NUMBERS, sizeof *m->arrays[i]);
    if (m->memory && m->arrays[0] && m->arrays[1] && m->arrays[2]) return ERR_OK;
    error_set(err, ERR_MEMORY, "", "not enough memory for the strategies");
    return ERR_MEMORY;
}

/* --- timing ----------------------------------------------------------------------------------- */

static void triad(float *restrict y, const float *restrict a, const float *restrict b)
{
    for (size_t i = 0; i < NUMBERS; i++) y[i] = a[i] + 0.5f * b[i];
}

static void time_bandwidth(measuring *m)
{
    bench_time start = bench_now();
    triad(m->arrays[0], m->arrays[1], m->arrays[2]);
    bench_add(&m->out->bandwidth_ms, bench_since(&start));
}

static err_code time_pass(measuring *m, const run_spec *spec, bench_times *to, error *err)
{
    bench_time took;
    err_code code = bench_pass_run(spec, m->memory, m->bytes, &m->one, &took, err);
    if (!code && to) bench_add(to, took);
    return code;
}

static err_code measure_round(measuring *m, error *err)
{
    bench_strategies *out = m->out;
    const run_spec *base = &m->specs[BENCH_STRATEGIES];
    err_code code = ERR_OK;
    time_bandwidth(m);
    for (int i = 0; i < out->n && !code; i++) {
        code = time_pass(m, base, &out->rows[i].pre, err);
        if (!code) code = time_pass(m, &m->specs[i], &out->rows[i].times, err);
    }
    return code;
}

static err_code measure_all(measuring *m, int rounds, error *err)
{
    err_code code = plan(m, err);
    if (code) return code;
    code = time_pass(m, &m->specs[BENCH_STRATEGIES], NULL, err); /* touches pages */
    time_bandwidth(m);
    m->out->bandwidth_ms.n = 0;
    for (int r = 0; r < rounds && !code; r++) code = measure_round(m, err);
    return code;
}

err_code bench_strategy_measure(bench_strategies *out, int rounds, error *err)
{
    measuring m = {.out = out};
    memset(out, 0, sizeof *out);
    if (!(m.specs = calloc(BENCH_STRATEGIES + 1, sizeof *m.specs))) {
        error_set(err, ERR_MEMORY, "", "not enough memory for the strategies");
        return ERR_MEMORY;
    }
    err_code code = team_start(&m.one, 1, err);
    if (!code) {
        code = measure_all(&m, rounds, err);
        team_stop(&m.one);
    }
    if (m.memory) block_unmap(m.memory, m.bytes);
    for (int i = 0; i < 3; i++) free(m.arrays[i]);
    free(m.specs);
    return code;
}

/* --- results ---------------------------------------------------------------------------------- */

double bench_strategy_ratio(const bench_strategy *s)
{
    bench_times ratios = {.n = s->times.n};
    for (int i = 0; i < s->times.n; i++)
        ratios.at[i].ms[BENCH_CPU] = s->times.at[i].ms[BENCH_CPU] / s->pre.at[i].ms[BENCH_CPU];
    return bench_median(&ratios, BENCH_CPU);
}

double bench_strategy_memory_ms(const bench_strategies *all, const bench_strategy *s)
{
    double rate = bench_bandwidth_bytes / bench_least(&all->bandwidth_ms, BENCH_CPU);
    return (s->traffic_bytes - all->base.traffic_bytes) / rate;
}

static double extra_ms(const bench_strategy *s)
{
    return (bench_strategy_ratio(s) - 1) * bench_median(&s->pre, BENCH_CPU);
}

static int by_ratio(const void *a, const void *b)
{
    double x = bench_strategy_ratio(a), y = bench_strategy_ratio(b);
    return (x < y) - (x > y);
}

void bench_print_strategies(FILE *to, const bench_strategies *all)
{
    bench_strategies *sorted = malloc(sizeof *sorted);
    if (!sorted) return;
    *sorted = *all;
    qsort(sorted->rows, (size_t)sorted->n, sizeof *sorted->rows, by_ratio);
    fprintf(
        to,
        "strategies on the network of spec A, forward + backward, one thread; memory %.1f GB/s\n"
        "  %-24s %8s %9s %10s %12s %14s\n",
        bench_bandwidth_bytes / bench_least(&all->bandwidth_ms, BENCH_CPU) * 1e-6, "", "/ pre_ln",
        "products", "extra ms", "extra bytes", "at bandwidth");
    for (int i = 0; i < sorted->n; i++) {
        const bench_strategy *s = &sorted->rows[i];
        fprintf(to, "  %-24s %8.3f %9.3f %7.1f ms %9.1f MB %11.1f ms\n", s->name,
                bench_strategy_ratio(s), s->flops / all->base.flops, extra_ms(s),
                (s->traffic_bytes - all->base.traffic_bytes) * 1e-6,
                bench_strategy_memory_ms(all, s));
    }
    free(sorted);
}

void bench_json_strategies(json_out *o, const bench_strategies *all)
{
    json_begin_array(o);
    for (int i = 0; i < all->n; i++) {
        const bench_strategy *s = &all->rows[i];
        json_begin_object(o);
        json_string_member(o, "strategy", s->name);
        json_double_member(o, "over_pre_ln", bench_strategy_ratio(s));
        json_double_member(o, "products_over_pre_ln", s->flops / all->base.flops);
        json_double_member(o, "extra_ms", extra_ms(s));
        json_double_member(o, "extra_bytes", s->traffic_bytes - all->base.traffic_bytes);
        json_double_member(o, "extra_bytes_ms", bench_strategy_memory_ms(all, s));
        json_end(o);
    }
    json_end(o);
}
