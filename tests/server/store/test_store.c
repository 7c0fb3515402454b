/* The store: what was acknowledged is there, what was not is not, and nothing is there twice. */
#include "server/machine/version.h"
#include "server/store/internal.h"
#include "tests/server/temp.h"
#include "tests/suite.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static temp t;
static store *s;
static error err;
static const char *self; /* argv[0]: children are this program again */

static void setup(void)
{
    temp_init(&t);
    err = (error){0};
    ck_assert_msg(store_open(&s, t.db, &err) == ERR_OK, "%s", err.message);
}

static void teardown(void)
{
    store_close(s);
    s = NULL;
    temp_deinit(&t);
}

static void reopen(void)
{
    store_close(s);
    ck_assert_msg(store_open(&s, t.db, &err) == ERR_OK, "%s", err.message);
}

static int64_t add(const char *hash, int n_runs)
{
    job j;
    int64_t id = 0;
    bool existing;
    temp_job(&j, hash, n_runs, 1000);
    ck_assert_msg(store_add_job(s, &j, "{}", &id, &existing, &err) == ERR_OK, "%s", err.message);
    ck_assert(!existing);
    temp_job_free(&j);
    return id;
}

static int64_t claim(void)
{
    claimed_run r;
    bool found;
    ck_assert_msg(store_claim_run(s, UINT64_MAX, &r, &found, &err) == ERR_OK, "%s", err.message);
    int64_t id = found ? r.run_id : 0;
    claimed_run_deinit(&r);
    return id;
}

static err_code finish(int64_t run_id, const measurement *m, size_t n)
{
    const step_record steps[] = {{0, 4.5, 1e-3, 2.0}, {1, 4.25, 0, NAN}};
    char provenance[128];
    snprintf(provenance, sizeof provenance, "{\"build\":\"%s\"}", version_build());
    const run_result r = {.measurements = m,
                          .n_measurements = n,
                          .steps = steps,
                          .n_steps = 2,
                          .wall_ms = 12.5,
                          .provenance = provenance};
    return store_finish_run(s, run_id, &r, &err);
}

static bool state_is(const char *table, int64_t id, const char *state)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT state = '%s' FROM %s WHERE id = %lld", state, table,
             (long long)id);
    return temp_ask(s, sql) == 1;
}

static void check_integrity(void)
{
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM pragma_integrity_check "
                                 "WHERE integrity_check <> 'ok'"),
                     0);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

/* -- jobs and runs -- */

START_TEST(test_job_runs_to_its_end)
{
    const measurement m[] = {
        {0, 0, SITE_embed, METRIC_var, NULL, 1.0, REASON_NONE, 0, ITEM_NONE},
        {0, 1, SITE_resid_out, METRIC_var, NULL, 2.0, REASON_NONE, 0, ITEM_NONE},
        {0, 1, SITE_param, METRIC_param_grad_norm, "attn.q.weight", 0.5, REASON_NONE, 0, ITEM_NONE},
        {0, 1, SITE_param, METRIC_param_grad_norm, "attn.k.weight", 0.25, REASON_NONE, 0,
         ITEM_NONE},
        {0, -1, SITE_run, METRIC_var_growth_law, NULL, 2, REASON_NONE, 0, ITEM_NONE},
    };
    int64_t id = add("a", 2);
    ck_assert(state_is("jobs", id, "queued"));
    int64_t first = claim(), second = claim();
    ck_assert_int_lt(first, second);
    ck_assert_int_eq(claim(), 0);
    ck_assert(state_is("jobs", id, "running"));
    ck_assert_int_eq(finish(first, m, 5), ERR_OK);
    ck_assert(state_is("jobs", id, "running"));
    ck_assert_int_eq(finish(second, m, 5), ERR_OK);
    ck_assert(state_is("jobs", id, "done"));
    ck_assert_int_eq(temp_ask(s, "SELECT finished_at >= started_at FROM jobs"), 1);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_measurements"), 10);
    ck_assert_int_eq(temp_ask(s,
                              "SELECT count(*) FROM v_measurements WHERE param = 'attn.q.weight' "
                              "AND value = 0.5 AND reason IS NULL"),
                     2);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_layers WHERE var = 2.0 AND layer = 1"), 2);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_runs WHERE var_law = 'exponential' "
                                 "AND first_loss = 4.5 AND final_loss = 4.25"),
                     2);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_losses WHERE grad_norm_reason = 'ABSENT'"),
                     2);
    check_integrity();
}
END_TEST

