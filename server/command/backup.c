#include "server/command/backup.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 10000 };

/* One statement whose first value is text or a number; false when it fails. */
static bool ask(sqlite3 *db, const char *sql, const char *argument, char answer[128])
{
    sqlite3_stmt *stmt = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK;
    if (ok && argument) sqlite3_bind_text(stmt, 1, argument, -1, SQLITE_STATIC);
    int row = ok ? sqlite3_step(stmt) : SQLITE_ERROR;
    answer[0] = '\0';
    if (row == SQLITE_ROW) snprintf(answer, 128, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return row == SQLITE_ROW || row == SQLITE_DONE;
}

static bool copy(const char *from, const char *to, char why[128])
{
    sqlite3 *db = NULL;
    char ignored[128];
    bool ok = sqlite3_open_v2(from, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK;
    if (ok) sqlite3_busy_timeout(db, BUSY_MS);
    /* In one read transaction, whatever the daemon writes meanwhile; without free pages. */
    ok = ok && ask(db, "VACUUM INTO ?", to, ignored);
    if (!ok) snprintf(why, 128, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    return ok;
}

static bool check(const char *path, char said[256])
{
    sqlite3 *db = NULL;
    char jobs[128], runs[128], integrity[128] = "";
    bool ok = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
              ask(db, "PRAGMA integrity_check(1)", NULL, integrity) &&
              strcmp(integrity, "ok") == 0 && ask(db, "SELECT count(*) FROM jobs", NULL, jobs) &&
              ask(db, "SELECT count(*) FROM runs", NULL, runs);
    if (ok)
        snprintf(said, 256, "%.20s jobs, %.20s runs", jobs, runs);
    else
        snprintf(said, 256, "the copy is not sound: %.120s",
                 integrity[0] ? integrity : sqlite3_errmsg(db));
    sqlite3_close(db);
    return ok;
}

/* The copy is on disk when this says so. */
static bool sync_file(const char *path)
{
    FILE *file = fopen(path, "re");
    bool ok = file && fsync(fileno(file)) == 0;
    if (file) fclose(file);
    return ok;
}

int backup_main(const options *o)
{
    const char *from = o->text[OPTION_db], *to = o->arguments[0];
    char why[128] = "", said[256];
    struct stat st;
    if (o->n_arguments != 1) {
        fputs("normscope: backup takes the name of the copy\n", stderr);
        return 2;
    }
    if (lstat(to, &st) == 0) {
        fprintf(stderr, "normscope: %s is there already; a backup replaces nothing\n", to);
        return 1;
    }
    mode_t before = umask(077);
    bool ok = copy(from, to, why);
    umask(before);
    if (!ok) {
        fprintf(stderr, "normscope: %s cannot be copied to %s: %s\n", from, to, why);
        return 1;
    }
    ok = check(to, said) && sync_file(to);
    fprintf(ok ? stdout : stderr, "%s: %s\n", to, said);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
