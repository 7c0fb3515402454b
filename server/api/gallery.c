/* The gallery, and what came of it in the jobs of this database. */
#include "server/api/api.h"

#include "server/catalogue/gallery_check.h"
#include "server/job/reader.h"

#include <math.h>
#include <string.h>

void api_gallery(request *r, reply *out)
{
    (void)r;
    out->tagged = true;
    reply_text(out, MHD_HTTP_OK, "application/json", gallery_json());
}

/* The row whose job has this hash, with the job; or -1. */
static int find_row(job *j, const limits *lim, const char *hash)
{
    error ignored;
    for (int i = 0; i < gallery_registry.n; i++) {
        const char *text = gallery_table[i].job;
        err_code code = reader_job(text, strlen(text), lim, j, &ignored);
        if (!code && strcmp(j->hash, hash) == 0) return i;
        job_deinit(j);
    }
    return -1;
}

/* One stored number of a run of the job; false: it is not there. */
static bool
look_up(sqlite3_stmt *s, int64_t job_id, int run, const gallery_value *v, measurement *m)
{
    sqlite3_reset(s);
    sqlite3_bind_int64(s, 1, job_id);
    sqlite3_bind_int(s, 2, run);
    sqlite3_bind_int(s, 3, v->step);
    sqlite3_bind_int(s, 4, m->layer);
    sqlite3_bind_text(s, 5, site_registry.rows[v->site]->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 6, metric_registry.rows[v->metric]->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 7, v->param ? v->param : "", -1, SQLITE_STATIC);
    if (sqlite3_step(s) != SQLITE_ROW) return false;
    bool is_number = sqlite3_column_type(s, 0) != SQLITE_NULL;
    m->value = is_number ? sqlite3_column_double(s, 0) : (double)NAN;
    m->reason = reason_of(m->value);
    return true;
}

static void gather(gallery_check *c, sqlite3_stmt *s, int64_t job_id, int i, bool over)
{
    const gallery_expectation *e = &c->gallery->expect[i];
    const gallery_value *v = over ? &e->over : &e->of;
    for (int run = 0; run < c->job->n_runs; run++) {
        const job_run *at = &c->job->runs[run];
        measurement m = {.step = v->step,
                         .layer = gallery_layer(v, at->spec.depth),
                         .site = v->site,
                         .metric = v->metric,
                         .param = v->param};
        if (!gallery_check_is_arm(at->arm, v->arm) || !look_up(s, job_id, run, v, &m)) continue;
        gallery_check_offer(c, i, over, run, &m);
    }
}

static void write_outcome(json_out *o, const gallery_check *c)
{
    for (int i = 0; i < gallery_count(c->gallery); i++) {
        bool measured = c->of[i].n && (!c->gallery->expect[i].is_ratio || c->over[i].n);
        json_begin_object(o);
        gallery_expectation_members(o, &c->gallery->expect[i]);
        json_key(o, "value");
        if (measured)
            json_double(o, gallery_check_value(c, i));
        else
            json_null(o);
        json_bool_member(o, "holds", gallery_check_holds(c, i));
        json_end(o);
    }
}

static bool write_expectations(json_out *o, request *r, api_query *q, int64_t id, const char *hash)
{
    job j;
    gallery_check c;
    int row = find_row(&j, &r->http->options.limits, hash);
    sqlite3_stmt *s = NULL;
    if (row >= 0)
        s = api_prepare(q->db, &r->reply,
                        "SELECT m.value FROM runs r JOIN measurements m ON m.run_id = r.id"
                        " WHERE r.job_id = ?1 AND r.idx = ?2 AND r.state = 'done'"
                        " AND m.step = ?3 AND m.layer = ?4 AND m.item = 0"
                        " AND m.site_id = (SELECT id FROM sites WHERE name = ?5)"
                        " AND m.metric_id = (SELECT id FROM metrics WHERE name = ?6)"
                        " AND m.param_id = (SELECT id FROM params WHERE name = ?7)");
    if (row >= 0 && !s) {
        job_deinit(&j);
        return false;
    }
    json_begin_object(o);
    json_string_member(o, "gallery", row < 0 ? NULL : gallery_table[row].entry.name);
    json_array_member(o, "expectations");
    if (row >= 0) {
        gallery_check_init(&c, &gallery_table[row], &j);
        for (int i = 0; i < gallery_count(c.gallery); i++) {
            gather(&c, s, id, i, false);
            if (c.gallery->expect[i].is_ratio) gather(&c, s, id, i, true);
        }
        write_outcome(o, &c);
        sqlite3_finalize(s);
        job_deinit(&j);
    }
    json_end(o);
    json_end(o);
    return true;
}

void api_jobs_expectations(request *r, reply *out)
{
    int64_t id;
    api_query q;
    json_out o = {0};
    if (!request_capture_id(r, 0, &id) ||
        !api_query_row(&q, r, out, "job", id, "SELECT hash, finished_at FROM jobs WHERE id = ?"))
        return;
    const char *hash = (const char *)sqlite3_column_text(q.stmt, 0);
    api_tag_ended(r, out, hash, (const char *)sqlite3_column_text(q.stmt, 1), "expectations");
    if (hash && write_expectations(&o, r, &q, id, hash)) reply_json(out, MHD_HTTP_OK, &o);
    api_query_close(&q, r);
    json_deinit(&o);
}