START_TEST(test_columns_of_a_run_are_what_was_asked)
{
    add("a", 1);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs WHERE depth = 2 AND d_model = 8 "
                                 "AND n_heads = 2 AND seq_len = 8 AND batch = 2 AND precision = "
                                 "'float32' AND family = 'transformer' AND placement IS NOT NULL "
                                 "AND norm IS NOT NULL AND init IS NOT NULL AND json_valid(spec)"),
                     1);
}
END_TEST

START_TEST(test_nan_is_null_with_a_reason_and_infinity_is_kept)
{
    const measurement m[] = {
        {0, 1, SITE_resid_out, METRIC_var, NULL, NAN, REASON_NAN, 0, ITEM_NONE},
        {0, 2, SITE_resid_out, METRIC_var, NULL, INFINITY, REASON_NONE, 0,
         ITEM_NONE}, /* reason left out */
        {0, 3, SITE_resid_out, METRIC_var, NULL, -INFINITY, REASON_NEG_INF, 0, ITEM_NONE},
        {0, 4, SITE_resid_out, METRIC_var, NULL, NAN, REASON_ONE_TOKEN, 0, ITEM_NONE},
        {0, 5, SITE_resid_out, METRIC_var, NULL, 0, REASON_ZERO, 0, ITEM_NONE},
    };
    add("a", 1);
    ck_assert_int_eq(finish(claim(), m, 5), ERR_OK);
    ck_assert_int_eq(temp_ask(s, "SELECT value IS NULL AND reason = 'NAN' FROM v_measurements "
                                 "WHERE layer = 1"),
                     1);
    ck_assert_int_eq(temp_ask(s, "SELECT value = 9e999 AND reason = 'POS_INF' FROM v_measurements "
                                 "WHERE layer = 2"),
                     1);
    ck_assert_int_eq(temp_ask(s, "SELECT value = -9e999 AND reason = 'NEG_INF' FROM v_measurements "
                                 "WHERE layer = 3"),
                     1);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_measurements WHERE value IS NULL AND "
                                 "reason IN ('ONE_TOKEN', 'ZERO')"),
                     2);
}
END_TEST

START_TEST(test_results_appear_all_at_once_or_not_at_all)
{
    const measurement m[] = {
        {0, 1, SITE_resid_out, METRIC_var, NULL, 1, REASON_NONE, 0, ITEM_NONE},
        {0, 1, SITE_resid_out, METRIC_rms, "a.new.name", 1, REASON_NONE, 0, ITEM_NONE},
        {0, 1, SITE_resid_out, METRIC_var, NULL, 2, REASON_NONE, 0, ITEM_NONE}, /* again */
    };
    int64_t id = add("a", 1), run = claim();
    ck_assert_int_eq(finish(run, m, 3), ERR_INTERNAL);
    ck_assert(state_is("runs", run, "running"));
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM measurements"), 0);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM steps"), 0);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM params WHERE name = 'a.new.name'"), 0);
    ck_assert_int_eq(finish(run, m, 2), ERR_OK); /* the dictionary forgot the rolled back id */
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_measurements WHERE param = 'a.new.name'"),
                     1);
    ck_assert(state_is("jobs", id, "done"));
}
END_TEST

START_TEST(test_equal_job_is_found_until_it_fails)
{
    job j;
    int64_t id, other;
    bool existing;
    int64_t first = add("a", 1);
    temp_job(&j, "a", 1, 1000);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    ck_assert(existing && id == first);
    ck_assert_int_eq(store_find_job(s, &j, &other, &existing, &err), ERR_OK);
    ck_assert(existing && other == first);
    error why = {0};
    error_set(&why, ERR_WORKER, "", "killed");
    ck_assert_int_eq(store_fail_run(s, claim(), &why, &err), ERR_OK);
    ck_assert(state_is("jobs", first, "failed"));
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM jobs WHERE error_json ->> 'code' = 'worker' "
                                 "AND error_json ->> 'detail' = 'killed'"),
                     1);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    ck_assert(!existing && id != first);
    temp_job_free(&j);
}
END_TEST

