#include "server/api/rows.h"

#include "server/api/api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 64 << 10, PAGE_ROWS = 4096 };

typedef struct run_ref {
    int64_t id, seed;
    char *arm;
} run_ref;

/* Names of a dictionary table by id. */
typedef struct dictionary {
    char **names;
    int64_t n;
} dictionary;

typedef struct rows {
    http *http;
    rows_kind kind;
    bool csv;
    int64_t job_id;
    char *sql;
    run_ref *runs;
    size_t n_runs, at;
    int64_t last[6]; /* key of the last row of runs[at]: step, layer, site, metric, param, item */
    dictionary sites, metrics, params, reasons, item_kinds;
    json_out out; /* the page; its nesting lives on from page to page */
    size_t sent;
    bool begun, ended;
} rows;

static const char *const series_columns[] = {"run_id", "seed",   "arm",    "step",
                                             "layer",  "site",   "metric", "param",
                                             "value",  "reason", "item",   "item_kind"};
static const char *const steps_columns[] = {"run_id", "seed", "arm",      "step",
                                            "loss",   "lr",   "grad_norm"};

static void free_dictionary(dictionary *d)
{
    for (int64_t i = 0; i < d->n; i++) free(d->names[i]);
    free(d->names);
}

static void rows_close(void *ctx)
{
    rows *t = ctx;
    for (size_t i = 0; i < t->n_runs; i++) free(t->runs[i].arm);
    free(t->runs);
    free_dictionary(&t->sites);
    free_dictionary(&t->metrics);
    free_dictionary(&t->params);
    free_dictionary(&t->reasons);
    free_dictionary(&t->item_kinds);
    json_deinit(&t->out);
    free(t->sql);
    free(t);
}

/* --- opening --- */

static bool add_name(dictionary *d, int64_t id, const char *name)
{
    enum { MAX_ID = 1 << 16 };
    if (id < 0 || id >= MAX_ID || !name) return true; /* not ours: shown as null */
    if (id >= d->n) {
        char **names = realloc(d->names, (size_t)(id + 1) * sizeof *names);
        if (!names) return false;
        memset(names + d->n, 0, (size_t)(id + 1 - d->n) * sizeof *names);
        d->names = names;
        d->n = id + 1;
    }
    free(d->names[id]);
    d->names[id] = strdup(name);
    return d->names[id] != NULL;
}

static bool load_dictionary(dictionary *d, sqlite3 *db, reply *p, const char *sql)
{
    sqlite3_stmt *s = api_prepare(db, p, sql);
    if (!s) return false;
    bool memory = true;
    int row;
    while (memory && (row = sqlite3_step(s)) == SQLITE_ROW)
        memory = add_name(d, sqlite3_column_int64(s, 0), (const char *)sqlite3_column_text(s, 1));
    sqlite3_finalize(s);
    if (memory && row == SQLITE_DONE) return true;
    api_store_failed(p, db);
    return false;
}

static bool add_run(rows *t, sqlite3_stmt *s)
{
    if ((t->n_runs & (t->n_runs - 1)) == 0) {
        size_t cap = t->n_runs ? t->n_runs * 2 : 1;
        run_ref *runs = realloc(t->runs, cap * sizeof *runs);
        if (!runs) return false;
        t->runs = runs;
    }
    const char *arm = (const char *)sqlite3_column_text(s, 2);
    char *own = strdup(arm ? arm : "{}");
    if (!own) return false;
    t->runs[t->n_runs++] = (run_ref){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1), own};
    return true;
}

static bool load_runs(rows *t, sqlite3 *db, reply *p, int64_t run_id, const char *run_where)
{
    json_out sql = {0};
    json_text(&sql, "SELECT id, seed, arm FROM runs WHERE job_id = ?1 AND state = 'done'"
                    " AND (?2 = 0 OR id = ?2)");
    json_text(&sql, run_where);
    json_text(&sql, " ORDER BY idx");
    sqlite3_stmt *s = sql.failed ? NULL : api_prepare(db, p, sql.text);
    json_deinit(&sql);
    if (!s) return false;
    sqlite3_bind_int64(s, 1, t->job_id);
    sqlite3_bind_int64(s, 2, run_id);
    bool memory = true;
    int row = SQLITE_DONE;
    while (memory && (row = sqlite3_step(s)) == SQLITE_ROW) memory = add_run(t, s);
    sqlite3_finalize(s);
    if (memory && row == SQLITE_DONE) return true;
    api_store_failed(p, db);
    return false;
}

