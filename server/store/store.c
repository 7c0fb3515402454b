/* Opening and closing the database; transactions of the writer; the pool of readers. */
#include "server/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const sql_text[] = {
#define STORE_SQL(name, text) text,
#include "server/store/sql.def"
#undef STORE_SQL
};

/* A log larger than this is moved into the database when nobody waits for the writer. */
enum { IDLE_LOG_BYTES = 1 << 20 };

static const char writer_pragmas[] = "PRAGMA synchronous = FULL;"
                                     "PRAGMA foreign_keys = ON;"
                                     "PRAGMA wal_autocheckpoint = 1000;"
                                     "PRAGMA journal_size_limit = 16777216;"
                                     "PRAGMA cache_size = -16384;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA temp_store = MEMORY;";

static const char reader_pragmas[] = "PRAGMA query_only = ON;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA cache_size = -4096;"
                                     "PRAGMA temp_store = MEMORY;";

/* -- errors -- */

/* Only what is surely not the request's fault and not passing ends the store. */
static bool is_fatal(int rc)
{
    if (rc == SQLITE_IOERR_NOMEM) return false;
    switch (rc & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return true;
    default:
        return false;
    }
}

err_code store_fault(store *s, sqlite3 *db, int rc, const char *doing, error *err)
{
    int kind = rc & 0xff;
    if (is_fatal(rc)) {
        if (db == s->db) atomic_store(&s->failed, true);
        return error_set(err, ERR_STORE, "", "cannot %s: %s (code %d)", doing, sqlite3_errstr(rc),
                         rc);
    }
    if (kind == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM)
        return error_set(err, ERR_MEMORY, "", "cannot %s: out of memory", doing);
    if (kind == SQLITE_FULL)
        return error_set(err, ERR_STORE, "", "cannot %s: the disk is full", doing);
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED)
        return error_set(err, ERR_STORE, "", "cannot %s: another program keeps the database locked",
                         doing);
    return error_set(err, ERR_STORE, "", "cannot %s: %s (code %d)", doing,
                     db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc);
}

/* -- statements -- */

sqlite3_stmt *store_stmt(store *s, store_sql which, error *err)
{
    sqlite3_stmt **st = &s->stmts[which];
    if (*st) {
        sqlite3_reset(*st);
        sqlite3_clear_bindings(*st);
        return *st;
    }
    int rc = sqlite3_prepare_v3(s->db, sql_text[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
    if (rc != SQLITE_OK) store_fault(s, s->db, rc, "prepare a statement", err);
    return *st;
}

err_code store_do(store *s, sqlite3_stmt *st, const char *doing, error *err)
{
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) continue;
    err_code code = rc == SQLITE_DONE ? ERR_OK : store_fault(s, s->db, rc, doing, err);
    sqlite3_reset(st);
    return code;
}

void store_now(char out[STORE_TIME])
{
    struct timespec t;
    struct tm tm;
    char seconds[24];
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, STORE_TIME, "%s.%03dZ", seconds, (int)(t.tv_nsec / 1000000));
}

void store_bind_text(sqlite3_stmt *st, int i, const char *text)
{
    if (text && *text)
        sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, i);
}

char *store_column_dup(sqlite3_stmt *st, int i)
{
    const unsigned char *text = sqlite3_column_text(st, i);
    return text ? strdup((const char *)text) : NULL;
}

void store_column_copy(char *out, size_t size, sqlite3_stmt *st, int i)
{
    const unsigned char *text = sqlite3_column_text(st, i);
    snprintf(out, size, "%s", text ? (const char *)text : "");
}

/* -- transactions -- */

static err_code refuse_failed(error *err)
{
    return error_set(err, ERR_STORE, "",
                     "the database had an input or output error; restart the program to recover");
}

static err_code begin(store *s, error *err)
{
    if (atomic_load(&s->failed)) return refuse_failed(err);
    sqlite3_stmt *st = store_stmt(s, SQL_BEGIN, err);
    return st ? store_do(s, st, "begin a transaction", err) : ERR_STORE;
}

