#include "server/store/judgement.h"

#include "server/job/expect.h"
#include "server/job/reader.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* What was accepted is read again, whatever the limits are now. */
err_code judgement_rules(judgement *j, const char *spec, error *err)
{
    limits lim = limits_default();
    lim.body_bytes = INT_MAX;
    lim.peak_bytes = UINT64_MAX;
    lim.flops = INFINITY;
    lim.depth = INT_MAX;
    lim.blocks = 0;
    lim.stored = true;
    memset(&j->rules, 0, sizeof j->rules);
    err_code code = reader_job(spec, strlen(spec), &lim, &j->job, err);
    if (code) return code;
    const expectations *own = j->job.expect;
    verdict_rules(&j->rules, own->rules, own->n);
    return ERR_OK;
}

err_code judgement_make(judgement *j, const char *spec, const run_result *r, error *err)
{
    verdict_intake in;
    err_code code = judgement_rules(j, spec, err);
    if (code) return code;
    if (!verdict_intake_init(&in, &j->rules, &j->job.runs[0].spec))
        return error_set(err, ERR_MEMORY, "", "not enough memory for the verdict");
    verdict_intake_measure(&in, r->measurements, r->n_measurements);
    j->level = verdict_judge(j->findings, &in, &r->summary);
    verdict_intake_deinit(&in);
    return ERR_OK;
}

void judgement_deinit(judgement *j)
{
    job_deinit(&j->job);
}
