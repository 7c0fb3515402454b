/* The scheduler: whatever a worker does, the queue goes on, nothing is lost and nothing lies. */
#include "server/queue/scheduler.h"
#include "server/store/internal.h"
#include "tests/server/fake_worker.h"
#include "tests/server/temp.h"
#include "tests/suite.h"

#include <check.h>
#include <dirent.h>

static temp t;
static store *s;
static scheduler *sch;
static error err;
static scheduler_options o;

static void start(void)
{
    ck_assert_msg(scheduler_start(&sch, s, &o, &err) == ERR_OK, "%s", err.message);
}

static void setup(void)
{
    temp_init(&t);
    setenv("NORMSCOPE_TEST_DIR", t.dir, 1);
    err = (error){0};
    o = (scheduler_options){.worker_command = "/proc/self/exe --worker",
                            .workers = 2,
                            .memory_bytes = 1 << 30,
                            .hang_s = 1};
    ck_assert_msg(store_open(&s, t.db, &err) == ERR_OK, "%s", err.message);
}

static void teardown(void)
{
    scheduler_stop(sch);
    sch = NULL;
    store_close(s);
    temp_deinit(&t);
}

/* A job whose runs have these seeds; the hash comes from name. */
static err_code try_submit(const char *name, int64_t *id, bool *existing, const long *seeds, int n)
{
    job j;
    temp_job(&j, name, n, 1000);
    for (int i = 0; i < n; i++) j.runs[i].spec.seed = (uint64_t)seeds[i];
    err_code code = scheduler_submit(sch, &j, "{}", id, existing, &err);
    temp_job_free(&j);
    return code;
}

static int64_t submit(const char *name, long seed)
{
    int64_t id;
    bool existing;
    ck_assert_msg(try_submit(name, &id, &existing, &seed, 1) == ERR_OK, "%s", err.message);
    ck_assert(!existing);
    return id;
}

static bool ended(const job_progress *p)
{
    return strcmp(p->state, "queued") != 0 && strcmp(p->state, "running") != 0;
}

static job_progress wait_end(int64_t id)
{
    job_progress p = {0};
    uint64_t seen = 0;
    int64_t until = temp_now_ms() + 20000;
    do {
        ck_assert(scheduler_wait(sch, id, seen, 1000, &p));
        ck_assert_uint_ge(p.version, seen);
        seen = p.version;
    } while (!ended(&p) && temp_now_ms() < until);
    return p;
}

static void wait_running(int64_t id)
{
    job_progress p;
    int64_t until = temp_now_ms() + 20000;
    do ck_assert(scheduler_progress(sch, id, &p));
    while ((strcmp(p.state, "running") != 0 || p.fraction == 0) && temp_now_ms() < until &&
           usleep(1000) == 0);
    ck_assert_str_eq(p.state, "running");
}

static int64_t ask(const char *sql, int64_t id)
{
    char text[256];
    snprintf(text, sizeof text, sql, (long long)id);
    return temp_ask(s, text);
}

/* -- good runs -- */

START_TEST(test_job_is_computed_and_stored)
{
    const long seeds[] = {5, 6, 7};
    int64_t id;
    bool existing;
    start();
    ck_assert_int_eq(try_submit("a", &id, &existing, seeds, 3), ERR_OK);
    job_progress p = wait_end(id);
    ck_assert_str_eq(p.state, "done");
    ck_assert_int_eq(p.runs_done, 3);
    ck_assert_double_eq(p.fraction, 1);
    ck_assert_int_eq(
        temp_ask(s, "SELECT count(*) FROM v_measurements WHERE layer = 2 AND value = seed"), 3);
    ck_assert_int_eq(
        temp_ask(s, "SELECT count(*) FROM runs WHERE provenance ->> 'worker' = 'fake'"), 3);
    ck_assert_int_eq(try_submit("a", &id, &existing, seeds, 3), ERR_OK);
    ck_assert(existing);
}
END_TEST

START_TEST(test_runs_start_in_order)
{
    long seeds[20] = {0};
    int64_t id;
    bool existing;
    o.workers = 1;
    start();
    for (int i = 0; i < 20; i++) seeds[i] = i;
    ck_assert_int_eq(try_submit("a", &id, &existing, seeds, 20), ERR_OK);
    int64_t later = submit("b", 1);
    ck_assert_str_eq(wait_end(later).state, "done");
    ck_assert_str_eq(wait_end(id).state, "done");
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs a JOIN runs b ON a.id < b.id "
                                 "WHERE a.started_at > b.started_at"),
                     0);
}
END_TEST

