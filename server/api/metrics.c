/* GET /metrics: counts of the service for Prometheus (text exposition format, version 0.0.4).
 *
 * Names and units follow its conventions; process_* are the names that its own clients use. Reading
 * costs two counts by index and a few files of /proc.
 */
#include "server/api/api.h"
#include "server/machine/version.h"

#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

__attribute__((format(printf, 2, 3))) static void put(json_out *o, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    json_text(o, line);
}

static void head(json_out *o, const char *name, const char *type, const char *help)
{
    put(o, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(json_out *o, const char *name, const char *help, double value)
{
    head(o, name, "gauge", help);
    put(o, "%s %.15g\n", name, value);
}

static void put_scheduler(json_out *o, const scheduler_health *h)
{
    gauge(o, "normscope_workers_alive", "Worker processes that live.", h->workers_alive);
    gauge(o, "normscope_workers_busy", "Worker processes that compute a run.", h->workers_busy);
    gauge(o, "normscope_runs_waiting", "Runs that wait for a worker.", h->runs_queued);
    gauge(o, "normscope_runs_computing", "Runs that are being computed.", h->runs_running);
    gauge(o, "normscope_probe_ok", "1 when a worker answered within 10 s.", h->probe_ok);
    if (isfinite(h->probe_age_s))
        gauge(o, "normscope_probe_age_seconds", "Since a worker last gave a sign of life.",
              h->probe_age_s);
}

/* Every state has its line, also when nothing is in it: a series that comes and goes alerts badly.
 */
static bool put_states(json_out *o, sqlite3_stmt *stmt, const char *name)
{
    static const char *const states[] = {"queued", "running", "done", "failed", "cancelled"};
    enum { STATES = sizeof states / sizeof *states };
    int64_t counts[STATES] = {0};
    int row;
    while ((row = sqlite3_step(stmt)) == SQLITE_ROW)
        for (int i = 0; i < STATES; i++)
            if (strcmp((const char *)sqlite3_column_text(stmt, 0), states[i]) == 0)
                counts[i] = sqlite3_column_int64(stmt, 1);
    for (int i = 0; i < STATES; i++)
        put(o, "%s{state=\"%s\"} %lld\n", name, states[i], (long long)counts[i]);
    return row == SQLITE_DONE;
}

static double size_of(const char *path, const char *suffix)
{
    char name[4096];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (double)st.st_size : 0;
}

static void put_files(json_out *o, const char *db)
{
    char dir[4096];
    struct statvfs fs;
    const char *slash = strrchr(db, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - db) + 1 : 1, slash ? db : ".");
    gauge(o, "normscope_database_bytes", "Size of the database file.", size_of(db, ""));
    gauge(o, "normscope_database_wal_bytes", "Size of its write-ahead log.", size_of(db, "-wal"));
    if (statvfs(dir, &fs) == 0)
        gauge(o, "normscope_disk_free_bytes", "Free for the daemon where the database is.",
              (double)fs.f_bavail * (double)fs.f_frsize);
}

static bool put_database(json_out *o, request *r, reply *out)
{
    api_query q;
    if (!api_query_open(&q, r, out, "SELECT state, count(*) FROM jobs GROUP BY state"))
        return false;
    head(o, "normscope_jobs", "gauge", "Jobs in the database by state.");
    bool ok = put_states(o, q.stmt, "normscope_jobs");
    sqlite3_stmt *runs = api_prepare(q.db, out, "SELECT state, count(*) FROM runs GROUP BY state");
    head(o, "normscope_runs", "gauge", "Runs in the database by state.");
    ok = ok && runs && put_states(o, runs, "normscope_runs");
    const char *file = sqlite3_db_filename(q.db, "main");
    if (ok && file) put_files(o, file);
    if (!ok && runs) api_store_failed(out, q.db);
    sqlite3_finalize(runs);
    api_query_close(&q, r);
    return ok;
}

static int count_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = -3; /* ".", ".." and the one that reads */
    while (dir && readdir(dir)) n++;
    if (dir) closedir(dir);
    return n < 0 ? 0 : n;
}

static void put_process(json_out *o)
{
    long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%lld %lld", &size, &resident) != 2) resident = 0;
    if (file) fclose(file);
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    head(o, "process_cpu_seconds_total", "counter",
         "Processor time of the daemon, not of workers.");
    put(o, "process_cpu_seconds_total %.6f\n", (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9);
    gauge(o, "process_resident_memory_bytes", "Resident memory of the daemon, not of workers.",
          (double)resident * (double)sysconf(_SC_PAGESIZE));
    gauge(o, "process_open_fds", "Open file descriptors.", count_files());
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        gauge(o, "process_max_fds", "Most open file descriptors.", (double)files.rlim_cur);
}

void api_metrics(request *r, reply *out)
{
    json_out o = {0};
    scheduler_health live = {.probe_age_s = NAN};
    if (r->http->scheduler) scheduler_health_get(r->http->scheduler, &live);
    head(&o, "normscope_info", "gauge", "Version and build.");
    put(&o, "normscope_info{version=\"%s\",build=\"%s\"} 1\n", NORMSCOPE_VERSION, version_build());
    gauge(&o, "normscope_store_ok", "1 while the database can be written.",
          store_healthy(r->http->store));
    put_scheduler(&o, &live);
    if (put_database(&o, r, out)) {
        put_process(&o);
        reply_text(out, MHD_HTTP_OK, content_type, json_take(&o));
    }
    json_deinit(&o);
}