START_TEST(test_results_of_another_build_do_not_answer_an_equal_job)
{
    const measurement m[] = {
        {0, 1, SITE_resid_out, METRIC_var, NULL, 2.0, REASON_NONE, 0, ITEM_NONE}};
    const char *other_build = "UPDATE runs SET provenance = '{\"build\":\"another\"}'";
    job j;
    int64_t id;
    bool existing;
    int64_t first = add("a", 1);
    temp_job(&j, "a", 1, 1000);
    ck_assert_int_eq(finish(claim(), m, 1), ERR_OK);
    ck_assert_int_eq(store_find_job(s, &j, &id, &existing, &err), ERR_OK);
    ck_assert(existing && id == first);
    ck_assert_int_eq(sqlite3_exec(s->db, other_build, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(store_find_job(s, &j, &id, &existing, &err), ERR_OK);
    ck_assert(!existing);
    temp_job_free(&j);
}
END_TEST

START_TEST(test_transitions_from_other_states_are_refused)
{
    bool active;
    error why = {0};
    error_set(&why, ERR_WORKER, "", "x");
    int64_t id = add("a", 1), run = claim();
    ck_assert_int_eq(store_delete_job(s, id, &err), ERR_CONFLICT);
    ck_assert_int_eq(store_cancel_job(s, id, &active, &err), ERR_OK);
    ck_assert(active);
    ck_assert_int_eq(finish(run, NULL, 0), ERR_CONFLICT);
    ck_assert_int_eq(store_fail_run(s, run, &why, &err), ERR_CONFLICT);
    ck_assert_int_eq(store_requeue_run(s, run, true, &err), ERR_CONFLICT);
    ck_assert(state_is("jobs", id, "cancelled"));
    ck_assert(state_is("runs", run, "cancelled"));
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM steps"), 0);
    ck_assert_int_eq(store_cancel_job(s, id, &active, &err), ERR_OK);
    ck_assert(!active);
    ck_assert_int_eq(store_cancel_job(s, 999, &active, &err), ERR_NOT_FOUND);
    ck_assert_int_eq(store_delete_job(s, 999, &err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_delete_takes_everything_of_the_job_and_only_that)
{
    const measurement m[] = {
        {0, 1, SITE_resid_out, METRIC_var, NULL, 1, REASON_NONE, 0, ITEM_NONE}};
    int64_t gone = add("a", 1), kept = add("b", 1);
    ck_assert_int_eq(finish(claim(), m, 1), ERR_OK);
    ck_assert_int_eq(finish(claim(), m, 1), ERR_OK);
    ck_assert_int_eq(store_delete_job(s, gone, &err), ERR_OK);
    ck_assert(state_is("jobs", kept, "done"));
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM jobs"), 1);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM measurements"), 1);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM steps"), 2);
    ck_assert_int_gt(add("c", 1), kept); /* ids are never used twice */
    check_integrity();
}
END_TEST

START_TEST(test_nothing_overtakes_a_run_that_does_not_fit)
{
    claimed_run r;
    bool found;
    add("a", 1);
    ck_assert_int_eq(store_claim_run(s, (1 << 20) - 1, &r, &found, &err), ERR_OK);
    ck_assert(!found);
    ck_assert_int_eq(store_claim_run(s, 1 << 20, &r, &found, &err), ERR_OK);
    ck_assert(found);
    ck_assert_uint_eq(r.rows_max, 1000);
    ck_assert_int_eq(r.depth, 2);
    ck_assert(r.spec && r.spec[0] == '{');
    claimed_run_deinit(&r);
}
END_TEST

START_TEST(test_requeue_counts_deaths_and_recovery_does_not)
{
    int64_t id = add("a", 2), run = claim();
    ck_assert_int_eq(store_requeue_run(s, run, true, &err), ERR_OK);
    ck_assert(state_is("jobs", id, "queued"));
    ck_assert_int_eq(claim(), run); /* first again */
    ck_assert_int_eq(store_recover(s, &err), ERR_OK);
    ck_assert(state_is("runs", run, "queued"));
    ck_assert(state_is("jobs", id, "queued"));
    ck_assert_int_eq(temp_ask(s, "SELECT attempts FROM runs ORDER BY id LIMIT 1"), 1);
    ck_assert_int_eq(claim(), run);
    ck_assert_int_eq(finish(run, NULL, 0), ERR_OK);
    claim();
    ck_assert_int_eq(store_recover(s, &err), ERR_OK);
    ck_assert(state_is("jobs", id, "running")); /* one run is done and kept */
}
END_TEST

START_TEST(test_active_jobs_are_counted)
{
    job_state one, *all;
    size_t n;
    int64_t a = add("a", 3), b = add("b", 2);
    ck_assert_int_eq(finish(claim(), NULL, 0), ERR_OK);
    claim();
    ck_assert_int_eq(store_active_jobs(s, &all, &n, &err), ERR_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert(all[0].id == a && all[1].id == b);
    ck_assert(all[0].done == 1 && all[0].running == 1 && all[0].queued == 1);
    ck_assert_double_eq(all[0].flops, 3e6);
    ck_assert_double_eq(all[0].flops_ended, 1e6);
    free(all);
    ck_assert_int_eq(store_job_state(s, b, &one, &err), ERR_OK);
    ck_assert(one.queued == 2 && one.runs_total == 2 && strcmp(one.state, "queued") == 0);
    ck_assert_int_eq(store_job_state(s, 999, &one, &err), ERR_NOT_FOUND);
}
END_TEST

/* -- corpora -- */

static void use_corpus(job *j, const char *name)
{
    temp_job(j, "text", 1, 1000);
    snprintf(j->runs[0].spec.data.corpus, SPEC_CORPUS_NAME, "%s", name);
}

START_TEST(test_corpus_of_a_queued_run_does_not_change)
{
    job j;
    int64_t id;
    bool existing, active, replaced;
    char hash[TEXT_SHA256], old[TEXT_SHA256];
    use_corpus(&j, "book");
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_NOT_FOUND);
    ck_assert_str_eq(err.pointer, "/data/corpus");
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM jobs"), 0);
    ck_assert_int_eq(store_put_corpus(s, "book", "short", 5, hash, &replaced, &err), ERR_OK);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_RANGE);
    ck_assert_int_eq(store_put_corpus(s, "book", "long enough", 11, old, &replaced, &err), ERR_OK);
    ck_assert(replaced);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    ck_assert_int_eq(store_put_corpus(s, "book", "another text", 12, hash, NULL, &err),
                     ERR_CONFLICT);
    ck_assert_int_eq(store_put_corpus(s, "book", "long enough", 11, hash, NULL, &err), ERR_OK);
    ck_assert_int_eq(store_delete_corpus(s, "book", &err), ERR_CONFLICT);
    ck_assert_int_eq(finish(claim(), NULL, 0), ERR_OK);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    ck_assert(existing);
    /* Other content, other results: the equal job is not equal any more. */
    ck_assert_int_eq(store_put_corpus(s, "book", "another text", 12, hash, NULL, &err), ERR_OK);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    ck_assert(!existing);
    ck_assert_str_ne(hash, old);
    ck_assert_int_eq(store_cancel_job(s, id, &active, &err), ERR_OK);
    ck_assert_int_eq(store_delete_corpus(s, "book", &err), ERR_OK);
    temp_job_free(&j);
}
END_TEST

START_TEST(test_corpus_reads_back)
{
    char hash[TEXT_SHA256], again[TEXT_SHA256];
    void *bytes;
    size_t n;
    ck_assert_int_eq(store_put_corpus(s, "a", "x\0y", 3, hash, NULL, &err), ERR_OK);
    ck_assert_int_eq(store_get_corpus(s, "a", &bytes, &n, again, &err), ERR_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_mem_eq(bytes, "x\0y", 3);
    ck_assert_str_eq(hash, again);
    free(bytes);
    ck_assert_int_eq(store_get_corpus(s, "b", &bytes, &n, again, &err), ERR_NOT_FOUND);
    ck_assert_int_eq(store_delete_corpus(s, "b", &err), ERR_NOT_FOUND);
    const char *bad[] = {"",    ".hidden",
                         "a/b", "a b",
                         "ä",   "0123456789012345678901234567890123456789012345678901234567890123"};
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(store_put_corpus(s, bad[i], "x", 1, hash, NULL, &err), ERR_RANGE);
}
END_TEST

/* -- the file -- */

START_TEST(test_everything_survives_a_reopen)
{
    struct stat st;
    int64_t id = add("a", 1);
    ck_assert_int_eq(stat(t.db, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    reopen();
    ck_assert(state_is("jobs", id, "queued"));
    ck_assert_int_gt(claim(), 0);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM metrics"), METRIC_COUNT);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM sites"), SITE_COUNT);
}
END_TEST

START_TEST(test_second_process_is_refused)
{
    store *other;
    ck_assert_int_eq(store_open(&other, t.db, &err), ERR_STORE);
    ck_assert_ptr_nonnull(strstr(err.message, "in use by another"));
    ck_assert_ptr_null(other);
}
END_TEST

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "we");
    ck_assert(f && fwrite(bytes, 1, n, f) == n);
    fclose(f);
}

