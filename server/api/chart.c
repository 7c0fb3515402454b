/* The one picture of the dashboard: a metric over depth, for each arm the mean and range over its
 * seeds. Rows are looked up by their whole key, layer by layer, so the cost is that of the points
 * shown. */
#include "server/api/api.h"
#include "server/verdict/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct point {
    double sum, log_sum, min, max;
    int n, nonfinite;
    bool all_positive;
    double predicted, tolerance; /* sums over the runs with a prediction */
    int n_predicted;
} point;

/* What is asked, with the ids of this database. */
typedef struct chart {
    const entry *metric;
    const char *site;
    int64_t step, item;
    bool has_step;
    char param[64];
    int64_t metric_id, site_id, param_id; /* -1: the database does not know it */
    int max_depth;
    point *points;          /* of the arm at hand: layer -1 .. max_depth + 1 */
    json_out params, steps; /* JSON lists */
} chart;

static const char *usual_site(const entry *of)
{
    int row = registry_find(&metric_registry, of->name);
    return site_registry.rows[metric_usual_site((metric)row)]->name;
}

static bool one_name(request *r, const char *parameter, const registry *names, const entry **out)
{
    int rows[REQUEST_LIST], n;
    if (!request_param_names(r, parameter, names, rows, &n)) return false;
    if (n == 1) *out = names->rows[rows[0]];
    if (n < 2) return true;
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, parameter, "a chart takes one");
    return false;
}

static bool read_question(request *r, chart *c)
{
    const entry *place = NULL;
    const char *param = request_param_text(r, "param");
    c->metric = metric_registry.rows[METRIC_var];
    c->step = -1;
    if (!one_name(r, "metric", &metric_registry, &c->metric) ||
        !one_name(r, "site", &site_registry, &place) ||
        !request_param_integer(r, "step", 0, INT32_MAX, &c->step) ||
        !request_param_integer(r, "item", 0, INT32_MAX, &c->item))
        return false;
    c->has_step = c->step >= 0;
    c->site = place ? place->name : usual_site(c->metric);
    if (!param) return true;
    if (strlen(param) < sizeof c->param) {
        snprintf(c->param, sizeof c->param, "%s", param);
        return true;
    }
    reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, "param", "there is no parameter of that name");
    return false;
}

/* First column of the first row, or fallback; text parameters ?1 and ?2. */
static int64_t number_of(sqlite3 *db, const char *sql, const char *a, int64_t fallback)
{
    sqlite3_stmt *s = NULL;
    int64_t value = fallback;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) return fallback;
    sqlite3_bind_text(s, 1, a, -1, SQLITE_STATIC);
    if (sqlite3_step(s) == SQLITE_ROW) value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return value;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The probed steps of all finished runs, by skipping through the primary key. */
static bool find_steps(sqlite3 *db, chart *c, int64_t job_id, reply *out)
{
    enum { MAX = 1024 };
    int64_t steps[MAX];
    int n = 0, row;
    sqlite3_stmt *s =
        api_prepare(db, out,
                    "WITH RECURSIVE t(run, step) AS ("
                    " SELECT id, (SELECT min(step) FROM measurements WHERE run_id = id) FROM runs"
                    "  WHERE job_id = ?1 AND state = 'done'"
                    " UNION ALL SELECT run, (SELECT min(step) FROM measurements"
                    "  WHERE run_id = run AND step > t.step) FROM t WHERE t.step IS NOT NULL)"
                    "SELECT DISTINCT step FROM t WHERE step IS NOT NULL");
    if (!s) return false;
    sqlite3_bind_int64(s, 1, job_id);
    while ((row = sqlite3_step(s)) == SQLITE_ROW && n < MAX)
        steps[n++] = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    if (row != SQLITE_DONE && n < MAX) {
        api_store_failed(out, db);
        return false;
    }
    qsort(steps, (size_t)n, sizeof steps[0], by_value);
    json_begin_array(&c->steps);
    for (int i = 0; i < n; i++) json_integer(&c->steps, steps[i]);
    json_end(&c->steps);
    if (!c->has_step && n > 0) c->step = steps[n - 1];
    return true;
}

