/* A job: a base run plus the axes it is swept over. Made by reader.c, plain data afterwards.
 *
 * A job expands to one run per combination of swept values and seed, seeds fastest. A combination
 * without its seed is an "arm". The canonical text (resolved, every default explicit, keys in field
 * table order, no name) is what is hashed: equal hash, equal results, bit for bit on one build.
 */
#ifndef SERVER_JOB_JOB_H
#define SERVER_JOB_JOB_H

#include "server/job/field.h"
#include "server/text/text.h"

enum { JOB_NAME_CHARACTERS = 120, JOB_NAME = 4 * JOB_NAME_CHARACTERS + 1, JOB_ARM = 1024 };

typedef struct limits {
    size_t body_bytes;   /* default 256 KiB */
    int runs;            /* per job; default 4096 */
    uint64_t peak_bytes; /* of one run; default: half of the memory, cgroup limit included */
    double flops;        /* of one job; default 1e16: days on a small machine */
    int depth;           /* default 4096 */
    double blocks; /* depth summed over the combinations of a job that cost differently; 4e5; 0: no
                      limit */
    bool theory_only; /* nothing is to be run: no network is planned, costs stay 0 */
    bool stored;      /* a text of this program, maybe of an older one: what means nothing in it is
                         dropped, not refused */
    int threads;      /* of the engine, for which peak bytes are estimated; 0 is taken as 1 */
} limits;

typedef struct job_run {
    run_spec spec;
    estimate cost;
    char arm[JOB_ARM]; /* swept values as canonical JSON object: {"depth":12,"strategy":"pre_ln"} */
} job_run;

typedef struct job {
    char name[JOB_NAME];
    char hash[TEXT_SHA256]; /* lower-case hex SHA-256 of resolved */
    char *resolved;         /* canonical JSON text of the whole job */
    char *coverage; /* JSON text: what became of its hf_config (hf_config.h); NULL: it has none */
    char *notes;    /* JSON text: a list of sentences about what was made of it */
    struct expectations *expect; /* its own rules; heap, NULL: none */
    bool finds_depth;            /* "find" */
    job_run *runs;
    int n_runs;
    bool beside[FIELD_COUNT]; /* given beside a sweep: a run that has no use for it has its
                                 default, and does not differ by that */
} job;

/* The defaults above; peak_bytes from the machine's memory and its cgroup. */
limits limits_default(void);

void job_init(job *j);
void job_deinit(job *j);

#endif
