/* What the files of the store share. Nobody else includes this. */
#ifndef SERVER_STORE_INTERNAL_H
#define SERVER_STORE_INTERNAL_H

#include "server/store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* Statements of the writer: prepared once, kept. */
typedef enum store_sql {
#define STORE_SQL(name, text) SQL_##name,
#include "server/store/sql.def"
#undef STORE_SQL
    SQL_COUNT
} store_sql;

enum { STORE_BUSY_MS = 5000, STORE_TIME = 32 };

typedef struct store_param {
    char *name;
    int64_t id;
} store_param;

struct store {
    char *path; /* absolute */
    int lock_fd;

    pthread_mutex_t lock; /* the writer and everything down to params */
    sqlite3 *db;
    sqlite3_stmt *stmts[SQL_COUNT];
    int64_t site_ids[SITE_COUNT], metric_ids[METRIC_COUNT], reason_ids[REASON_COUNT];
    int64_t item_kind_ids[ITEM_COUNT]; /* that of ITEM_NONE is 0 */
    int64_t law_ids[LAW_COUNT];
    store_param *params; /* param names known to the database; the open transaction may add some */
    size_t n_params, cap_params, n_params_committed;
    atomic_bool failed;

    pthread_mutex_t readers_lock;
    pthread_cond_t reader_free;
    sqlite3 *readers[STORE_READERS]; /* those nobody uses */
    int n_free, n_open;
};

/* schema.c */
err_code store_check_file(const char *path, int fd, error *err); /* ours, or new; changes nothing */
err_code store_migrate(store *s, error *err);

/* dict.c */
err_code store_dict_load(store *s, error *err);
err_code
store_dict_param(store *s, const char *name, int64_t *id, error *err); /* in a transaction */
void store_dict_end(store *s, bool committed);
void store_dict_free(store *s);

/* store.c: transactions of the writer.
 *
 *   err_code code = store_begin(s, err);
 *   if (code == ERR_OK) code = store_end(s, work(s, err), err);
 *
 * store_begin takes the lock, and releases it when it fails; store_end commits when given ERR_OK,
 * else rolls back, and releases the lock. */
err_code store_begin(store *s, error *err);
err_code store_end(store *s, err_code code, error *err);
/* The same without waiting for the disk at the end: only for what recovery would make good. */
err_code store_begin_unsynced(store *s, error *err);
err_code store_end_unsynced(store *s, err_code code, error *err);
/* Turns a result code into an error; fails the store for good where that is due. */
err_code store_fault(store *s, sqlite3 *db, int rc, const char *doing, error *err);
/* A kept statement, reset and unbound. NULL when it cannot be prepared. */
sqlite3_stmt *store_stmt(store *s, store_sql which, error *err);
/* Steps to the end of a statement that returns no rows (or whose rows do not matter); resets it. */
err_code store_do(store *s, sqlite3_stmt *st, const char *doing, error *err);

void store_now(char out[STORE_TIME]);                            /* "2025-11-22T10:00:00.000Z" */
void store_bind_text(sqlite3_stmt *st, int i, const char *text); /* NULL and "" bind NULL */
char *store_column_dup(sqlite3_stmt *st, int i);                 /* heap; NULL when out of memory */
void store_column_copy(char *out, size_t size, sqlite3_stmt *st, int i);

/* verdicts.c: in a transaction. store_judge_job does nothing unless the job has just ended.
 */
err_code store_put_rules(store *s, error *err);
err_code store_judge_run(store *s, int64_t run_id, const run_result *r, error *err);
err_code
store_skip_runs(store *s, int64_t job_id, int64_t run_id, skipped_runs *skipped, error *err);
err_code store_judge_job(store *s, int64_t job_id, error *err);

/* jobs.c: the state of a job from its runs; in a transaction. */
err_code store_derive_job(store *s, int64_t job_id, error *err);

#endif
