/* The verdict of `normscope run`: judged run by run while the job is computed. */
#ifndef SERVER_COMMAND_RUN_VERDICT_H
#define SERVER_COMMAND_RUN_VERDICT_H

#include "server/job/job.h"
#include "server/verdict/study.h"

typedef struct run_verdict {
    const job *job;
    rules rules;
    verdict_intake intake;
    verdict_finding *findings; /* of all runs, one after the other */
    bool *judged, *skipped;    /* [n_runs] */
    bool given_weights;        /* of the one run, not drawn; the caller's, after init */
    int run;
    study study;
    char *text; /* the study as JSON, after run_verdict_end */
} run_verdict;

err_code run_verdict_init(run_verdict *v, const job *j, error *err);
/* A run that the outcome of others has made unnecessary ("find"). */
bool run_verdict_skips(const run_verdict *v, int index);
err_code run_verdict_run(run_verdict *v, int index, error *err);
void run_verdict_measure(run_verdict *v, const measurement *m, size_t n);
/* An object with verdict and sentence of this run into text. Returns its level. */
verdict_level run_verdict_run_end(run_verdict *v, const run_summary *summary, json_out *text);
err_code run_verdict_end(run_verdict *v, error *err);
void run_verdict_deinit(run_verdict *v);

/* The exit status with --check. */
enum { RUN_WARNED = 3, RUN_UNEXPECTED = 4 };
int run_verdict_status(verdict_level level, bool strict);

#endif