static uint64_t checksum(const char *path)
{
    uint64_t h = 1469598103934665603u;
    int c;
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    while ((c = getc(f)) != EOF) h = (h ^ (uint64_t)c) * 1099511628211u;
    fclose(f);
    return h;
}

static void refused_unchanged(const char *path, const char *with)
{
    store *other;
    uint64_t before = checksum(path);
    ck_assert_int_eq(store_open(&other, path, &err), ERR_STORE);
    ck_assert_msg(strstr(err.message, with), "%s", err.message);
    ck_assert(checksum(path) == before);
}

START_TEST(test_foreign_files_are_refused_unchanged)
{
    char path[128], bytes[4096];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/other", t.dir);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 31 + 7);
    write_file(path, bytes, sizeof bytes);
    refused_unchanged(path, "not a SQLite database");
    write_file(path, "hi", 2);
    refused_unchanged(path, "not a SQLite database");
    unlink(path);

    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "CREATE TABLE mine (x)", NULL, NULL, NULL);
    sqlite3_close(db);
    refused_unchanged(path, "another program");

    store *other;
    ck_assert_int_eq(store_open(&other, t.dir, &err), ERR_STORE);
    snprintf(path, sizeof path, "%s/no/such/folder", t.dir);
    ck_assert_int_eq(store_open(&other, path, &err), ERR_STORE);
}
END_TEST