static void restore_sync(store *s)
{
    if (sqlite3_exec(s->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK)
        atomic_store(&s->failed, true);
}

err_code store_begin(store *s, error *err)
{
    pthread_mutex_lock(&s->lock);
    err_code code = begin(s, err);
    if (code != ERR_OK) pthread_mutex_unlock(&s->lock);
    return code;
}

/* Commits or rolls back; the lock stays. */
static err_code finish(store *s, err_code code, error *err)
{
    if (code == ERR_OK) {
        sqlite3_stmt *st = store_stmt(s, SQL_COMMIT, err);
        code = st ? store_do(s, st, "commit", err) : ERR_STORE;
    }
    /* Statements left in the middle of their rows would keep the transaction open. */
    for (int i = 0; i < SQL_COUNT; i++)
        if (s->stmts[i] && sqlite3_stmt_busy(s->stmts[i])) sqlite3_reset(s->stmts[i]);
    if (code != ERR_OK && !sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    store_dict_end(s, code == ERR_OK);
    return code;
}

err_code store_end(store *s, err_code code, error *err)
{
    code = finish(s, code, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

/* The pragma acts outside transactions only. Failing to set it costs a sync, or is found again by
 * the transaction itself; failing to set it back would cost a promise, so that ends the store. */
err_code store_begin_unsynced(store *s, error *err)
{
    pthread_mutex_lock(&s->lock);
    if (!atomic_load(&s->failed))
        sqlite3_exec(s->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    err_code code = begin(s, err);
    if (code != ERR_OK) {
        restore_sync(s);
        pthread_mutex_unlock(&s->lock);
    }
    return code;
}

err_code store_end_unsynced(store *s, err_code code, error *err)
{
    code = finish(s, code, err);
    restore_sync(s);
    pthread_mutex_unlock(&s->lock);
    return code;
}

bool store_healthy(store *s)
{
    return !atomic_load(&s->failed);
}

void store_idle(store *s)
{
    char log[4200];
    struct stat st;
    snprintf(log, sizeof log, "%s-wal", s->path);
    if (stat(log, &st) != 0 || st.st_size < IDLE_LOG_BYTES) return;
    if (atomic_load(&s->failed) || pthread_mutex_trylock(&s->lock) != 0) return;
    sqlite3_busy_timeout(s->db, 0);
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (is_fatal(rc)) atomic_store(&s->failed, true);
    sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    pthread_mutex_unlock(&s->lock);
}

/* -- readers -- */

static sqlite3 *open_reader(store *s, error *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(s->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(db, 1);
        sqlite3_busy_timeout(db, STORE_BUSY_MS);
        rc = sqlite3_exec(db, reader_pragmas, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) return db;
    store_fault(s, db, rc, "open a reader", err);
    sqlite3_close(db);
    return NULL;
}

sqlite3 *store_reader(store *s, error *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STORE_BUSY_MS / 1000;

    pthread_mutex_lock(&s->readers_lock);
    int waited = 0;
    while (s->n_free == 0 && s->n_open == STORE_READERS && waited == 0)
        waited = pthread_cond_timedwait(&s->reader_free, &s->readers_lock, &until);
    sqlite3 *db = NULL;
    bool open_one = false;
    if (s->n_free > 0)
        db = s->readers[--s->n_free];
    else if (s->n_open < STORE_READERS) {
        open_one = true;
        s->n_open++;
    }
    pthread_mutex_unlock(&s->readers_lock);

    if (open_one) {
        db = open_reader(s, err);
        if (!db) {
            pthread_mutex_lock(&s->readers_lock);
            s->n_open--;
            pthread_cond_signal(&s->reader_free);
            pthread_mutex_unlock(&s->readers_lock);
        }
    } else if (!db)
        error_set(err, ERR_STORE, "", "all %d database readers are busy", STORE_READERS);
    return db;
}

void store_release(store *s, sqlite3 *db)
{
    if (!db) return;
    for (sqlite3_stmt *st = sqlite3_next_stmt(db, NULL); st; st = sqlite3_next_stmt(db, st))
        sqlite3_reset(st);
    if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_lock(&s->readers_lock);
    s->readers[s->n_free++] = db;
    pthread_cond_signal(&s->reader_free);
    pthread_mutex_unlock(&s->readers_lock);
}

/* -- open and close -- */

/* The descriptor stays open until SQLite has closed the file: closing any descriptor of a file
 * drops the process's own record locks on it, which are SQLite's. */
static err_code lock_file(store *s, const char *path, error *err)
{
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return error_set(err, ERR_STORE, "", "cannot open %s for writing: %s", path,
                         strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(err, ERR_STORE, "",
                         errno == EWOULDBLOCK ? "%s is in use by another Normscope process"
                                              : "cannot lock %s",
                         path);
    s->path = realpath(path, NULL);
    if (!s->path) return error_set(err, ERR_STORE, "", "cannot find %s: %s", path, strerror(errno));
    return ERR_OK;
}

static err_code open_writer(store *s, error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
        sqlite3_stmt *st = NULL;
        rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &st, NULL);
        if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
            rc = strcmp((const char *)sqlite3_column_text(st, 0), "wal") ? SQLITE_CANTOPEN
                                                                         : SQLITE_OK;
        sqlite3_finalize(st);
    }
    if (rc == SQLITE_OK) rc = sqlite3_exec(s->db, writer_pragmas, NULL, NULL, NULL);
    if (rc == SQLITE_OK) return ERR_OK;
    return error_set(err, ERR_STORE, "", "cannot open %s: %s", s->path,
                     s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
}

static void init_locks(store *s)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->readers_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->reader_free, &attr);
    pthread_condattr_destroy(&attr);
}

err_code store_open(store **out, const char *path, error *err)
{
    *out = NULL;
    store *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_MEMORY, "", "cannot open %s: out of memory", path);
    s->lock_fd = -1;
    init_locks(s);
    err_code code = lock_file(s, path, err);
    if (code == ERR_OK) code = store_check_file(s->path, s->lock_fd, err);
    if (code == ERR_OK) code = open_writer(s, err);
    if (code == ERR_OK) code = store_migrate(s, err);
    if (code == ERR_OK) code = store_dict_load(s, err);
    if (code != ERR_OK) {
        store_close(s);
        return code;
    }
    *out = s;
    return ERR_OK;
}

void store_close(store *s)
{
    if (!s) return;
    for (int i = 0; i < s->n_free; i++) sqlite3_close_v2(s->readers[i]);
    for (int i = 0; i < SQL_COUNT; i++) sqlite3_finalize(s->stmts[i]);
    sqlite3_close_v2(s->db);
    store_dict_free(s);
    if (s->lock_fd >= 0) close(s->lock_fd);
    pthread_cond_destroy(&s->reader_free);
    pthread_mutex_destroy(&s->readers_lock);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}
