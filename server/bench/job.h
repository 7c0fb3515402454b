/* Everything `normscope bench` measures about one network, in rounds: the matrix products alone,
 * then each pass, then again, so that whatever else the machine does hits all of them alike.
 */
#ifndef SERVER_BENCH_JOB_H
#define SERVER_BENCH_JOB_H

#include "server/bench/gemm.h"
#include "server/bench/pass.h"
#include "server/job/job.h"

enum { BENCH_ONE, BENCH_TEAM, BENCH_TEAMS }; /* one thread; as many as asked for, when more */

typedef struct bench_cell {
    uint64_t peak_bytes;
    uint64_t measurements;
    bench_times times;
} bench_cell;

typedef struct bench_job {
    char name[JOB_NAME];
    uint64_t parameters;
    int threads;
    run_spec specs[PASS_COUNT];
    bench_cell cells[PASS_COUNT][BENCH_TEAMS];
    bench_gemm gemm;
} bench_job;

/* The first run of j, measured. The caller gives it back with bench_job_deinit, also after an
 * error. */
err_code bench_job_measure(bench_job *b, const job *j, int threads, int rounds, error *err);
void bench_job_deinit(bench_job *b);

/* What a team is judged by. */
bench_clock bench_team_clock(int t);

#endif
