/* Verdicts in the store: of a run with its result, of arms and job when the last run has ended. */
#include "server/store/internal.h"
#include "server/store/judgement.h"
#include "server/verdict/study.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void bind_number(sqlite3_stmt *st, int i, double value)
{
    if (isnan(value))
        sqlite3_bind_null(st, i);
    else
        sqlite3_bind_double(st, i, value);
}

static void bind_layer(sqlite3_stmt *st, int i, int layer)
{
    if (layer == VERDICT_NO_LAYER)
        sqlite3_bind_null(st, i);
    else
        sqlite3_bind_int(st, i, layer);
}

/* --- the dictionary of rules ------------------------------------------------------------------ */

static err_code put_rule(store *s, int i, error *err)
{
    const rule *r = &rule_table[i];
    sqlite3_stmt *st = store_stmt(s, SQL_PUT_RULE, err);
    if (!st) return ERR_STORE;
    store_bind_text(st, 1, r->entry.name);
    sqlite3_bind_int(st, 2, RULES_VERSION);
    sqlite3_bind_int(st, 3, i);
    store_bind_text(st, 4, r->entry.summary);
    sqlite3_bind_text(st, 5, r->metric, -1, SQLITE_STATIC);
    store_bind_text(st, 6, rule_comparison(r));
    bind_number(st, 7, rule_warns(r));
    bind_number(st, 8, rule_fails(r));
    store_bind_text(st, 9, r->entry.source);
    return store_do(s, st, "write a dictionary", err);
}

err_code store_put_rules(store *s, error *err)
{
    err_code code = ERR_OK;
    for (int i = 0; i < RULE_ROWS && code == ERR_OK; i++) code = put_rule(s, i, err);
    return code;
}

/* --- a run ------------------------------------------------------------------------------------ */

static const char *site_text(const rule *r, const verdict_finding *f)
{
    int row = f->site >= 0 ? f->site : r->site;
    return row < SITE_COUNT ? site_registry.rows[row]->name : NULL;
}

static err_code
add_verdict(store *s, int64_t run_id, int i, const rule *r, const verdict_finding *f, error *err)
{
    bool at_most;
    json_out says = {0};
    double threshold = rule_threshold(r, f->level ? f->level : LEVEL_PASS, f->value, &at_most);
    bool found = r->kind == RULE_FOUND;
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_VERDICT, err);
    if (!st) return ERR_STORE;
    study_says(&says, r, f);
    sqlite3_bind_int64(st, 1, run_id);
    sqlite3_bind_int(st, 2, i);
    store_bind_text(st, 3, r->entry.name);
    store_bind_text(st, 4, verdict_level_name(f->level));
    store_bind_text(st, 5, verdict_why_text(f->why));
    bind_number(st, 6, f->value);
    store_bind_text(st, 7, found ? "none found" : at_most ? "at most" : "at least");
    bind_number(st, 8, found ? (double)NAN : threshold);
    store_bind_text(st, 9, r->metric);
    store_bind_text(st, 10, site_text(r, f));
    if (f->level) sqlite3_bind_int(st, 11, f->step);
    bind_layer(st, 12, f->layer);
    bind_layer(st, 13, f->worst);
    bind_number(st, 14, f->factor);
    bind_number(st, 15, f->aside);
    sqlite3_bind_text(st, 16, says.text ? says.text : "", -1, SQLITE_STATIC);
    err_code code = store_do(s, st, "store a verdict", err);
    sqlite3_clear_bindings(st);
    if (says.failed && !code) code = error_set(err, ERR_MEMORY, "", "out of memory");
    json_deinit(&says);
    return code;
}

