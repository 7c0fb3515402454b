#include "server/bench/times.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static double read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

bench_time bench_now(void)
{
    return (bench_time){{[BENCH_CPU] = read_clock(CLOCK_PROCESS_CPUTIME_ID),
                         [BENCH_WALL] = read_clock(CLOCK_MONOTONIC)}};
}

bench_time bench_since(const bench_time *start)
{
    bench_time now = bench_now();
    for (int i = 0; i < BENCH_CLOCKS; i++) now.ms[i] -= start->ms[i];
    return now;
}

void bench_add(bench_times *t, bench_time time)
{
    if (t->n < BENCH_ROUNDS) t->at[t->n++] = time;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort(double out[BENCH_ROUNDS], const bench_times *t, bench_clock clock)
{
    for (int i = 0; i < t->n; i++) out[i] = t->at[i].ms[clock];
    qsort(out, (size_t)t->n, sizeof *out, ascending);
}

double bench_median(const bench_times *t, bench_clock clock)
{
    double v[BENCH_ROUNDS] = {(double)NAN};
    sort(v, t, clock);
    int n = t->n ? t->n : 1;
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

double bench_least(const bench_times *t, bench_clock clock)
{
    double v[BENCH_ROUNDS] = {(double)NAN};
    sort(v, t, clock);
    return v[0];
}