START_TEST(test_corpus_reaches_the_worker)
{
    char hash[TEXT_SHA256];
    job j;
    int64_t id;
    bool existing;
    static char text[300000];
    memset(text, 'x', sizeof text);
    start();
    ck_assert_int_eq(store_put_corpus(s, "book", text, sizeof text, hash, NULL, &err), ERR_OK);
    temp_job(&j, "a", 4, 1000);
    for (int i = 0; i < 4; i++) strcpy(j.runs[i].spec.data.corpus, "book");
    ck_assert_int_eq(scheduler_submit(sch, &j, "{}", &id, &existing, &err), ERR_OK);
    temp_job_free(&j);
    ck_assert_str_eq(wait_end(id).state, "done");
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_measurements WHERE value = 300000"), 4);
}
END_TEST

/* -- bad workers -- */

static const struct {
    long seed;
    const char *why;
} deaths[] = {
    {FAKE_KILL, "killed by signal 9"},
    {FAKE_SEGV, "killed by signal 11"},
    {FAKE_EXIT, "ended with status 3"},
    {FAKE_HANG, "no sign of life for 1 s"},
    {FAKE_GARBAGE, "sent garbage: not a frame"},
    {FAKE_GIANT, "1073741824 bytes"},
    {FAKE_HALF, "ended with status 0"},
    {FAKE_TOO_MANY, "more measurements than the run can have"},
    {FAKE_UNASKED, "sent garbage"},
    {FAKE_CLOSED, "closed its pipe"},
    {FAKE_BAD_END, "sent garbage"},
};

START_TEST(test_second_death_fails_the_run_with_its_reason_and_harms_nobody)
{
    char sql[256];
    start();
    int64_t bad = submit("bad", deaths[_i].seed), good = submit("good", 42);
    ck_assert_str_eq(wait_end(good).state, "done");
    job_progress p = wait_end(bad);
    ck_assert_str_eq(p.state, "failed");
    ck_assert_int_eq(p.runs_failed, 1);
    ck_assert_int_eq(ask("SELECT attempts FROM runs WHERE job_id = %lld", bad), 2);
    snprintf(sql, sizeof sql,
             "SELECT instr(error_json ->> 'detail', '%s') > 0 FROM jobs WHERE id = %%lld",
             deaths[_i].why);
    ck_assert_int_eq(ask(sql, bad), 1);
    ck_assert_int_eq(ask("SELECT count(*) FROM v_measurements WHERE job_id = %lld", bad), 0);
    ck_assert_int_eq(ask("SELECT count(*) FROM v_measurements WHERE job_id = %lld", good), 3);
    ck_assert_str_eq(wait_end(submit("after", 43)).state, "done");
}
END_TEST

START_TEST(test_one_death_is_forgiven)
{
    start();
    int64_t id = submit("a", FAKE_ONCE);
    ck_assert_str_eq(wait_end(id).state, "done");
    ck_assert_int_eq(ask("SELECT attempts FROM runs WHERE job_id = %lld", id), 1);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM measurements"), 3);
}
END_TEST

START_TEST(test_failure_that_is_reported_is_not_tried_again)
{
    start();
    int64_t id = submit("a", FAKE_FAILED);
    ck_assert_str_eq(wait_end(id).state, "failed");
    ck_assert_int_eq(ask("SELECT attempts FROM runs WHERE job_id = %lld", id), 0);
    ck_assert_int_eq(ask("SELECT error_json ->> 'code' = 'memory' AND error_json ->> 'pointer' = "
                         "'/model' FROM jobs WHERE id = %lld",
                         id),
                     1);
}
END_TEST

/* Kills the children of this process, found by their parent: the workers. */
static int kill_workers(void)
{
    DIR *d = opendir("/proc");
    int killed = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], line[512] = "";
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = atoi(e->d_name) > 0 ? fopen(path, "re") : NULL;
        if (!f) continue;
        const char *rest = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        fclose(f);
        int parent = 0;
        if (!rest || sscanf(rest, ") %*c %d", &parent) != 1 || parent != getpid()) continue;
        killed += kill(atoi(e->d_name), SIGKILL) == 0;
    }
    closedir(d);
    return killed;
}

START_TEST(test_idle_worker_that_dies_is_replaced)
{
    scheduler_health h;
    start();
    ck_assert_str_eq(wait_end(submit("a", 1)).state, "done");
    ck_assert_int_ge(kill_workers(), 2);
    for (int i = 0; i < 2000; i++) {
        scheduler_health_get(sch, &h);
        if (h.workers_alive == 2 && i > 50) break;
        usleep(1000);
    }
    ck_assert_int_eq(h.workers_alive, 2);
    ck_assert(h.probe_ok);
    ck_assert_str_eq(wait_end(submit("b", 2)).state, "done");
}
END_TEST