err_code store_judge_run(store *s, int64_t run_id, const run_result *r, error *err)
{
    json_out sentence = {0};
    err_code code = ERR_OK;
    for (int i = 0; i < r->rules->n && code == ERR_OK; i++)
        code = add_verdict(s, run_id, i, r->rules->at[i], &r->findings[i], err);
    if (code != ERR_OK) return code;
    sqlite3_stmt *st = store_stmt(s, SQL_JUDGE_RUN, err);
    if (!st) return ERR_STORE;
    study_sentence(&sentence, r->rules, r->findings, r->level);
    sqlite3_bind_int64(st, 1, run_id);
    store_bind_text(st, 2, verdict_level_name(r->level));
    store_bind_text(st, 3, sentence.text);
    sqlite3_bind_int(st, 4, RULES_VERSION);
    code = store_do(s, st, "store a verdict", err);
    sqlite3_clear_bindings(st);
    json_deinit(&sentence);
    return code;
}

/* --- a job ------------------------------------------------------------------------------------ */

static double column_number(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(st, i);
}

static int column_layer(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? VERDICT_NO_LAYER : sqlite3_column_int(st, i);
}

static verdict_finding read_finding(sqlite3_stmt *st)
{
    const char *level = (const char *)sqlite3_column_text(st, 5),
               *where = (const char *)sqlite3_column_text(st, 13);
    return (verdict_finding){.level = level ? verdict_level_find(level, strlen(level)) : LEVEL_NONE,
                             .why = verdict_why_find((const char *)sqlite3_column_text(st, 6)),
                             .value = column_number(st, 7),
                             .step = sqlite3_column_int(st, 8),
                             .layer = column_layer(st, 9),
                             .worst = column_layer(st, 10),
                             .factor = column_number(st, 11),
                             .aside = column_number(st, 12),
                             .site = where ? registry_find(&site_registry, where) : -1,
                             .confidence = (double)NAN};
}

/* The arm whose rows are being read. */
typedef struct gathering {
    study *study;
    int n_rules;
    char *arm, *placement;
    int depth;
    verdict_finding *findings; /* [VERDICT_SEEDS * n_rules] */
    int n_runs;                /* of which all rules have been read */
    bool skipped;              /* one of its seeds was: it says nothing */
    int64_t run_id;
    int n_read; /* rules of the run that is being read */
} gathering;

static void end_arm(gathering *g)
{
    int n = g->skipped ? 0 : g->n_runs;
    if (g->arm) study_add(g->study, g->arm, g->placement, g->depth, g->findings, n);
    free(g->arm);
    free(g->placement);
    g->arm = g->placement = NULL;
    g->n_runs = g->n_read = 0;
    g->skipped = false;
}

static bool begin_arm(gathering *g, sqlite3_stmt *st)
{
    g->arm = store_column_dup(st, 1);
    g->placement = store_column_dup(st, 2);
    g->depth = sqlite3_column_int(st, 3);
    return g->arm != NULL;
}

/* One row: a rule of a run, or a run that was not judged. */
static bool gather(gathering *g, sqlite3_stmt *st)
{
    const char *arm = (const char *)sqlite3_column_text(st, 1);
    if (g->arm && strcmp(g->arm, arm ? arm : "") != 0) end_arm(g);
    if (!g->arm && !begin_arm(g, st)) return false;
    if (sqlite3_column_int64(st, 0) != g->run_id) g->n_read = 0;
    g->run_id = sqlite3_column_int64(st, 0);
    const char *state = (const char *)sqlite3_column_text(st, 14);
    g->skipped |= state && strcmp(state, "skipped") == 0;
    if (sqlite3_column_type(st, 4) == SQLITE_NULL || g->n_runs == VERDICT_SEEDS) return true;
    if (sqlite3_column_int(st, 4) != g->n_read || g->n_read >= g->n_rules) return true;
    g->findings[g->n_runs * g->n_rules + g->n_read++] = read_finding(st);
    if (g->n_read == g->n_rules) g->n_runs++;
    return true;
}

