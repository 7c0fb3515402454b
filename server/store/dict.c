/* Dictionaries: names of sites, metrics, reasons and parameters against their ids in the file.
 *
 * Ids belong to the file, not to the program: a row added in the middle of a .def table gets the
 * next free id, and names that the program no longer knows stay, because old rows refer to them.
 */
#include "server/store/internal.h"

#include <stdlib.h>
#include <string.h>

static err_code read_id(store *s, store_sql which, const char *name, int64_t *id, error *err)
{
    sqlite3_stmt *st = store_stmt(s, which, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, name);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) *id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return rc == SQLITE_ROW ? ERR_OK : store_fault(s, s->db, rc, "read a dictionary", err);
}

static void bind_word(sqlite3_stmt *st, int i, const char *text)
{
    sqlite3_bind_text(st, i, text ? text : "", -1, SQLITE_STATIC);
}

static err_code put_site(store *s, int i, error *err)
{
    const entry *e = site_registry.rows[i];
    sqlite3_stmt *st = store_stmt(s, SQL_PUT_SITE, err);
    if (!st) return ERR_STORE;
    bind_word(st, 1, e->name);
    sqlite3_bind_int(st, 2, i);
    bind_word(st, 3, e->summary);
    err_code code = store_do(s, st, "write a dictionary", err);
    return code ? code : read_id(s, SQL_SITE_ID, e->name, &s->site_ids[i], err);
}

static err_code put_metric(store *s, int i, error *err)
{
    const entry *e = metric_registry.rows[i];
    sqlite3_stmt *st = store_stmt(s, SQL_PUT_METRIC, err);
    if (!st) return ERR_STORE;
    bind_word(st, 1, e->name);
    sqlite3_bind_int(st, 2, i);
    bind_word(st, 3, e->group);
    bind_word(st, 4, e->unit);
    bind_word(st, 5, e->direction);
    bind_word(st, 6, e->scale);
    bind_word(st, 7, e->summary);
    bind_word(st, 8, e->source);
    err_code code = store_do(s, st, "write a dictionary", err);
    return code ? code : read_id(s, SQL_METRIC_ID, e->name, &s->metric_ids[i], err);
}

static err_code put_reason(store *s, int i, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_PUT_REASON, err);
    if (!st) return ERR_STORE;
    bind_word(st, 1, reason_name((reason)i));
    bind_word(st, 2, reason_sentence((reason)i));
    err_code code = store_do(s, st, "write a dictionary", err);
    return code ? code : read_id(s, SQL_REASON_ID, reason_name((reason)i), &s->reason_ids[i], err);
}

static err_code put_item_kind(store *s, int i, error *err)
{
    const char *name = item_name((item_kind)i);
    sqlite3_stmt *st = store_stmt(s, SQL_PUT_ITEM_KIND, err);
    if (!st) return ERR_STORE;
    bind_word(st, 1, name);
    bind_word(st, 2, item_summary((item_kind)i));
    err_code code = store_do(s, st, "write a dictionary", err);
    return code ? code : read_id(s, SQL_ITEM_KIND_ID, name, &s->item_kind_ids[i], err);
}

static err_code put_law(store *s, int i, error *err)
{
    const entry *e = law_registry.rows[i];
    sqlite3_stmt *st = store_stmt(s, SQL_PUT_LAW, err);
    if (!st) return ERR_STORE;
    bind_word(st, 1, e->name);
    sqlite3_bind_int(st, 2, i);
    bind_word(st, 3, e->predicts);
    bind_word(st, 4, e->summary);
    bind_word(st, 5, e->source);
    bind_word(st, 6, e->validity);
    err_code code = store_do(s, st, "write a dictionary", err);
    return code ? code : read_id(s, SQL_LAW_ID, e->name, &s->law_ids[i], err);
}

static err_code remember_param(store *s, const char *name, int64_t id, error *err)
{
    if (s->n_params == s->cap_params) {
        size_t cap = s->cap_params ? 2 * s->cap_params : 64;
        store_param *grown = realloc(s->params, cap * sizeof *grown);
        if (!grown) return error_set(err, ERR_MEMORY, "", "out of memory");
        s->params = grown;
        s->cap_params = cap;
    }
    char *copy = strdup(name);
    if (!copy) return error_set(err, ERR_MEMORY, "", "out of memory");
    s->params[s->n_params++] = (store_param){copy, id};
    return ERR_OK;
}

static err_code load_params(store *s, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_ALL_PARAMS, err);
    if (!st) return ERR_STORE;
    err_code code = ERR_OK;
    int rc;
    while (code == ERR_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        const char *name = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 1) : NULL;
        code = name ? remember_param(s, name, sqlite3_column_int64(st, 0), err)
                    : store_fault(s, s->db, rc, "read a dictionary", err);
    }
    sqlite3_reset(st);
    return code;
}

err_code store_dict_load(store *s, error *err)
{
    err_code code = store_begin(s, err);
    if (code != ERR_OK) return code;
    for (int i = 0; i < SITE_COUNT && code == ERR_OK; i++) code = put_site(s, i, err);
    for (int i = 0; i < METRIC_COUNT && code == ERR_OK; i++) code = put_metric(s, i, err);
    for (int i = 1; i < REASON_COUNT && code == ERR_OK; i++) code = put_reason(s, i, err);
    for (int i = 1; i < ITEM_COUNT && code == ERR_OK; i++) code = put_item_kind(s, i, err);
    if (code == ERR_OK) code = store_put_rules(s, err);
    for (int i = 0; i < LAW_COUNT && code == ERR_OK; i++) code = put_law(s, i, err);
    if (code == ERR_OK) code = load_params(s, err);
    return store_end(s, code, err);
}

err_code store_dict_param(store *s, const char *name, int64_t *id, error *err)
{
    for (size_t i = 0; i < s->n_params; i++)
        if (strcmp(s->params[i].name, name) == 0) {
            *id = s->params[i].id;
            return ERR_OK;
        }
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_PARAM, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    err_code code = store_do(s, st, "write a dictionary", err);
    if (code != ERR_OK) return code;
    *id = sqlite3_last_insert_rowid(s->db);
    return remember_param(s, name, *id, err);
}

void store_dict_end(store *s, bool committed)
{
    if (committed) s->n_params_committed = s->n_params;
    while (s->n_params > s->n_params_committed) free(s->params[--s->n_params].name);
}

void store_dict_free(store *s)
{
    for (size_t i = 0; i < s->n_params; i++) free(s->params[i].name);
    free(s->params);
}
