#include "server/bench/depth.h"

#include "server/job/reader.h"
#include "server/machine/block.h"

#include <string.h>

static const char network[] =
    "{\"model\":{\"d_model\":64,\"n_heads\":4,\"d_ff\":256,\"vocab\":256,\"position\":\"learned\","
    "\"activation\":\"gelu\"},\"strategy\":\"pre_ln\",\"init\":\"gpt2\","
    "\"data\":{\"source\":\"random_tokens\",\"batch\":2,\"seq_len\":32,\"batches\":1},\"seeds\":[1]"
    ","
    "\"sweep\":{\"depth\":[1,10,100,1000]}}";

enum { BLOCKS = 200 }; /* shallow networks are repeated to about so many blocks per timing */

const bench_pass bench_depth_passes[BENCH_DEPTH_PASSES] = {PASS_PLAIN, PASS_ALL};

static err_code measure(bench_depth *d, int pass, const run_spec *spec, team *t, error *err)
{
    int inner = 1 + BLOCKS / d->depth;
    bench_time sum = {{0}};
    err_code code = ERR_OK;
    void *memory = block_map((size_t)d->bytes[pass], false);
    if (!memory) return error_set(err, ERR_MEMORY, "", "not enough memory for depth %d", d->depth);
    for (int i = -1; i < inner && !code; i++) { /* the first touches the pages */
        bench_time took;
        code = bench_pass_run(spec, memory, (size_t)d->bytes[pass], t, &took, err);
        for (int c = 0; c < BENCH_CLOCKS && i >= 0; c++) sum.ms[c] += took.ms[c] / inner;
    }
    block_unmap(memory, (size_t)d->bytes[pass]);
    bench_add(&d->times[pass], sum);
    return code;
}

static err_code measure_depth(bench_depth *d, const run_spec *base, team *t, error *err)
{
    const engine *e = engine_for(base->precision);
    err_code code = ERR_OK;
    for (int i = 0; i < BENCH_DEPTH_PASSES && !code; i++) {
        run_spec spec = bench_pass_spec(base, bench_depth_passes[i]);
        estimate cost;
        code = e->estimate(&spec, 1, false, &cost, err);
        d->bytes[i] = code ? 0 : cost.peak_bytes;
        if (!code) code = measure(d, i, &spec, t, err);
    }
    return code;
}

static err_code measure_job(bench_depth out[BENCH_DEPTHS], const job *j, int rounds, error *err)
{
    team one;
    err_code code = team_start(&one, 1, err);
    if (code) return code;
    for (int i = 0; i < BENCH_DEPTHS; i++) out[i] = (bench_depth){.depth = j->runs[i].spec.depth};
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < BENCH_DEPTHS && !code; i++)
            code = measure_depth(&out[i], &j->runs[i].spec, &one, err);
    team_stop(&one);
    return code;
}

err_code bench_depth_measure(bench_depth out[BENCH_DEPTHS], int rounds, error *err)
{
    const limits lim = limits_default();
    job j;
    job_init(&j);
    err_code code = reader_job(network, strlen(network), &lim, &j, err);
    if (!code && j.n_runs != BENCH_DEPTHS)
        code = error_set(err, ERR_INTERNAL, "", "not four depths");
    if (!code) code = measure_job(out, &j, rounds, err);
    job_deinit(&j);
    return code;
}

double bench_depth_ms(const bench_depth *from, const bench_depth *to, int pass)
{
    return (bench_least(&to->times[pass], BENCH_CPU) - bench_least(&from->times[pass], BENCH_CPU)) /
           (to->depth - from->depth);
}

double bench_depth_bytes(const bench_depth *from, const bench_depth *to, int pass)
{
    return ((double)to->bytes[pass] - (double)from->bytes[pass]) / (to->depth - from->depth);
}