static err_code gather_all(store *s, int64_t job_id, study *to, const rules *r, error *err)
{
    gathering g = {.study = to, .n_rules = r->n};
    g.findings = malloc(VERDICT_SEEDS * (size_t)r->n * sizeof *g.findings);
    sqlite3_stmt *st = store_stmt(s, SQL_VERDICTS_OF_JOB, err);
    if (!st || !g.findings) {
        free(g.findings);
        return st ? error_set(err, ERR_MEMORY, "", "out of memory") : ERR_STORE;
    }
    sqlite3_bind_int64(st, 1, job_id);
    sqlite3_bind_int(st, 2, RULES_VERSION);
    bool memory = true;
    int rc = SQLITE_DONE;
    while (memory && (rc = sqlite3_step(st)) == SQLITE_ROW) memory = gather(&g, st);
    sqlite3_reset(st);
    end_arm(&g);
    free(g.findings);
    if (!memory || to->failed) return error_set(err, ERR_MEMORY, "", "out of memory");
    return rc == SQLITE_DONE ? ERR_OK : store_fault(s, s->db, rc, "read verdicts", err);
}

static err_code add_arm(store *s, int64_t job_id, int i, const study_arm *a, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_ADD_ARM, err);
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, job_id);
    sqlite3_bind_int(st, 2, i);
    store_bind_text(st, 3, a->arm);
    sqlite3_bind_int(st, 4, a->depth);
    if (a->of.rank) sqlite3_bind_int(st, 5, a->of.rank);
    store_bind_text(st, 6, verdict_level_name(a->of.level));
    store_bind_text(st, 7, a->sentence);
    bind_number(st, 8, a->of.confidence);
    sqlite3_bind_int(st, 9, a->of.seeds);
    return store_do(s, st, "store a verdict", err);
}

static err_code
write_study(store *s, int64_t job_id, const study *done, const char *differs, error *err)
{
    json_out o = {0};
    err_code code = ERR_OK;
    json_begin_object(&o);
    study_json(&o, done, differs);
    json_end(&o);
    if (o.failed) code = error_set(err, ERR_MEMORY, "", "out of memory");
    for (int i = 0; i < done->n && code == ERR_OK; i++)
        code = add_arm(s, job_id, i, &done->arms[i], err);
    sqlite3_stmt *st = code ? NULL : store_stmt(s, SQL_JUDGE_JOB, err);
    if (!st && code == ERR_OK) code = ERR_STORE;
    if (st) {
        sqlite3_bind_int64(st, 1, job_id);
        store_bind_text(st, 2, verdict_level_name(done->level));
        store_bind_text(st, 3, done->sentence);
        store_bind_text(st, 4, o.text);
        code = store_do(s, st, "store a verdict", err);
        sqlite3_clear_bindings(st);
    }
    json_deinit(&o);
    return code;
}

/* The job's own rules are in the text of each of its runs. *spec NULL: there is nothing to judge.
 */
static err_code
find_unjudged(store *s, int64_t job_id, char **spec, char **differs, bool *finds, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_UNJUDGED_JOB, err);
    *spec = *differs = NULL;
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, job_id);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *spec = store_column_dup(st, 0);
        *differs = store_column_dup(st, 1);
        *finds = sqlite3_column_int(st, 2);
    }
    sqlite3_reset(st);
    if (rc == SQLITE_ROW && !*spec) return error_set(err, ERR_MEMORY, "", "out of memory");
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK
                                                 : store_fault(s, s->db, rc, "read a job", err);
}

static err_code judge_job(store *s,
                          int64_t job_id,
                          const char *spec,
                          const char *differs,
                          bool finds_depth,
                          judgement *j,
                          error *err)
{
    study all;
    err_code code = judgement_rules(j, spec, err);
    if (code != ERR_OK) return ERR_OK; /* a text of another version: no verdict, no harm */
    study_init(&all, &j->rules, finds_depth);
    code = gather_all(s, job_id, &all, &j->rules, err);
    if (code == ERR_OK && !study_end(&all)) code = error_set(err, ERR_MEMORY, "", "out of memory");
    if (code == ERR_OK) code = write_study(s, job_id, &all, differs, err);
    study_deinit(&all);
    return code;
}

/* --- runs that are not needed any more -------------------------------------------------------- */

