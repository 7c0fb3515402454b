/* Time and memory of one more block, from shallow to very deep: both should stay what they are.
 *
 * A small network (D 64, T 32, B 2) at four depths, one thread, processor time. Of a depth the
 * increment over the depth before it counts, so that what is there once (embedding, head) drops
 * out.
 */
#ifndef SERVER_BENCH_DEPTH_H
#define SERVER_BENCH_DEPTH_H

#include "server/bench/pass.h"
#include "server/job/job.h"

enum { BENCH_DEPTHS = 4, BENCH_DEPTH_PASSES = 2 };

extern const bench_pass bench_depth_passes[BENCH_DEPTH_PASSES]; /* plain, all */

typedef struct bench_depth {
    int depth;
    uint64_t bytes[BENCH_DEPTH_PASSES];
    bench_times times[BENCH_DEPTH_PASSES]; /* of one pass */
} bench_depth;

err_code bench_depth_measure(bench_depth out[BENCH_DEPTHS], int rounds, error *err);

/* Of one more block between two depths; the least over the rounds, for time. */
double bench_depth_ms(const bench_depth *from, const bench_depth *to, int pass);
double bench_depth_bytes(const bench_depth *from, const bench_depth *to, int pass);

#endif