static void page_sql(rows *t, const char *where)
{
    json_out sql = {0};
    if (t->kind == ROWS_SERIES) {
        json_text(
            &sql,
            "SELECT step, layer, site_id, metric_id, param_id, item, value, reason_id, item_kind_id"
            " FROM measurements WHERE run_id = ?1 AND"
            " (step, layer, site_id, metric_id, param_id, item) > (?2, ?3, ?4, ?5, ?6, ?7)");
        json_text(&sql, where);
        json_text(&sql, " ORDER BY step, layer, site_id, metric_id, param_id, item LIMIT ?8");
    } else {
        json_text(&sql, "SELECT step, loss, loss_reason, lr, grad_norm, grad_norm_reason FROM steps"
                        " WHERE run_id = ?1 AND step > ?2");
        json_text(&sql, where);
        json_text(&sql, " ORDER BY step LIMIT ?8");
    }
    t->sql = json_take(&sql);
}

static void first_key(rows *t)
{
    for (int i = 0; i < 6; i++) t->last[i] = INT64_MIN;
}

static bool load(rows *t, request *r, reply *p, int64_t run_id, const char *run_where)
{
    error e = {0};
    sqlite3 *db = store_reader(r->http->store, &e);
    if (!db) {
        reply_error(p, &e);
        return false;
    }
    bool ok = load_runs(t, db, p, run_id, run_where) &&
              load_dictionary(&t->sites, db, p, "SELECT id, name FROM sites") &&
              load_dictionary(&t->metrics, db, p, "SELECT id, name FROM metrics") &&
              load_dictionary(&t->params, db, p, "SELECT id, name FROM params") &&
              load_dictionary(&t->reasons, db, p, "SELECT id, name FROM reasons") &&
              load_dictionary(&t->item_kinds, db, p, "SELECT id, name FROM item_kinds");
    store_release(r->http->store, db);
    return ok;
}

/* --- writing --- */

static const char *name_of(const dictionary *d, int64_t id)
{
    const char *name = id >= 0 && id < d->n ? d->names[id] : NULL;
    return name && name[0] ? name : NULL;
}

/* The reason of a stored value: by name, since the dictionary may be older than this program. */
static reason reason_at(const rows *t, sqlite3_stmt *s, int column, const char **name)
{
    *name = NULL;
    if (sqlite3_column_type(s, column) == SQLITE_NULL) return REASON_NONE;
    *name = name_of(&t->reasons, sqlite3_column_int64(s, column));
    reason why = reason_find(*name);
    return why ? why : REASON_NO_ENTRIES;
}

static void cell_text(rows *t, const char *text)
{
    json_out *o = &t->out;
    if (t->csv) {
        json_text(o, ",");
        if (text) json_csv_string(o, text);
    } else {
        json_string(o, text);
    }
}

static void cell_integer(rows *t, int64_t value)
{
    char text[JSON_NUMBER];
    if (t->csv) {
        json_text(&t->out, ",");
        json_bytes(&t->out, text, json_number_text(text, (double)value));
    } else {
        json_integer(&t->out, value);
    }
}

/* Nothing where there is none. */
static void cell_item(rows *t, int64_t item)
{
    if (item)
        cell_integer(t, item);
    else
        cell_text(t, NULL);
}

static void cell_value(rows *t, sqlite3_stmt *s, int column, reason why)
{
    bool null = sqlite3_column_type(s, column) == SQLITE_NULL;
    double value = null ? NAN : sqlite3_column_double(s, column);
    if (null && why == REASON_NONE) why = REASON_ABSENT;
    if (t->csv) {
        json_text(&t->out, ",");
        json_csv_number(&t->out, value, why);
    } else {
        json_number(&t->out, value, why);
    }
}

static void begin_row(rows *t, const run_ref *run)
{
    json_out *o = &t->out;
    if (!t->csv) {
        json_begin_array(o);
        json_integer(o, run->id);
        json_integer(o, run->seed);
        json_raw(o, run->arm);
        return;
    }
    char text[JSON_NUMBER];
    json_bytes(o, text, json_number_text(text, (double)run->id));
    cell_integer(t, run->seed);
    cell_text(t, run->arm);
}

static void end_row(rows *t)
{
    if (t->csv)
        json_text(&t->out, "\n");
    else
        json_end(&t->out);
}

static void write_measurement(rows *t, const run_ref *run, sqlite3_stmt *s)
{
    const char *why_name;
    reason why = reason_at(t, s, 7, &why_name);
    begin_row(t, run);
    cell_integer(t, t->last[0]);
    cell_integer(t, t->last[1]);
    cell_text(t, name_of(&t->sites, t->last[2]));
    cell_text(t, name_of(&t->metrics, t->last[3]));
    cell_text(t, name_of(&t->params, t->last[4]));
    cell_value(t, s, 6, why);
    cell_text(t, why_name);
    cell_item(t, t->last[5]);
    cell_text(t, name_of(&t->item_kinds, sqlite3_column_int64(s, 8)));
    end_row(t);
}

