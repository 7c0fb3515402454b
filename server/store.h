/* The results database (SQLite, WAL, synchronous=FULL on the writer).
 *
 * One writer connection, behind a mutex, used by any thread through the store_* functions that write;
 * each is one transaction. Readers get their own read-only connections from a small pool
 * (store_reader / store_release). Schema in schema/NNN_*.sql, embedded, applied in order under
 * user_version in one transaction each; a newer database is refused. After an I/O error on a write
 * the store is failed for good: every later write returns ERR_STORE until the process restarts.
 */
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include "server/job.h"

#include <sqlite3.h>

typedef struct store store;

err_code store_open(store **out, const char *path, error *err);
void store_close(store *s);
bool store_healthy(store *s);

sqlite3 *store_reader(store *s, error *err); /* blocks up to 5 s for a free one, then NULL */
void store_release(store *s, sqlite3 *db);

/* Jobs. store_add_job: in one synced transaction the job and all its runs, state queued. An equal
 * hash that is not failed or cancelled is found instead: *existing is set and *id is its id. */
err_code store_add_job(store *s, const job *j, const char *request, int64_t *id, bool *existing,
                       error *err);
err_code store_delete_job(store *s, int64_t id, error *err); /* ERR_CONFLICT when it is not ended */

/* Runs. */
typedef struct claimed_run {
    int64_t run_id, job_id;
    int attempts;   /* times a worker died on it; deaths by our own restart do not count */
    char *spec;     /* resolved run text; heap */
    uint64_t peak_bytes;
    char corpus[SPEC_CORPUS_NAME];
} claimed_run;

/* At start: every run that was running is queued again. */
err_code store_recover(store *s, error *err);
/* The oldest queued run becomes running; *found false when there is none. */
err_code store_claim_run(store *s, claimed_run *out, bool *found, error *err);
void claimed_run_deinit(claimed_run *r);

/* A finished run, everything at once: rows appear all together or not at all. */
typedef struct run_result {
    run_summary summary;
    const measurement *measurements;
    size_t n_measurements;
    const step_record *steps;
    size_t n_steps;
    double wall_ms;
    const char *provenance; /* JSON: build, blas kernel, threads, cpu */
    const char *corpus_hash; /* or NULL */
} run_result;

err_code store_finish_run(store *s, int64_t run_id, const run_result *r, error *err);
err_code store_fail_run(store *s, int64_t run_id, const error *why, error *err);
err_code store_requeue_run(store *s, int64_t run_id, bool count_attempt, error *err);
/* Queued and running runs of the job become cancelled, the job too. *was_active: it was not ended. */
err_code store_cancel_job(store *s, int64_t job_id, bool *was_active, error *err);

/* Corpora. */
err_code store_put_corpus(store *s, const char *name, const void *bytes, size_t n, char hash[JOB_HASH],
                          error *err);
err_code store_get_corpus(store *s, const char *name, void **bytes, size_t *n, char hash[JOB_HASH],
                          error *err); /* heap copy; ERR_NOT_FOUND */
err_code store_delete_corpus(store *s, const char *name, error *err);

#endif
