/* What each strategy of the catalogue costs beside pre_ln, on one network: forward and backward in
 * turn, pass by pass. Beside it what the difference would take at least: its matrix products at the
 * speed of pre_ln's, its other bytes at the bandwidth that is measured in the same rounds.
 */
#ifndef SERVER_BENCH_STRATEGY_H
#define SERVER_BENCH_STRATEGY_H

#include "server/bench/times.h"
#include "server/text/json_out.h"

#include "core/base/error.h"

#include <stdio.h>

enum { BENCH_STRATEGIES = 128 };

typedef struct bench_strategy {
    const char *name;
    double flops, traffic_bytes; /* of one forward and backward pass */
    bench_times times, pre;      /* this one, and pre_ln just before it */
} bench_strategy;

typedef struct bench_strategies {
    bench_strategy rows[BENCH_STRATEGIES];
    int n;
    bench_strategy base;      /* pre_ln; its times are in the rows */
    bench_times bandwidth_ms; /* of BENCH_BANDWIDTH_BYTES */
} bench_strategies;

extern const double bench_bandwidth_bytes;

/* 1: as fast as pre_ln; the median of the rounds' ratios. */
double bench_strategy_ratio(const bench_strategy *s);
/* Milliseconds that the extra bytes take at the measured bandwidth. */
double bench_strategy_memory_ms(const bench_strategies *all, const bench_strategy *s);

/* Large: on the heap. */
err_code bench_strategy_measure(bench_strategies *out, int rounds, error *err);

void bench_print_strategies(FILE *to, const bench_strategies *all);
void bench_json_strategies(json_out *o, const bench_strategies *all); /* an array */

#endif
