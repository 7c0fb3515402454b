/* From what a probed pass left behind to measurements. */
#ifndef CORE_RUN_REPORT_H
#define CORE_RUN_REPORT_H

#include "core/result.h"
#include "core/run/session.h"

typedef struct report_pass {
    int step;
    double loss;
    bool backward; /* a backward pass was made */
    bool updated;  /* an update followed */
} report_pass;

void report_measurements(session *s, const report_pass *pass, const sink *to);
/* What is told of all steps at once, of 0..steps - 1, under the last of them. */
void report_trace(session *s, int steps, const sink *to);
/* Upper bound on the rows of one probed step. */
uint64_t report_rows(const session *s);

#endif
