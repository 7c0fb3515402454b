/* The results of `normscope bench` as text for people and as JSON for programs. */
#ifndef SERVER_BENCH_PRINT_H
#define SERVER_BENCH_PRINT_H

#include "server/bench/depth.h"
#include "server/bench/job.h"
#include "server/text/json_out.h"

#include <stdio.h>

void bench_print_job(FILE *to, const bench_job *b);
void bench_print_depths(FILE *to, const bench_depth d[BENCH_DEPTHS]);

/* One object; of the place where values go. */
void bench_json_job(json_out *o, const bench_job *b);
void bench_json_depths(json_out *o, const bench_depth d[BENCH_DEPTHS]); /* an array */

#endif