/* The parameters that the first finished run has at this site and step; picks one when none is
 * named. */
static bool find_params(sqlite3 *db, chart *c, int64_t job_id, reply *out)
{
    char first[64] = "";
    bool usual = false;
    int row;
    sqlite3_stmt *s = api_prepare(
        db, out,
        "SELECT name FROM params WHERE id IN (SELECT DISTINCT param_id FROM measurements"
        " WHERE run_id = (SELECT id FROM runs WHERE job_id = ?1 AND state = 'done'"
        "  ORDER BY idx LIMIT 1) AND step = ?2 AND site_id = ?3 AND metric_id = ?4)"
        " AND id <> 0 ORDER BY id");
    if (!s) return false;
    sqlite3_bind_int64(s, 1, job_id);
    sqlite3_bind_int64(s, 2, c->step);
    sqlite3_bind_int64(s, 3, c->site_id);
    sqlite3_bind_int64(s, 4, c->metric_id);
    json_begin_array(&c->params);
    while ((row = sqlite3_step(s)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        json_string(&c->params, name);
        if (!name || strlen(name) >= sizeof first) continue;
        usual = usual || strcmp(name, "attn.o.weight") == 0;
        if (!first[0]) snprintf(first, sizeof first, "%s", name);
    }
    json_end(&c->params);
    sqlite3_finalize(s);
    if (row != SQLITE_DONE) api_store_failed(out, db);
    if (!c->param[0]) snprintf(c->param, sizeof c->param, "%s", usual ? "attn.o.weight" : first);
    return row == SQLITE_DONE;
}

static bool resolve(request *r, chart *c, sqlite3 *db, int64_t job_id, reply *out)
{
    c->metric_id = number_of(db, "SELECT id FROM metrics WHERE name = ?", c->metric->name, -1);
    c->site_id = number_of(db, "SELECT id FROM sites WHERE name = ?", c->site, -1);
    if (!find_steps(db, c, job_id, out)) return false;
    if (strcmp(c->site, "param") == 0) {
        if (!find_params(db, c, job_id, out)) return false;
    } else {
        json_begin_array(&c->params);
        json_end(&c->params);
        if (c->param[0]) {
            reply_problem(&r->reply, PROBLEM_BAD_PARAMETER, "param",
                          "only the site param has parameters");
            return false;
        }
    }
    c->param_id = number_of(db, "SELECT id FROM params WHERE name = ?", c->param, -1);
    return true;
}

static void add_value(point *p, double value, bool finite)
{
    if (!finite) {
        p->nonfinite++;
        return;
    }
    if (p->n == 0) p->min = p->max = value, p->all_positive = true;
    p->n++;
    p->sum += value;
    if (value > 0)
        p->log_sum += log(value);
    else
        p->all_positive = false;
    if (value < p->min) p->min = value;
    if (value > p->max) p->max = value;
}

static bool add_run(chart *c, sqlite3_stmt *s, int64_t run_id, int depth)
{
    for (int layer = -1; layer <= depth + 1; layer++) {
        sqlite3_bind_int64(s, 1, run_id);
        sqlite3_bind_int64(s, 2, c->step);
        sqlite3_bind_int64(s, 3, layer);
        sqlite3_bind_int64(s, 4, c->site_id);
        sqlite3_bind_int64(s, 5, c->metric_id);
        sqlite3_bind_int64(s, 6, c->param_id);
        sqlite3_bind_int64(s, 7, c->item);
        int row = sqlite3_step(s);
        if (row == SQLITE_ROW) {
            bool null = sqlite3_column_type(s, 0) == SQLITE_NULL;
            double value = sqlite3_column_double(s, 0);
            add_value(&c->points[layer + 1], value, !null && isfinite(value));
        }
        sqlite3_reset(s);
        if (row != SQLITE_ROW && row != SQLITE_DONE) return false;
    }
    return true;
}

/* What theory said of these layers at step 0. */
static bool add_predictions(chart *c, sqlite3_stmt *s, int64_t run_id, int depth)
{
    bool logs = strcmp(c->metric->scale, "log") == 0;
    int row = SQLITE_DONE;
    sqlite3_bind_int64(s, 1, run_id);
    sqlite3_bind_int64(s, 2, c->site_id);
    sqlite3_bind_int64(s, 3, c->metric_id);
    sqlite3_bind_int64(s, 4, c->param_id);
    while (c->step == 0 && c->item == 0 && (row = sqlite3_step(s)) == SQLITE_ROW) {
        int layer = sqlite3_column_int(s, 0);
        double value = sqlite3_column_double(s, 1);
        bool usable = isfinite(value) && (!logs || value > 0);
        if (layer < -1 || layer > depth + 1 || !usable) continue;
        point *p = &c->points[layer + 1];
        p->predicted += logs ? log(value) : value;
        p->tolerance += sqlite3_column_double(s, 2);
        p->n_predicted++;
    }
    sqlite3_reset(s);
    return row == SQLITE_DONE;
}

static void write_point(json_out *o, const chart *c, int layer, const point *p)
{
    bool geometric = strcmp(c->metric->scale, "log") == 0 && p->all_positive;
    double mean = geometric ? exp(p->log_sum / p->n) : p->sum / p->n;
    if (p->n && mean < p->min) mean = p->min; /* rounding */
    if (p->n && mean > p->max) mean = p->max;
    const double numbers[] = {mean, p->min, p->max};
    static const char *const keys[] = {"mean", "min", "max"};
    json_begin_object(o);
    json_integer_member(o, "layer", layer);
    for (int i = 0; i < 3; i++) {
        json_key(o, keys[i]);
        if (p->n)
            json_double(o, numbers[i]);
        else
            json_null(o);
    }
    json_integer_member(o, "n", p->n);
    json_integer_member(o, "nonfinite", p->nonfinite);
    json_end(o);
}

/* One number for each point: the prediction (of the seeds that have one, geometric where the metric
 * is logarithmic), or its tolerance. */
static void write_predictions(json_out *o, const chart *c, const char *key, bool tolerance)
{
    bool logs = strcmp(c->metric->scale, "log") == 0;
    json_array_member(o, key);
    for (int i = 0; i < c->max_depth + 3; i++) {
        const point *p = &c->points[i];
        if (p->n + p->nonfinite == 0) continue;
        double mean = (tolerance ? p->tolerance : p->predicted) / p->n_predicted;
        if (p->n_predicted)
            json_double(o, logs && !tolerance ? exp(mean) : mean);
        else
            json_null(o);
    }
    json_end(o);
}

static void write_arm_end(json_out *o, chart *c, int seeds)
{
    json_integer_member(o, "seeds", seeds);
    json_array_member(o, "points");
    for (int i = 0; i < c->max_depth + 3; i++) {
        if (c->points[i].n + c->points[i].nonfinite == 0) continue;
        write_point(o, c, i - 1, &c->points[i]);
    }
    json_end(o);
    write_predictions(o, c, "predicted", false);
    write_predictions(o, c, "tolerance", true);
    json_end(o);
    memset(c->points, 0, (size_t)(c->max_depth + 3) * sizeof *c->points);
}

/* Runs come with the seeds fastest, so an arm is a stretch of equal arm texts. */
static bool write_arms(json_out *o, chart *c, sqlite3 *db, int64_t job_id, reply *out)
{
    sqlite3_stmt *lookup =
        api_prepare(db, out,
                    "SELECT value FROM measurements WHERE run_id = ?1 AND step = ?2 AND layer = ?3"
                    " AND site_id = ?4 AND metric_id = ?5 AND param_id = ?6 AND item = ?7");
    sqlite3_stmt *runs =
        api_prepare(db, out,
                    "SELECT id, arm, depth, state, placement FROM runs WHERE job_id = ? AND"
                    " state <> 'skipped' ORDER BY idx");
    sqlite3_stmt *theory =
        api_prepare(db, out,
                    "SELECT layer, value, tolerance FROM predictions WHERE run_id"
                    " = ?1 AND site_id = ?2 AND metric_id = ?3"
                    " AND param_id = ?4 AND reason_id IS NULL");
    char *arm = NULL;
    int seeds = 0, row = SQLITE_ERROR;
    bool ok = lookup && runs && theory;
    if (ok) sqlite3_bind_int64(runs, 1, job_id);
    while (ok && (row = sqlite3_step(runs)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(runs, 1);
        const char *state = (const char *)sqlite3_column_text(runs, 3);
        const char *placement = (const char *)sqlite3_column_text(runs, 4);
        int depth = sqlite3_column_int(runs, 2);
        if (!text || !state) break;
        if (!arm || strcmp(arm, text) != 0) {
            if (arm) write_arm_end(o, c, seeds);
            free(arm);
            arm = strdup(text);
            seeds = 0;
            json_begin_object(o);
            json_raw_member(o, "arm", text);
            char *label = study_label(text, placement, depth);
            json_string_member(o, "label", label);
            ok = arm && label;
            free(label);
        }
        if (!ok || strcmp(state, "done") != 0) continue;
        int64_t run_id = sqlite3_column_int64(runs, 0);
        if (depth > c->max_depth) depth = c->max_depth;
        ok = add_run(c, lookup, run_id, depth) && add_predictions(c, theory, run_id, depth);
        seeds++;
    }
    if (arm) write_arm_end(o, c, seeds);
    free(arm);
    sqlite3_finalize(runs);
    sqlite3_finalize(lookup);
    sqlite3_finalize(theory);
    if (ok && row == SQLITE_DONE) return true;
    if (lookup && runs && theory) api_store_failed(out, db);
    return false;
}

static void write_metric(json_out *o, const entry *m)
{
    const char *const members[][2] = {{"name", m->name},   {"group", m->group},
                                      {"unit", m->unit},   {"direction", m->direction},
                                      {"scale", m->scale}, {"summary", m->summary}};
    json_object_member(o, "metric");
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        json_string_member(o, members[i][0], members[i][1]);
    json_end(o);
}

static bool write_chart(json_out *o, chart *c, sqlite3 *db, int64_t job_id, reply *out)
{
    c->points = calloc((size_t)c->max_depth + 3, sizeof *c->points);
    if (!c->points || c->steps.failed || c->params.failed) {
        reply_error(out, &(error){.code = ERR_MEMORY, .message = "no memory for the chart"});
        return false;
    }
    json_begin_object(o);
    write_metric(o, c->metric);
    json_string_member(o, "site", c->site);
    json_key(o, "step");
    if (c->step >= 0)
        json_integer(o, c->step);
    else
        json_null(o);
    json_string_member(o, "param", c->param[0] ? c->param : NULL);
    json_raw_member(o, "params", c->params.text);
    json_raw_member(o, "steps", c->steps.text);
    json_array_member(o, "arms");
    if (!write_arms(o, c, db, job_id, out)) return false;
    json_end(o);
    json_end(o);
    return true;
}

void api_chart(request *r, reply *out)
{
    int64_t id;
    api_query q;
    chart c = {0};
    json_out o = {0};
    if (!read_question(r, &c) || !request_capture_id(r, 0, &id) ||
        !api_query_row(
            &q, r, out, "job", id,
            "SELECT hash, finished_at, (SELECT max(depth) FROM runs WHERE job_id = jobs.id) "
            "FROM jobs WHERE id = ?"))
        return;
    c.max_depth = sqlite3_column_int(q.stmt, 2);
    api_tag_ended(r, out, (const char *)sqlite3_column_text(q.stmt, 0),
                  (const char *)sqlite3_column_text(q.stmt, 1), "chart");
    if (resolve(r, &c, q.db, id, out) && write_chart(&o, &c, q.db, id, out))
        reply_json(out, MHD_HTTP_OK, &o);
    api_query_close(&q, r);
    json_deinit(&o);
    json_deinit(&c.params);
    json_deinit(&c.steps);
    free(c.points);
}