static void write_step(rows *t, const run_ref *run, sqlite3_stmt *s)
{
    const char *unused;
    begin_row(t, run);
    cell_integer(t, t->last[0]);
    cell_value(t, s, 1, reason_at(t, s, 2, &unused));
    cell_value(t, s, 3, REASON_NONE);
    cell_value(t, s, 4, reason_at(t, s, 5, &unused));
    end_row(t);
}

static void write_head(rows *t)
{
    bool series = t->kind == ROWS_SERIES;
    const char *const *names = series ? series_columns : steps_columns;
    size_t n =
        series ? sizeof series_columns / sizeof *names : sizeof steps_columns / sizeof *names;
    json_out *o = &t->out;
    if (!t->csv) {
        json_begin_object(o);
        json_array_member(o, "columns");
    }
    for (size_t i = 0; i < n; i++) {
        if (!t->csv)
            json_string(o, names[i]);
        else
            json_text(o, i ? "," : ""), json_text(o, names[i]);
    }
    if (t->csv) {
        json_text(o, "\n");
        return;
    }
    json_end(o);
    json_array_member(o, "rows");
}

static void write_tail(rows *t)
{
    if (t->csv) return;
    json_end(&t->out);
    json_bool_member(&t->out, "truncated", false);
    json_end(&t->out);
}

/* --- paging --- */

/* Rows of runs[at] after the last key. *whole: its last row has been written. */
static bool page_of_run(rows *t, sqlite3_stmt *s, bool *whole)
{
    const run_ref *run = &t->runs[t->at];
    int keys = t->kind == ROWS_SERIES ? 6 : 1, n = 0, row = SQLITE_DONE;
    sqlite3_bind_int64(s, 1, run->id);
    for (int i = 0; i < keys; i++) sqlite3_bind_int64(s, 2 + i, t->last[i]);
    sqlite3_bind_int64(s, 8, PAGE_ROWS);
    while (t->out.n < PAGE_BYTES && (row = sqlite3_step(s)) == SQLITE_ROW) {
        for (int i = 0; i < keys; i++) t->last[i] = sqlite3_column_int64(s, i);
        if (t->kind == ROWS_SERIES)
            write_measurement(t, run, s);
        else
            write_step(t, run, s);
        n++;
    }
    *whole = row == SQLITE_DONE && n < PAGE_ROWS;
    sqlite3_reset(s);
    return row == SQLITE_DONE || row == SQLITE_ROW;
}

/* A delete is one transaction: when the job is still there after a page, the page was whole. */
static bool job_is_there(const rows *t, sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM jobs WHERE id = ?", -1, &s, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_int64(s, 1, t->job_id);
    bool there = sqlite3_step(s) == SQLITE_ROW;
    sqlite3_finalize(s);
    return there;
}

static bool fill(rows *t)
{
    sqlite3_stmt *s = NULL;
    sqlite3 *db = store_reader(t->http->store, NULL);
    if (!db) return false;
    bool ok = sqlite3_prepare_v2(db, t->sql, -1, &s, NULL) == SQLITE_OK;
    while (ok && t->at < t->n_runs && t->out.n < PAGE_BYTES && !atomic_load(&t->http->stopping)) {
        bool whole = false;
        ok = page_of_run(t, s, &whole);
        if (whole) t->at++, first_key(t);
    }
    sqlite3_finalize(s);
    ok = ok && job_is_there(t, db);
    store_release(t->http->store, db);
    return ok && !atomic_load(&t->http->stopping);
}

static ssize_t rows_read(void *ctx, char *out, size_t max)
{
    rows *t = ctx;
    if (t->sent == t->out.n && !t->ended) {
        t->sent = t->out.n = 0;
        if (!t->begun) write_head(t);
        t->begun = true;
        if (t->n_runs > t->at && !fill(t)) return -1;
        t->ended = t->at == t->n_runs;
        if (t->ended) write_tail(t);
        if (t->out.failed) return -1;
    }
    size_t n = t->out.n - t->sent;
    if (n > max) n = max;
    if (n) memcpy(out, t->out.text + t->sent, n);
    t->sent += n;
    return (ssize_t)n;
}

bool rows_open(stream *out,
               request *r,
               reply *p,
               rows_kind kind,
               int64_t job_id,
               int64_t run_id,
               const char *where,
               const char *run_where,
               bool csv)
{
    rows *t = calloc(1, sizeof *t);
    if (t) {
        t->http = r->http;
        t->kind = kind;
        t->csv = csv;
        t->job_id = job_id;
        first_key(t);
        page_sql(t, where);
    }
    if (!t || !t->sql) {
        reply_error(p, &(error){.code = ERR_MEMORY, .message = "no memory for the rows"});
        if (t) rows_close(t);
        return false;
    }
    if (!load(t, r, p, run_id, run_where)) {
        rows_close(t);
        return false;
    }
    *out = (stream){rows_read, rows_close, t};
    return true;
}
