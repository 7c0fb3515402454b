/* Repeated timings: one entry per round, read on two clocks at once.
 *
 * What one thread does is judged by the processor time of the process, which other programs on the
 * machine can not lengthen by being scheduled; what several threads do by wall time.
 */
#ifndef SERVER_BENCH_TIMES_H
#define SERVER_BENCH_TIMES_H

enum { BENCH_ROUNDS = 100 };

typedef enum bench_clock { BENCH_CPU, BENCH_WALL, BENCH_CLOCKS } bench_clock;

typedef struct bench_time {
    double ms[BENCH_CLOCKS];
} bench_time;

typedef struct bench_times {
    bench_time at[BENCH_ROUNDS];
    int n;
} bench_times;

bench_time bench_now(void);
bench_time bench_since(const bench_time *start);

/* Nothing is added to a full list. An empty one has NaN for median and minimum. */
void bench_add(bench_times *t, bench_time time);
double bench_median(const bench_times *t, bench_clock clock);
double bench_least(const bench_times *t, bench_clock clock);

#endif