/* The arm of this run, when it is the last of it and the job looks for a depth; else *arm NULL. */
static err_code
find_ended_arm(store *s, int64_t run_id, char **arm, char **spec, int *depth, error *err)
{
    sqlite3_stmt *st = store_stmt(s, SQL_FINDING_JOB, err);
    *arm = *spec = NULL;
    if (!st) return ERR_STORE;
    sqlite3_bind_int64(st, 1, run_id);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *arm = store_column_dup(st, 0);
        *spec = store_column_dup(st, 1);
        *depth = sqlite3_column_int(st, 2);
    }
    sqlite3_reset(st);
    if (rc == SQLITE_ROW && (!*arm || !*spec))
        return error_set(err, ERR_MEMORY, "", "out of memory");
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK
                                                 : store_fault(s, s->db, rc, "read a job", err);
}

static err_code level_of_arm(
    store *s, int64_t job_id, const char *arm, const char *spec, verdict_level *level, error *err)
{
    study all;
    judgement *j = calloc(1, sizeof *j);
    if (!j) return error_set(err, ERR_MEMORY, "", "out of memory");
    err_code code = judgement_rules(j, spec, err);
    study_init(&all, &j->rules, true);
    if (code == ERR_OK) code = gather_all(s, job_id, &all, &j->rules, err);
    *level = LEVEL_NONE;
    for (int i = 0; i < all.n && code == ERR_OK; i++)
        if (strcmp(all.arms[i].arm, arm) == 0) *level = all.arms[i].of.by_rules;
    study_deinit(&all);
    judgement_deinit(j);
    free(j);
    return code;
}

static err_code
skip(store *s, int64_t job_id, const char *arm, int from, int to, skipped_runs *skipped, error *err)
{
    static const store_sql statements[] = {SQL_COUNT_SKIPPED, SQL_SKIP_RUNS};
    char now[STORE_TIME];
    err_code code = ERR_OK;
    store_now(now);
    for (int i = 0; i < 2 && code == ERR_OK; i++) {
        sqlite3_stmt *st = store_stmt(s, statements[i], err);
        if (!st) return ERR_STORE;
        sqlite3_bind_int64(st, 1, job_id);
        store_bind_text(st, 2, arm);
        sqlite3_bind_int(st, 3, from);
        sqlite3_bind_int(st, 4, to);
        if (i == 1) store_bind_text(st, 5, now);
        if (i == 0 && sqlite3_step(st) == SQLITE_ROW) {
            skipped->n = sqlite3_column_int(st, 0);
            skipped->flops = sqlite3_column_double(st, 1);
        }
        code = store_do(s, st, "skip runs", err);
        sqlite3_clear_bindings(st);
    }
    return code;
}

err_code
store_skip_runs(store *s, int64_t job_id, int64_t run_id, skipped_runs *skipped, error *err)
{
    char *arm, *spec;
    int depth = 0;
    verdict_level level = LEVEL_NONE;
    err_code code = find_ended_arm(s, run_id, &arm, &spec, &depth, err);
    if (code == ERR_OK && arm) code = level_of_arm(s, job_id, arm, spec, &level, err);
    if (code == ERR_OK && level) {
        bool fails = level == LEVEL_FAIL;
        code =
            skip(s, job_id, arm, fails ? depth + 1 : 0, fails ? INT_MAX : depth - 1, skipped, err);
    }
    free(arm);
    free(spec);
    return code;
}

err_code store_judge_job(store *s, int64_t job_id, error *err)
{
    char *spec, *differs;
    bool finds_depth = false;
    err_code code = find_unjudged(s, job_id, &spec, &differs, &finds_depth, err);
    if (code == ERR_OK && spec) {
        judgement *j = calloc(1, sizeof *j);
        code = j ? judge_job(s, job_id, spec, differs, finds_depth, j, err)
                 : error_set(err, ERR_MEMORY, "", "out of memory");
        if (j) judgement_deinit(j);
        free(j);
    }
    free(spec);
    free(differs);
    return code;
}