START_TEST(test_worker_that_cannot_be_started_is_an_error_at_the_start)
{
    o.worker_command = "/no/such/program";
    ck_assert_int_eq(scheduler_start(&sch, s, &o, &err), ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "/no/such/program"));
    ck_assert_ptr_null(sch);
}
END_TEST

START_TEST(test_program_that_is_no_worker_does_not_take_the_daemon_down)
{
    scheduler_health h;
    o.worker_command = "/bin/true";
    start();
    int64_t id = submit("a", 1);
    usleep(500000);
    scheduler_health_get(sch, &h);
    ck_assert_int_eq(h.workers_alive, 0);
    ck_assert(!h.probe_ok);
    ck_assert_int_eq(
        ask("SELECT state = 'queued' AND attempts = 0 FROM runs WHERE job_id = %lld", id), 1);
}
END_TEST

/* -- cancel -- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(test_cancel_is_quick_and_touches_only_its_job)
{
    enum { N = 40 };
    int64_t ms[N];
    bool active;
    start();
    int64_t neighbour = submit("neighbour", FAKE_LONG);
    wait_running(neighbour);
    for (int i = 0; i < N; i++) {
        char name[16];
        scheduler_health h;
        snprintf(name, sizeof name, "c%d", i);
        int64_t id = submit(name, FAKE_LONG);
        wait_running(id);
        int64_t from = temp_now_ms();
        ck_assert_int_eq(scheduler_cancel(sch, id, &active, &err), ERR_OK);
        ck_assert(active);
        ck_assert_str_eq(wait_end(id).state, "cancelled");
        do scheduler_health_get(sch, &h);
        while (h.workers_busy > 1 && usleep(500) == 0);
        ms[i] = temp_now_ms() - from;
    }
    qsort(ms, N, sizeof *ms, compare);
    ck_assert_int_lt(ms[N - 1], 250);
    job_progress p;
    ck_assert(scheduler_progress(sch, neighbour, &p));
    ck_assert_str_eq(p.state, "running");
    ck_assert_int_eq(ask("SELECT attempts FROM runs WHERE job_id = %lld", neighbour), 0);
    ck_assert_int_eq(scheduler_cancel(sch, neighbour, &active, &err), ERR_OK);
    ck_assert_int_eq(scheduler_cancel(sch, neighbour, &active, &err), ERR_OK);
    ck_assert(!active);
    ck_assert_int_eq(scheduler_cancel(sch, 999, &active, &err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_cancel_that_races_with_the_end_has_one_outcome)
{
    bool active;
    start();
    for (int i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", i);
        int64_t id = submit(name, 1), next;
        snprintf(name, sizeof name, "n%d", i);
        next = submit(name, 2);
        usleep((useconds_t)(i * 53 % 3000));
        ck_assert_int_eq(scheduler_cancel(sch, id, &active, &err), ERR_OK);
        job_progress p = wait_end(id);
        ck_assert_str_eq(p.state, active ? "cancelled" : "done");
        ck_assert_int_eq(ask("SELECT count(*) FROM v_measurements WHERE job_id = %lld", id),
                         active ? 0 : 3);
        ck_assert_str_eq(wait_end(next).state, "done"); /* never the wrong worker's run */
    }
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs WHERE attempts > 0"), 0);
}
END_TEST

/* -- stop and start -- */

START_TEST(test_stop_requeues_without_counting_and_start_goes_on)
{
    start();
    int64_t id = submit("a", FAKE_ONCE_LONG), other = submit("b", FAKE_LONG),
            third = submit("c", 1);
    wait_running(id);
    wait_running(other);
    int64_t from = temp_now_ms();
    scheduler_stop(sch);
    sch = NULL;
    ck_assert_int_lt(temp_now_ms() - from, 1000);
    ck_assert_int_eq(
        temp_ask(s, "SELECT count(*) FROM runs WHERE state = 'queued' AND attempts = 0"), 3);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM jobs WHERE state = 'queued'"), 3);
    start();
    ck_assert_str_eq(wait_end(id).state, "done");
    ck_assert_str_eq(wait_end(third).state, "done");
}
END_TEST