START_TEST(test_newer_schema_is_refused_unchanged)
{
    sqlite3 *db;
    add("a", 1);
    store_close(s);
    s = NULL;
    ck_assert_int_eq(sqlite3_open(t.db, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL);
    sqlite3_close(db);
    refused_unchanged(t.db, "newer Normscope (schema 99");
}
END_TEST

static char *text_of(const char *path)
{
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    char *text = calloc(1, 1 << 16);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_gt(fread(text, 1, (1 << 16) - 1, f), 0);
    fclose(f);
    return text;
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* Numbers at one place that differ by their item alone are all kept. */
START_TEST(test_items_are_told_apart)
{
    const measurement m[] = {
        {0, 1, SITE_attn_prob, METRIC_attn_entropy, NULL, 1, REASON_NONE, 1, ITEM_head},
        {0, 1, SITE_attn_prob, METRIC_attn_entropy, NULL, 2, REASON_NONE, 2, ITEM_head},
        {0, 1, SITE_attn_prob, METRIC_attn_entropy, NULL, 3, REASON_NONE, 0, ITEM_NONE},
    };
    add("a", 1);
    ck_assert_int_eq(finish(claim(), m, 3), ERR_OK);
    ck_assert_int_eq(temp_ask(s, "SELECT value FROM v_measurements WHERE item = 2 AND "
                                 "item_kind = 'head'"),
                     2);
    ck_assert_int_eq(temp_ask(s, "SELECT value FROM v_measurements WHERE item IS NULL"), 3);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM item_kinds"), ITEM_COUNT);
}
END_TEST

/* A database as the program before families left it: its rows stay, columns may be NULL then. */
START_TEST(test_database_of_before_families_is_taken_over)
{
    static const char *const files[] = {"schema/001_init.sql", "schema/002_verdicts.sql",
                                        "schema/003_predictions.sql",
                                        "schema/004_predicted_parameters.sql"};
    char old[128], attach[192];
    sqlite3 *db;
    add("a", 3);
    store_close(s);
    snprintf(old, sizeof old, "%s/old.db", t.dir);
    snprintf(attach, sizeof attach, "ATTACH '%s' AS newer", t.db);
    ck_assert_int_eq(sqlite3_open(old, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *text = text_of(files[i]);
        ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", files[i],
                      sqlite3_errmsg(db));
        free(text);
    }
    ck_assert_int_eq(sqlite3_exec(db, "UPDATE runs SET n_heads = NULL", NULL, NULL, NULL), 0);
    ck_assert_int_eq(sqlite3_exec(db, attach, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db,
                               "INSERT INTO jobs SELECT * FROM newer.jobs;"
                               "INSERT INTO runs SELECT * FROM newer.runs;"
                               "INSERT INTO measurements VALUES (1, 0, 1, 1, 1, 0, 2.5, NULL);"
                               "PRAGMA application_id = 1314079568; PRAGMA user_version = 4;"
                               "DETACH newer",
                               NULL, NULL, NULL) == SQLITE_OK,
                  "%s", sqlite3_errmsg(db));
    ck_assert_int_ne(sqlite3_exec(db, "UPDATE runs SET n_heads = NULL", NULL, NULL, NULL), 0);
    sqlite3_close(db);
    ck_assert_msg(store_open(&s, old, &err) == ERR_OK, "%s", err.message);
    ck_assert_int_gt(claim(), 0);
    store_close(s);
    s = NULL;
    ck_assert_int_eq(sqlite3_open(old, &db), SQLITE_OK);
    ck_assert_int_eq(number_of(db, "SELECT count(*) FROM runs"), 3);
    ck_assert_int_ge(number_of(db, "PRAGMA user_version"), 6);
    ck_assert_int_eq(number_of(db, "SELECT count(*) FROM v_measurements WHERE value = 2.5 AND "
                                   "item IS NULL AND item_kind IS NULL"),
                     1);
    ck_assert_int_eq(number_of(db, "SELECT (SELECT count(*) FROM v_layers) + (SELECT count(*) FROM "
                                   "v_scalars) + (SELECT count(*) FROM v_predictions)"),
                     1);
    ck_assert_int_eq(number_of(db, "SELECT count(*) FROM pragma_integrity_check WHERE "
                                   "integrity_check = 'ok'"),
                     1);
    ck_assert_int_eq(number_of(db, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    ck_assert_int_eq(
        sqlite3_exec(db, "UPDATE runs SET n_heads = NULL, d_ff = NULL", NULL, NULL, NULL), 0);
    ck_assert_int_eq(number_of(db, "SELECT count(*) FROM v_runs WHERE n_heads IS NULL"), 3);
    sqlite3_close(db);
    unlink(old);
}
END_TEST

START_TEST(test_truncated_database_is_refused)
{
    store *other;
    add("a", 50);
    store_close(s);
    s = NULL;
    ck_assert_int_eq(truncate(t.db, 8192), 0);
    ck_assert_int_eq(store_open(&other, t.db, &err), ERR_STORE);
    ck_assert_msg(err.message[0], "no message");
}
END_TEST

START_TEST(test_log_is_emptied_when_idle)
{
    char log[128];
    struct stat st;
    snprintf(log, sizeof log, "%s-wal", t.db);
    for (int i = 0; i < 20; i++) {
        char hash[16];
        snprintf(hash, sizeof hash, "j%d", i);
        add(hash, 100);
    }
    ck_assert_int_eq(stat(log, &st), 0);
    ck_assert_int_gt(st.st_size, 1 << 20);
    store_idle(s);
    ck_assert_int_eq(stat(log, &st), 0);
    ck_assert_int_eq(st.st_size, 0);
}
END_TEST

/* SQLite itself says "full": the way it does for ENOSPC. */
static void limit_pages(int64_t pages)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)pages);
    ck_assert_int_eq(sqlite3_exec(s->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

START_TEST(test_full_disk_fails_the_operation_and_not_the_store)
{
    job j;
    int64_t id;
    bool existing;
    add("before", 1);
    limit_pages(temp_query(s->db, "PRAGMA page_count"));
    temp_job(&j, "large", 200, 1000);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_STORE);
    ck_assert_ptr_nonnull(strstr(err.message, "disk is full"));
    ck_assert(store_healthy(s));
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM jobs"), 1);
    limit_pages(1 << 30);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    temp_job_free(&j);
    check_integrity();
}
END_TEST

START_TEST(test_io_error_fails_the_store_for_good)
{
    job j;
    int64_t id;
    bool existing;
    struct rlimit old, small;
    int64_t kept = add("kept", 1);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){64 << 10, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small); /* a write beyond it is EFBIG: an I/O error */
    temp_job(&j, "lost", 200, 1000);
    err_code code = store_add_job(s, &j, "{}", &id, &existing, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(code, ERR_STORE);
    ck_assert(!store_healthy(s));
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_STORE);
    ck_assert_ptr_nonnull(strstr(err.message, "restart"));
    temp_job_free(&j);
    reopen();
    ck_assert(store_healthy(s));
    ck_assert(state_is("jobs", kept, "queued"));
    check_integrity();
}
END_TEST

START_TEST(test_another_writer_is_waited_for)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(t.db, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(s->db, 50);
    job j;
    int64_t id;
    bool existing;
    temp_job(&j, "a", 1, 1000);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_STORE);
    ck_assert_ptr_nonnull(strstr(err.message, "locked"));
    ck_assert(store_healthy(s));
    sqlite3_close(db);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    temp_job_free(&j);
}
END_TEST

/* -- readers -- */

START_TEST(test_readers_cannot_write_and_leave_no_snapshot)
{
    sqlite3 *db = store_reader(s, &err);
    ck_assert_int_ne(sqlite3_exec(db, "DELETE FROM jobs", NULL, NULL, NULL), SQLITE_OK);
    add("a", 1);
    add("b", 1);
    sqlite3_stmt *st;
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT id FROM jobs", -1, &st, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    store_release(s, db); /* with a row still open */
    ck_assert_int_eq(sqlite3_txn_state(db, NULL), SQLITE_TXN_NONE);
    sqlite3_finalize(st);
}
END_TEST

START_TEST(test_reader_pool_is_bounded)
{
    sqlite3 *all[STORE_READERS];
    for (int i = 0; i < STORE_READERS; i++) ck_assert_ptr_nonnull(all[i] = store_reader(s, &err));
    int64_t start = temp_now_ms();
    ck_assert_ptr_null(store_reader(s, &err));
    ck_assert_int_ge(temp_now_ms() - start, 4900);
    ck_assert_int_eq(err.code, ERR_STORE);
    for (int i = 0; i < STORE_READERS; i++) store_release(s, all[i]);
    store_release(s, store_reader(s, &err));
}
END_TEST

enum { ROWS = 40 };

static void fill_rows(measurement m[ROWS])
{
    for (int i = 0; i < ROWS; i++)
        m[i] = (measurement){0, i, SITE_resid_out, METRIC_var, NULL, i, REASON_NONE, 0, ITEM_NONE};
}

static void run_one(void)
{
    measurement m[ROWS];
    fill_rows(m);
    int64_t run = claim();
    if (run) ck_assert_int_eq(finish(run, m, ROWS), ERR_OK);
}

static atomic_bool stop_reading;

static void *watch_for_halves(void *arg)
{
    static const char sql[] =
        "SELECT count(*) FROM (SELECT r.id FROM runs r LEFT JOIN measurements m ON m.run_id = r.id "
        "GROUP BY r.id HAVING count(m.run_id) <> (CASE r.state WHEN 'done' THEN 40 ELSE 0 END))";
    int64_t *worst = arg;
    while (!atomic_load(&stop_reading)) {
        int64_t halves = temp_ask(s, sql);
        if (halves != 0) *worst = halves;
    }
    return NULL;
}

START_TEST(test_readers_never_see_half_a_run)
{
    pthread_t threads[3];
    int64_t worst[3] = {0};
    atomic_store(&stop_reading, false);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, watch_for_halves, &worst[i]);
    for (int i = 0; i < 60; i++) {
        char hash[16];
        snprintf(hash, sizeof hash, "j%d", i);
        add(hash, 1);
        run_one();
    }
    atomic_store(&stop_reading, true);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(worst[i], 0);
}
END_TEST

