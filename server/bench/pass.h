/* One forward and backward pass of the engine, with more or less measured, and what it takes.
 *
 * The clock starts when the weights and the data are there (those of the first proxy, where proxies
 * are measured) and stops when the engine returns.
 */
#ifndef SERVER_BENCH_PASS_H
#define SERVER_BENCH_PASS_H

#include "core/engine.h"
#include "server/bench/times.h"

/* plain   forward and backward: the gradient norms of the weights, nothing inside is looked at
 * stream  moments, geometry, ranks, entropy and gradients that a PyTorch script of the same purpose
 *         measures, on the residual stream
 * script  the same on the branches too (such a script takes no geometry and no ranks there, so its
 *         work is between stream and script)
 * all     what a job measures that does not say what to measure */
typedef enum bench_pass { PASS_PLAIN, PASS_STREAM, PASS_SCRIPT, PASS_ALL, PASS_COUNT } bench_pass;

extern const char *const bench_pass_names[PASS_COUNT]; /* as in JSON */

/* base with other measurements, no training steps, and random tokens in place of a text. */
run_spec bench_pass_spec(const run_spec *base, bench_pass pass);

/* memory, bytes and t as for engine->run. */
err_code bench_pass_run(
    const run_spec *spec, void *memory, size_t bytes, team *t, bench_time *took, error *err);

#endif