START_TEST(test_runs_of_a_killed_daemon_are_computed_again)
{
    claimed_run r;
    bool found;
    start();
    int64_t id = submit("a", 3);
    ck_assert_str_eq(wait_end(id).state, "done");
    scheduler_stop(sch);
    sch = NULL;
    job j;
    bool existing;
    temp_job(&j, "b", 2, 1000);
    ck_assert_int_eq(store_add_job(s, &j, "{}", &id, &existing, &err), ERR_OK);
    temp_job_free(&j);
    ck_assert_int_eq(store_claim_run(s, UINT64_MAX, &r, &found, &err), ERR_OK);
    claimed_run_deinit(&r); /* and then nothing, as after kill -9 */
    start();
    ck_assert_str_eq(wait_end(id).state, "done");
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM measurements"), 9);
    ck_assert_int_eq(temp_ask(s, "SELECT max(attempts) FROM runs"), 0);
}
END_TEST

/* -- limits -- */

START_TEST(test_queue_is_bounded_and_equal_jobs_are_found_even_then)
{
    const long seeds[6] = {FAKE_LONG, FAKE_LONG, FAKE_LONG, FAKE_LONG, FAKE_LONG, FAKE_LONG};
    int64_t id, other;
    bool existing;
    job_progress p;
    o.queue_runs = 5;
    start();
    ck_assert_int_eq(try_submit("six", &id, &existing, seeds, 6), ERR_LIMIT);
    ck_assert_int_eq(try_submit("four", &id, &existing, seeds, 4), ERR_OK);
    ck_assert_int_eq(try_submit("two", &other, &existing, seeds, 2), ERR_FULL);
    ck_assert_int_eq(try_submit("four", &other, &existing, seeds, 4), ERR_OK);
    ck_assert(existing && other == id);
    ck_assert_int_eq(try_submit("one", &other, &existing, seeds, 1), ERR_OK);
    scheduler_health h;
    do scheduler_health_get(sch, &h);
    while (h.runs_running < 2 && usleep(1000) == 0);
    ck_assert(scheduler_progress(sch, other, &p));
    ck_assert_str_eq(p.state, "queued");
    ck_assert_int_eq(p.queue_position, 2); /* two of four run */
    ck_assert(isnan(p.eta_s));
    ck_assert_int_eq(scheduler_cancel(sch, id, &existing, &err), ERR_OK);
    wait_running(other);
    ck_assert_int_eq(try_submit("two", &id, &existing, seeds, 2), ERR_OK);
    ck_assert(!scheduler_progress(sch, 999, &p));
}
END_TEST

START_TEST(test_memory_is_shared_and_one_run_alone_always_starts)
{
    const long seeds[2] = {FAKE_LONG, FAKE_LONG};
    int64_t id;
    bool existing;
    scheduler_health h;
    o.memory_bytes = _i == 0 ? (3 << 20) / 2 : 1000; /* each run needs 1 MiB */
    start();
    ck_assert_int_eq(try_submit("a", &id, &existing, seeds, 2), ERR_OK);
    wait_running(id);
    for (int i = 0; i < 100; i++) {
        scheduler_health_get(sch, &h);
        ck_assert_int_eq(h.runs_running, 1);
        ck_assert_int_eq(h.runs_queued, 1);
        usleep(1000);
    }
}
END_TEST

static void limit_pages(int64_t pages)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)pages);
    pthread_mutex_lock(&s->lock);
    if (pages == 0) snprintf(sql, sizeof sql, "PRAGMA max_page_count = 1");
    ck_assert_int_eq(sqlite3_exec(s->db, sql, NULL, NULL, NULL), SQLITE_OK);
    pthread_mutex_unlock(&s->lock);
}

START_TEST(test_result_waits_for_room_on_the_disk)
{
    start();
    long seeds[300];
    int64_t id;
    bool existing;
    for (int i = 0; i < 300; i++) seeds[i] = i;
    ck_assert_int_eq(try_submit("a", &id, &existing, seeds, 300), ERR_OK);
    limit_pages(0); /* not one page more than there are */
    usleep(1500000);
    int64_t done = temp_ask(s, "SELECT count(*) FROM runs WHERE state = 'done'");
    ck_assert_int_lt(done, 300);
    ck_assert_int_eq(3 * done, temp_ask(s, "SELECT count(*) FROM measurements"));
    ck_assert(store_healthy(s));
    limit_pages(1 << 30);
    ck_assert_str_eq(wait_end(id).state, "done");
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM measurements"), 900);
    ck_assert_int_eq(temp_ask(s, "SELECT max(attempts) FROM runs"), 0);
}
END_TEST

START_TEST(test_measurement_reported_twice_fails_the_run)
{
    const long seed = FAKE_TWICE;
    job j;
    int64_t id;
    bool existing;
    start();
    temp_job(&j, "a", 1, 1000);
    j.runs[0].spec.seed = (uint64_t)seed;
    ck_assert_int_eq(scheduler_submit(sch, &j, "{}", &id, &existing, &err), ERR_OK);
    temp_job_free(&j);
    ck_assert_str_eq(wait_end(id).state, "failed");
    ck_assert_int_eq(temp_ask(s, "SELECT error_json ->> 'code' = 'internal' FROM runs"), 1);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM measurements"), 0);
}
END_TEST