/* -- kill -9 -- */

typedef struct ack {
    int64_t job; /* acknowledged: added */
    int64_t run; /* acknowledged: finished; 0 in an ack of a job */
} ack;

static int add_and_finish(store *db, const char *hash, int fd)
{
    job j;
    ack a = {0};
    bool existing, found;
    claimed_run run;
    measurement m[ROWS];
    temp_job(&j, hash, 2, 1000);
    if (store_add_job(db, &j, "{}", &a.job, &existing, NULL) != ERR_OK || existing) return 3;
    temp_job_free(&j);
    if (write(fd, &a, sizeof a) != sizeof a) return 4;
    if (store_claim_run(db, UINT64_MAX, &run, &found, NULL) != ERR_OK || !found) return 5;
    fill_rows(m);
    const run_result r = {.measurements = m, .n_measurements = ROWS};
    if (store_finish_run(db, run.run_id, &r, NULL) != ERR_OK) return 6;
    a.run = run.run_id;
    claimed_run_deinit(&run);
    return write(fd, &a, sizeof a) == sizeof a ? 0 : 7;
}

/* The child: adds and finishes for ever, and says so only after the store has. No assertions: Check
 * does not know this process. */
static int crash_child(const char *path, int fd, int round)
{
    store *db;
    int status = 0;
    if (store_open(&db, path, &err) != ERR_OK || store_recover(db, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (int i = 0; status == 0; i++) {
        char hash[32];
        snprintf(hash, sizeof hash, "r%d-%d", round, i);
        status = add_and_finish(db, hash, fd);
    }
    store_close(db);
    return status;
}

static pid_t start_child(int *fd, int round)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char number[16], where[16];
        close(ends[0]);
        snprintf(where, sizeof where, "%d", ends[1]);
        snprintf(number, sizeof number, "%d", round);
        execl("/proc/self/exe", self, "--crash", t.db, where, number, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *fd = ends[0];
    return pid;
}

START_TEST(test_kill_9_loses_nothing_and_doubles_nothing)
{
    enum { ROUNDS = 12, ACKS = 20000 };
    ack *acks = calloc(ACKS, sizeof *acks);
    int n = 0, fd, status;
    store_close(s);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = start_child(&fd, round);
        ack a;
        /* Kill in the middle of a write, at another place each time. */
        for (int i = 0; i <= 5 * round && read(fd, &a, sizeof a) == sizeof a && n < ACKS; i++)
            acks[n++] = a;
        usleep((useconds_t)(round * 137 % 1000));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        ck_assert_msg(WIFSIGNALED(status), "the child ended by itself, status %d", status);
        while (n < ACKS && read(fd, &a, sizeof a) == sizeof a) acks[n++] = a;
        close(fd);
    }
    ck_assert_msg(store_open(&s, t.db, &err) == ERR_OK, "%s", err.message);
    check_integrity();
    for (int i = 0; i < n; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM runs WHERE job_id = %lld",
                 (long long)acks[i].job);
        ck_assert_int_eq(temp_ask(s, sql), 2);
        if (acks[i].run) ck_assert(state_is("runs", acks[i].run, "done"));
    }
    ck_assert_int_eq(
        temp_ask(
            s, "SELECT count(*) FROM (SELECT r.id FROM runs r LEFT JOIN measurements m ON m.run_id "
               "= r.id GROUP BY r.id HAVING count(m.run_id) <> (CASE r.state WHEN 'done' THEN 40 "
               "ELSE 0 END))"),
        0);
    ck_assert_int_eq(store_recover(s, &err), ERR_OK);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs WHERE state = 'running'"), 0);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs WHERE attempts > 0"), 0);
    /* Nobody waits for ever: what is not done can be claimed. */
    ck_assert_int_eq(temp_ask(s,
                              "SELECT count(*) FROM jobs WHERE state = 'queued' AND NOT EXISTS "
                              "(SELECT 1 FROM runs WHERE job_id = jobs.id AND state = 'queued')"),
                     0);
    free(acks);
}
END_TEST

