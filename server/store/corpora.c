/* Corpora in the store. */
#include "server/store/internal.h"
#include "server/text/text.h"

#include <stdlib.h>
#include <string.h>

static err_code check_name(const char *name, error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(name);
    if (n >= 1 && n < SPEC_CORPUS_NAME && name[0] != '.' && strspn(name, allowed) == n)
        return ERR_OK;
    return error_set(err, ERR_RANGE, "",
                     "a corpus name is 1 to %d of A-Z a-z 0-9 . _ - and does not begin with a dot",
                     SPEC_CORPUS_NAME - 1);
}

static err_code check_unused(store *s, const char *name, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_CORPUS_IN_USE, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, name);
    int rc = sqlite3_step(st);
    int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    if (rc != SQLITE_ROW) return store_fault(s, s->db, rc, "look up a corpus", err);
    if (n > 0)
        return error_set(err, ERR_CONFLICT, "", "corpus \"%s\" is needed by %lld unfinished runs",
                         name, (long long)n);
    return ERR_OK;
}

static err_code
stored_hash(store *s, const char *name, char hash[TEXT_SHA256], bool *found, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_CORPUS_OF, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, name);
    int rc = sqlite3_step(st);
    *found = rc == SQLITE_ROW;
    if (*found) store_column_copy(hash, TEXT_SHA256, st, 0);
    sqlite3_reset(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) return ERR_OK;
    return store_fault(s, s->db, rc, "look up a corpus", err);
}

static err_code put_corpus(store *s,
                           const char *name,
                           const void *bytes,
                           size_t n,
                           const char hash[TEXT_SHA256],
                           bool *found,
                           error *err)
{
    char now[STORE_TIME], old[TEXT_SHA256];
    err_code code = stored_hash(s, name, old, found, err);
    if (code != ERR_OK || (*found && strcmp(old, hash) == 0)) return code;
    if (*found) code = check_unused(s, name, err);
    if (code != ERR_OK) return code;
    store_now(now);
    sqlite3_stmt *st = store_stmt(s, SQL_PUT_CORPUS, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, name);
    store_bind_text(st, 2, hash);
    sqlite3_bind_int64(st, 3, (int64_t)n);
    store_bind_text(st, 4, now);
    sqlite3_bind_blob64(st, 5, bytes, n, SQLITE_STATIC);
    code = store_do(s, st, "store a corpus", err);
    sqlite3_clear_bindings(st);
    return code;
}

err_code store_put_corpus(store *s,
                          const char *name,
                          const void *bytes,
                          size_t n,
                          char hash[TEXT_SHA256],
                          bool *replaced,
                          error *err)
{
    bool found = false;
    err_code code = check_name(name, err);
    if (code != ERR_OK) return code;
    if (n == 0 || n > STORE_CORPUS_MAX)
        return error_set(err, ERR_RANGE, "", "a corpus has 1 to %d bytes, this one %zu",
                         STORE_CORPUS_MAX, n);
    text_sha256(hash, bytes, n);
    code = store_begin(s, err);
    if (code != ERR_OK) return code;
    code = store_end(s, put_corpus(s, name, bytes, n, hash, &found, err), err);
    if (replaced) *replaced = found;
    return code;
}

static err_code not_found(const char *name, error *err)
{
    return error_set(err, ERR_NOT_FOUND, "", "there is no corpus \"%s\"", name);
}

static err_code
copy_corpus(sqlite3_stmt *st, void **bytes, size_t *n, char hash[TEXT_SHA256], error *err)
{
    const void *blob = sqlite3_column_blob(st, 1);
    size_t size = (size_t)sqlite3_column_bytes(st, 1);
    if (blob) *bytes = malloc(size);
    if (!*bytes) return error_set(err, ERR_MEMORY, "", "cannot read a corpus: out of memory");
    memcpy(*bytes, blob, size);
    *n = size;
    store_column_copy(hash, TEXT_SHA256, st, 0);
    return ERR_OK;
}

err_code store_get_corpus(
    store *s, const char *name, void **bytes, size_t *n, char hash[TEXT_SHA256], error *err)
{
    *bytes = NULL;
    *n = 0;
    sqlite3 *db = store_reader(s, err);
    if (!db) return ERR_STORE;
    sqlite3_stmt *st = NULL;
    err_code code = ERR_OK;
    int rc =
        sqlite3_prepare_v2(db, "SELECT hash, content FROM corpora WHERE name = ?1", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW)
        code = copy_corpus(st, bytes, n, hash, err);
    else if (rc == SQLITE_DONE)
        code = not_found(name, err);
    else
        code = store_fault(s, db, rc, "read a corpus", err);
    sqlite3_finalize(st);
    store_release(s, db);
    return code;
}

static err_code delete_corpus(store *s, const char *name, error *err)
{
    char hash[TEXT_SHA256];
    bool found;
    err_code code = stored_hash(s, name, hash, &found, err);
    if (code != ERR_OK) return code;
    if (!found) return not_found(name, err);
    code = check_unused(s, name, err);
    if (code != ERR_OK) return code;
    sqlite3_stmt *st = store_stmt(s, SQL_DELETE_CORPUS, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, name);
    return store_do(s, st, "delete a corpus", err);
}

err_code store_delete_corpus(store *s, const char *name, error *err)
{
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    return store_end(s, delete_corpus(s, name, err), err);
}