START_TEST(test_no_descriptor_is_leaked)
{
    int before = 0, after = 0;
    for (int round = 0; round < 2; round++) {
        start();
        ck_assert_str_eq(wait_end(submit(round ? "a" : "b", FAKE_KILL)).state, "failed");
        scheduler_stop(sch);
        sch = NULL;
        DIR *d = opendir("/proc/self/fd");
        int *count = round ? &after : &before;
        while (d && readdir(d)) ++*count;
        closedir(d);
    }
    ck_assert_int_eq(before, after);
}
END_TEST

/* -- the real worker -- */

START_TEST(test_two_workers_compute_the_same_bits)
{
    const long seeds[] = {3, 3, 4};
    int64_t id;
    bool existing;
    o.worker_command = "/proc/self/exe --real-worker";
    o.hang_s = 30;
    start();
    ck_assert_int_eq(try_submit("a", &id, &existing, seeds, 3), ERR_OK);
    job_progress p = wait_end(id);
    ck_assert_msg(strcmp(p.state, "done") == 0, "state %s, %lld failed", p.state,
                  (long long)temp_ask(s, "SELECT count(*) FROM runs WHERE state = 'failed'"));
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM v_measurements WHERE value IS NULL"), 0);
    ck_assert_int_ge(temp_ask(s, "SELECT count(*) FROM measurements WHERE run_id = 1"), 2);
    static const char differ[] =
        "SELECT count(*) FROM measurements a LEFT JOIN measurements b ON b.run_id = %d AND b.step "
        "= "
        "a.step AND b.layer = a.layer AND b.site_id = a.site_id AND b.metric_id = a.metric_id AND "
        "b.param_id = a.param_id WHERE a.run_id = 1 AND a.value IS NOT b.value";
    char sql[512];
    snprintf(sql, sizeof sql, differ, 2);
    ck_assert_int_eq(temp_ask(s, sql), 0);
    snprintf(sql, sizeof sql, differ, 3);
    ck_assert_int_gt(temp_ask(s, sql), 0);
    ck_assert_int_eq(temp_ask(s, "SELECT count(*) FROM runs WHERE json_valid(provenance)"), 3);
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
    if (argc > 1 && strcmp(argv[1], "--worker") == 0) return fake_main();
    if (argc > 1 && strcmp(argv[1], "--real-worker") == 0) return worker_main();
    Suite *suite = suite_create("scheduler");
    TCase *c = add_case(suite, "good", 40);
    tcase_add_test(c, test_job_is_computed_and_stored);
    tcase_add_test(c, test_runs_start_in_order);
    tcase_add_test(c, test_corpus_reaches_the_worker);
    c = add_case(suite, "bad", 60);
    tcase_add_loop_test(c, test_second_death_fails_the_run_with_its_reason_and_harms_nobody, 0,
                        sizeof deaths / sizeof *deaths);
    tcase_add_test(c, test_one_death_is_forgiven);
    tcase_add_test(c, test_failure_that_is_reported_is_not_tried_again);
    tcase_add_test(c, test_idle_worker_that_dies_is_replaced);
    tcase_add_test(c, test_worker_that_cannot_be_started_is_an_error_at_the_start);
    tcase_add_test(c, test_program_that_is_no_worker_does_not_take_the_daemon_down);
    tcase_add_test(c, test_measurement_reported_twice_fails_the_run);
    c = add_case(suite, "cancel", 120);
    tcase_add_test(c, test_cancel_is_quick_and_touches_only_its_job);
    tcase_add_test(c, test_cancel_that_races_with_the_end_has_one_outcome);
    c = add_case(suite, "restart", 60);
    tcase_add_test(c, test_stop_requeues_without_counting_and_start_goes_on);
    tcase_add_test(c, test_runs_of_a_killed_daemon_are_computed_again);
    c = add_case(suite, "limits", 60);
    tcase_add_test(c, test_queue_is_bounded_and_equal_jobs_are_found_even_then);
    tcase_add_loop_test(c, test_memory_is_shared_and_one_run_alone_always_starts, 0, 2);
    tcase_add_test(c, test_result_waits_for_room_on_the_disk);
    tcase_add_test(c, test_no_descriptor_is_leaked);
    c = add_case(suite, "engine", 60);
    tcase_add_test(c, test_two_workers_compute_the_same_bits);
    return suite_run(suite);
}