START_TEST(test_kill_9_in_the_first_start_is_harmless)
{
    int fd, status;
    store_close(s);
    for (int i = 0; i < 8; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/fresh%d.db", t.dir, i);
        memcpy(t.db, path, sizeof t.db < sizeof path ? sizeof t.db : sizeof path);
        t.db[sizeof t.db - 1] = 0;
        pid_t pid = start_child(&fd, 0);
        usleep((useconds_t)(1000 + 1500 * i));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        close(fd);
        ck_assert_msg(store_open(&s, t.db, &err) == ERR_OK, "%s", err.message);
        check_integrity();
        ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM metrics"), METRIC_COUNT);
        if (i < 7) store_close(s);
    }
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, double timeout)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, timeout);
    suite_add_tcase(suite, c);
    return c;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--crash") == 0)
        return crash_child(argv[2], atoi(argv[3]), atoi(argv[4]));
    self = argv[0];
    Suite *suite = suite_create("store");
    TCase *c = add_case(suite, "jobs", 20);
    tcase_add_test(c, test_job_runs_to_its_end);
    tcase_add_test(c, test_columns_of_a_run_are_what_was_asked);
    tcase_add_test(c, test_nan_is_null_with_a_reason_and_infinity_is_kept);
    tcase_add_test(c, test_results_appear_all_at_once_or_not_at_all);
    tcase_add_test(c, test_equal_job_is_found_until_it_fails);
    tcase_add_test(c, test_results_of_another_build_do_not_answer_an_equal_job);
    tcase_add_test(c, test_transitions_from_other_states_are_refused);
    tcase_add_test(c, test_delete_takes_everything_of_the_job_and_only_that);
    tcase_add_test(c, test_nothing_overtakes_a_run_that_does_not_fit);
    tcase_add_test(c, test_requeue_counts_deaths_and_recovery_does_not);
    tcase_add_test(c, test_active_jobs_are_counted);
    c = add_case(suite, "corpora", 20);
    tcase_add_test(c, test_corpus_of_a_queued_run_does_not_change);
    tcase_add_test(c, test_corpus_reads_back);
    c = add_case(suite, "file", 30);
    tcase_add_test(c, test_everything_survives_a_reopen);
    tcase_add_test(c, test_second_process_is_refused);
    tcase_add_test(c, test_foreign_files_are_refused_unchanged);
    tcase_add_test(c, test_newer_schema_is_refused_unchanged);
    tcase_add_test(c, test_items_are_told_apart);
    tcase_add_test(c, test_database_of_before_families_is_taken_over);
    tcase_add_test(c, test_truncated_database_is_refused);
    tcase_add_test(c, test_log_is_emptied_when_idle);
    tcase_add_test(c, test_full_disk_fails_the_operation_and_not_the_store);
    tcase_add_test(c, test_io_error_fails_the_store_for_good);
    tcase_add_test(c, test_another_writer_is_waited_for);
    c = add_case(suite, "readers", 60);
    tcase_add_test(c, test_readers_cannot_write_and_leave_no_snapshot);
    tcase_add_test(c, test_reader_pool_is_bounded);
    tcase_add_test(c, test_readers_never_see_half_a_run);
    c = add_case(suite, "crash", 120);
    tcase_add_test(c, test_kill_9_loses_nothing_and_doubles_nothing);
    tcase_add_test(c, test_kill_9_in_the_first_start_is_harmless);
    return suite_run(suite);
}
