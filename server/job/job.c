#include "server/job/job.h"

#include "server/machine/machine.h"

#include <stdlib.h>

void job_init(job *j)
{
    *j = (job){0};
}

void job_deinit(job *j)
{
    free(j->resolved);
    free(j->coverage);
    free(j->notes);
    free(j->expect);
    free(j->runs);
    *j = (job){0};
}

limits limits_default(void)
{
    return (limits){.body_bytes = 256 << 10,
                    .runs = 4096,
                    .peak_bytes = machine_memory_bytes() / 2,
                    .flops = 1e16,
                    .depth = 4096,
                    .blocks = 4e5,
                    .threads = 1};
}
