/* The results database (SQLite, WAL, synchronous=FULL on the writer).
 *
 * One writer connection, behind a mutex, used by any thread through the store_* functions that
 * write; each is one transaction. Readers get their own read-only connections from a small pool
 * (store_reader / store_release). Schema in schema/NNN_*.sql, embedded, applied in order under
 * user_version in one transaction each; a newer database is refused, and so is a file that is not
 * ours, without a byte of it changed. One process per database: the file is locked (flock).
 *
 * What is lost when: nothing that was acknowledged, at a crash or a power cut. A full disk (or a
 * database that somebody else keeps locked for more than 5 s) fails that operation with ERR_STORE
 * and the next one may succeed. After an I/O error, or when the file turns out to be damaged, the
 * store is failed for good: every later write returns ERR_STORE and store_healthy is false until
 * the process restarts and recovers from the log, because a sync that failed once cannot be
 * believed.
 *
 *   queued -> running     store_claim_run
 *   running -> done       store_finish_run
 *   running -> failed     store_fail_run
 *   running -> queued     store_requeue_run, store_recover
 *   queued, running -> cancelled   store_cancel_job
 *   queued -> skipped     store_finish_run of another run of a job that looks for a depth ("find")
 *
 * The state of a job follows from its runs in the same transaction: queued while all of them are,
 * done when all are done or skipped, failed when all have ended and one failed, running in between;
 * cancelled is final. A transition from any other state is refused with ERR_CONFLICT and changes
 * nothing.
 *
 * Verdicts: what the rules found in a run is stored with its result; when the last run of a job has
 * ended, its arms and the job are judged in that same transaction (verdicts.c).
 */
#ifndef SERVER_STORE_STORE_H
#define SERVER_STORE_STORE_H

#include "server/job/job.h"
#include "server/verdict/verdict.h"

#include <sqlite3.h>

typedef struct store store;

enum { STORE_READERS = 8, STORE_CORPUS_MAX = 256 << 20 };

err_code store_open(store **out, const char *path, error *err);
void store_close(store *s); /* all readers must be back */
bool store_healthy(store *s);
/* Moves the log into the database and empties it, when it is large and nobody waits. Cheap. */
void store_idle(store *s);

/* A read-only connection; blocks up to 5 s for a free one, then NULL (ERR_STORE). While a statement
 * is in the middle of its rows the log cannot shrink: take pages, do not hold it for a slow client.
 * store_release resets statements that were left open. */
sqlite3 *store_reader(store *s, error *err);
void store_release(store *s, sqlite3 *db);

/* Jobs. store_add_job: in one synced transaction the job and all its runs, state queued. An equal
 * job (same hash, same content of the corpora it names, results if any by this build) that is not
 * failed or cancelled is found instead: *existing is set and *id is its id. ERR_NOT_FOUND at
 * /data/corpus for a corpus that is not there. */
err_code
store_add_job(store *s, const job *j, const char *request, int64_t *id, bool *existing, error *err);
err_code store_find_job(store *s, const job *j, int64_t *id, bool *found, error *err);
err_code store_delete_job(store *s, int64_t id, error *err); /* ERR_CONFLICT when it is not ended */

/* Runs. */
typedef struct claimed_run {
    int64_t run_id, job_id;
    int attempts; /* times a worker died on it; deaths by our own restart do not count */
    char *spec;   /* resolved run text; heap */
    uint64_t peak_bytes;
    uint64_t rows_max; /* upper bound on its measurements */
    double flops;
    int depth, steps;
    char corpus[SPEC_CORPUS_NAME]; /* "" when it needs none */
    char corpus_hash[TEXT_SHA256];
} claimed_run;

/* At start: every run that was running is queued again. */
err_code store_recover(store *s, error *err);
/* The oldest queued run becomes running, if it needs at most peak_bytes; *found false when there is
 * none or it needs more (nothing overtakes it). Not synced by itself: a claim lost in a power cut
 * is a run that is queued, which is what recovery makes of it anyway. */
err_code store_claim_run(store *s, uint64_t peak_bytes, claimed_run *out, bool *found, error *err);
void claimed_run_deinit(claimed_run *r);

/* A finished run, everything at once: rows appear all together or not at all. Values that are not
 * finite though their reason is REASON_NONE get the reason of their kind. ERR_INTERNAL when the
 * same thing was measured twice. */
typedef struct run_result {
    run_summary summary;
    const measurement *measurements;
    size_t n_measurements;
    const prediction *predictions;
    size_t n_predictions;
    const step_record *steps;
    size_t n_steps;
    double wall_ms;
    const char *provenance;          /* JSON: build, blas kernel, threads, cpu; or NULL */
    const char *corpus_hash;         /* or NULL: what was found when the job was added */
    const rules *rules;              /* by which it was judged; NULL: it was not */
    const verdict_finding *findings; /* one per rule */
    verdict_level level;
} run_result;

err_code store_finish_run(store *s, int64_t run_id, const run_result *r, error *err);

/* The same; of a job that looks for a depth it says which queued runs it has made unnecessary. */
typedef struct skipped_runs {
    int n;
    double flops;
} skipped_runs;

err_code store_finish_run_and_skip(
    store *s, int64_t run_id, const run_result *r, skipped_runs *skipped, error *err);
err_code store_fail_run(store *s, int64_t run_id, const error *why, error *err);
err_code store_requeue_run(store *s, int64_t run_id, bool count_attempt, error *err);
/* Queued and running runs of the job become cancelled, the job too. *was_active: it was not ended.
 * ERR_NOT_FOUND. */
err_code store_cancel_job(store *s, int64_t job_id, bool *was_active, error *err);

/* What the scheduler and the job resource count. Read from a reader connection. */
typedef struct job_state {
    int64_t id;
    char state[16];
    int runs_total, queued, running, done, failed, cancelled, skipped;
    double flops, flops_ended; /* of all runs; of those that ended */
} job_state;

err_code store_job_state(store *s, int64_t job_id, job_state *out, error *err); /* ERR_NOT_FOUND */
/* All jobs that are queued or running, oldest first; heap, the caller frees *out. */
err_code store_active_jobs(store *s, job_state **out, size_t *n, error *err);

/* Corpora. A name is 1 to 63 of A-Z a-z 0-9 . _ - and does not begin with a dot (ERR_RANGE). The
 * content of one that a queued or running run needs cannot be replaced or deleted (ERR_CONFLICT);
 * putting the same bytes again is always fine. *replaced (may be NULL): the name was there. */
err_code store_put_corpus(store *s,
                          const char *name,
                          const void *bytes,
                          size_t n,
                          char hash[TEXT_SHA256],
                          bool *replaced,
                          error *err);
err_code store_get_corpus(store *s,
                          const char *name,
                          void **bytes,
                          size_t *n,
                          char hash[TEXT_SHA256],
                          error *err); /* heap copy; ERR_NOT_FOUND */
err_code store_delete_corpus(store *s, const char *name, error *err);

#endif
