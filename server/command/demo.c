#include "server/command/demo.h"

#include "server/job/reader.h"
#include "server/machine/embed.h"
#include "server/text/file_read.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char licences[] = "/usr/share/common-licenses", corpus_name[] = "demo";

const char *demo_job(void)
{
    const embed *file = embed_find("tests/jobs/demo.json");
    return file ? (const char *)file->bytes : NULL;
}

/* --- the text --------------------------------------------------------------------------------- */

/* Links are other names of files that come anyway. */
static int is_visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static err_code append_file(char **text, size_t *n, const char *path, size_t most, error *err)
{
    char *bytes;
    size_t more;
    err_code code = file_read(&bytes, &more, path, most - *n, err);
    if (code) return code;
    char *longer = realloc(*text, *n + more + 1);
    if (longer) {
        *text = longer;
        memcpy(longer + *n, bytes, more + 1);
        *n += more;
    } else {
        code = error_set(err, ERR_MEMORY, "", "not enough memory for the demo text");
    }
    free(bytes);
    return code;
}

/* All of them, in the order of their names. */
static err_code read_licences(char **text, size_t *n, size_t most, error *err)
{
    struct dirent **names;
    err_code code = ERR_OK;
    int count = scandir(licences, &names, is_visible, alphasort);
    for (int i = 0; i < count; i++) {
        char path[512];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", licences, names[i]->d_name);
        bool is_file = lstat(path, &status) == 0 && S_ISREG(status.st_mode);
        bool fits = is_file && (size_t)status.st_size < most - *n;
        if (!code && fits) code = append_file(text, n, path, most, err);
        free(names[i]);
    }
    if (count >= 0) free(names);
    if (!code && *n == 0)
        code = error_set(err, ERR_NOT_FOUND, "",
                         "there are no texts in %s; name one with --demo-text", licences);
    return code;
}

static bool has_text(store *s)
{
    void *bytes = NULL;
    size_t n;
    char hash[TEXT_SHA256];
    error ignored;
    bool found = store_get_corpus(s, corpus_name, &bytes, &n, hash, &ignored) == ERR_OK;
    free(bytes);
    return found;
}

err_code demo_store_text(store *s, const char *path, size_t most, error *err)
{
    char *text = NULL, hash[TEXT_SHA256];
    size_t n = 0;
    if (!path && has_text(s)) return ERR_OK;
    err_code code =
        path ? file_read(&text, &n, path, most, err) : read_licences(&text, &n, most, err);
    if (!code) code = store_put_corpus(s, corpus_name, text, n, hash, NULL, err);
    free(text);
    return code;
}

/* --- the study -------------------------------------------------------------------------------- */

static err_code has_jobs(store *s, bool *found, error *err)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = store_reader(s, err);
    if (!db) return ERR_STORE;
    bool ok =
        sqlite3_prepare_v2(db, "SELECT 1 FROM jobs LIMIT 1", -1, &statement, NULL) == SQLITE_OK;
    int step = ok ? sqlite3_step(statement) : SQLITE_ERROR;
    *found = step == SQLITE_ROW;
    sqlite3_finalize(statement);
    store_release(s, db);
    if (step == SQLITE_ROW || step == SQLITE_DONE) return ERR_OK;
    return error_set(err, ERR_STORE, "", "cannot look for jobs in the database");
}

err_code demo_submit(store *s, scheduler *sch, const limits *lim, bool *submitted, error *err)
{
    const char *text = demo_job();
    job j;
    int64_t id;
    bool existing, found;
    *submitted = false;
    if (!text) return error_set(err, ERR_NOT_FOUND, "", "this program carries no demo study");
    err_code code = has_jobs(s, &found, err);
    if (code || found) return code;
    code = reader_job(text, strlen(text), lim, &j, err);
    if (!code) code = scheduler_submit(sch, &j, text, &id, &existing, err);
    job_deinit(&j);
    *submitted = !code;
    return code;
}
