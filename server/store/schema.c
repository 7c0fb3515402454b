/* The schema inside the program, and the way from an older database to it. */
#include "server/machine/embed.h"
#include "server/store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* PRAGMA application_id: "NSCP". Says that a SQLite file is ours. */
enum { APPLICATION_ID = 0x4e534350 };

/* Text of the migration to this version, from schema/NNN_*.sql; NULL when there is none. */
static const char *migration(int version)
{
    char prefix[16];
    int n = snprintf(prefix, sizeof prefix, "schema/%03d_", version);
    for (const embed *e = embed_files; e->path; e++)
        if (strncmp(e->path, prefix, (size_t)n) == 0) return (const char *)e->bytes;
    return NULL;
}

static int schema_version(void)
{
    int v = 0;
    while (migration(v + 1)) v++;
    return v;
}

static err_code pragma_int(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? ERR_OK : ERR_STORE;
}

static err_code check_contents(const char *path, sqlite3 *db, error *err)
{
    int64_t id, version, objects;
    if (pragma_int(db, "PRAGMA application_id", &id) ||
        pragma_int(db, "PRAGMA user_version", &version) ||
        pragma_int(db, "SELECT count(*) FROM sqlite_schema", &objects))
        return error_set(err, ERR_STORE, "", "%s cannot be read: %s", path, sqlite3_errmsg(db));
    bool empty = id == 0 && version == 0 && objects == 0;
    if (id != APPLICATION_ID && !empty)
        return error_set(err, ERR_STORE, "", "%s is a SQLite database of another program", path);
    if (version > schema_version())
        return error_set(err, ERR_STORE, "",
                         "%s was written by a newer Normscope (schema %lld, this program knows %d)",
                         path, (long long)version, schema_version());
    return ERR_OK;
}

/* *rolls_back: a write was cut short and SQLite wants to undo it, which a read-only connection
 * cannot. */
static err_code check_through(const char *path, int flags, bool *rolls_back, error *err)
{
    sqlite3 *db = NULL;
    err_code code;
    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        code = error_set(err, ERR_STORE, "", "cannot open %s: %s", path,
                         db ? sqlite3_errmsg(db) : "out of memory");
    else {
        sqlite3_busy_timeout(db, STORE_BUSY_MS);
        code = check_contents(path, db, err);
    }
    *rolls_back = code != ERR_OK && sqlite3_errcode(db) == SQLITE_READONLY;
    sqlite3_close(db);
    return code;
}

err_code store_check_file(const char *path, int fd, error *err)
{
    char magic[16];
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set(err, ERR_STORE, "", "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_STORE, "", "%s is not a regular file", path);
    if (st.st_size == 0) return ERR_OK;
    if (pread(fd, magic, sizeof magic, 0) != sizeof magic ||
        memcmp(magic, "SQLite format 3", sizeof magic) != 0)
        return error_set(err, ERR_STORE, "", "%s is not a SQLite database", path);

    /* Through SQLite, because the newest header may still be in the log; read-only, so that a file
     * that is refused stays as it is. Killed in its very first transaction, a database still has a
     * rollback journal: then it is read the way any reader would, the journal played back. */
    bool rolls_back;
    err_code code = check_through(path, SQLITE_OPEN_READONLY, &rolls_back, err);
    if (rolls_back) code = check_through(path, SQLITE_OPEN_READWRITE, &rolls_back, err);
    return code;
}

static err_code apply(store *s, int version, error *err)
{
    char pragma[96];
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, version);
    int rc = sqlite3_exec(s->db, migration(version), NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(s->db, pragma, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : store_fault(s, s->db, rc, "migrate the schema", err);
}

err_code store_migrate(store *s, error *err)
{
    int64_t version = 0;
    if (pragma_int(s->db, "PRAGMA user_version", &version))
        return store_fault(s, s->db, sqlite3_errcode(s->db), "read the schema version", err);
    for (int v = (int)version + 1; migration(v); v++) {
        err_code code = store_begin(s, err);
        if (code == ERR_OK) code = store_end(s, apply(s, v, err), err);
        if (code != ERR_OK) return code;
    }
    return ERR_OK;
}
