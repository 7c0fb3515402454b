#include "server/verdict/coordinates.h"

#include <cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- runs and points -------------------------------------------------------------------------- */

/* "model.d_model" in {"model.d_model":64} or {"model":{"d_model":64}}; top: the member of the arm
 * that it stands in. */
static const cJSON *find_axis(const cJSON *arm, const char *path, const cJSON **top)
{
    const char *dot = strchr(path, '.');
    *top = cJSON_GetObjectItemCaseSensitive(arm, path);
    if (*top || !dot) return *top;
    char group[FIELD_PATH];
    snprintf(group, sizeof group, "%.*s", (int)(dot - path), path);
    *top = cJSON_GetObjectItemCaseSensitive(arm, group);
    return *top ? cJSON_GetObjectItemCaseSensitive(*top, dot + 1) : NULL;
}

static bool has_number(const cJSON *arm, const char *path)
{
    const cJSON *top;
    return cJSON_IsNumber(find_axis(arm, path, &top));
}

static void choose_axis(coordinates *c, const cJSON *arm)
{
    static const char *const usual[] = {"model.d_model", "depth"};
    const cJSON *member;
    for (int i = 0; i < 2; i++)
        if (has_number(arm, usual[i])) {
            snprintf(c->axis, sizeof c->axis, "%s", usual[i]);
            return;
        }
    cJSON_ArrayForEach(member, arm)
    {
        if (!cJSON_IsNumber(member)) continue;
        snprintf(c->axis, sizeof c->axis, "%s", member->string);
        return;
    }
}

err_code coordinates_init(coordinates *c, const char *axis, const char *arm, error *err)
{
    *c = (coordinates){0};
    cJSON *tree = cJSON_Parse(arm);
    if (!tree) return error_set(err, ERR_MEMORY, "", "no memory for the coordinate check");
    if (!axis || strcmp(axis, "auto") == 0)
        choose_axis(c, tree);
    else if (has_number(tree, axis) && strlen(axis) < sizeof c->axis)
        snprintf(c->axis, sizeof c->axis, "%s", axis);
    cJSON_Delete(tree);
    if (*c->axis) return ERR_OK;
    bool asked = axis && strcmp(axis, "auto") != 0;
    return error_set(err, ERR_RANGE, "",
                     asked ? "%.48s is not swept over numbers; an arm of this job is %.200s"
                           : "%.48s field is swept over numbers; an arm of this job is %.200s",
                     asked ? axis : "no", arm);
}

void coordinates_deinit(coordinates *c)
{
    for (int i = 0; i < c->n_runs; i++) free(c->runs[i].rest);
    free(c->runs);
    free(c->points);
    *c = (coordinates){0};
}

void coordinates_run(coordinates *c, const char *arm, uint64_t seed, int depth)
{
    if (c->n_runs == c->max_runs) {
        int max = c->max_runs ? 2 * c->max_runs : 64;
        coordinate_run *more = realloc(c->runs, (size_t)max * sizeof *more);
        if (!more) {
            c->failed = true;
            return;
        }
        c->runs = more;
        c->max_runs = max;
    }
    cJSON *tree = cJSON_Parse(arm);
    const cJSON *top, *along = tree ? find_axis(tree, c->axis, &top) : NULL;
    coordinate_run r = {.along = along && cJSON_IsNumber(along) ? along->valuedouble : (double)NAN,
                        .seed = seed,
                        .depth = depth};
    if (along) cJSON_DetachItemViaPointer(tree, (cJSON *)top);
    if (along) cJSON_Delete((cJSON *)top);
    r.rest = tree ? cJSON_PrintUnformatted(tree) : NULL;
    cJSON_Delete(tree);
    c->failed = c->failed || !r.rest;
    c->runs[c->n_runs++] = r;
}

static bool of_group(metric m)
{
    return m == METRIC_mean_abs || m == METRIC_delta_mean_abs || m == METRIC_delta_rms;
}

void coordinates_add(coordinates *c, int step, int layer, site s, metric m, double v, reason why)
{
    bool not_finite = why == REASON_NAN || why == REASON_POS_INF || why == REASON_NEG_INF;
    if (!of_group(m) || s == SITE_resid_in || c->failed || (why != REASON_NONE && !not_finite))
        return;
    if (c->n_points == c->max_points) {
        size_t max = c->max_points ? 2 * c->max_points : 1024;
        coordinate_point *more = realloc(c->points, max * sizeof *more);
        if (!more) {
            c->failed = true;
            return;
        }
        c->points = more;
        c->max_points = max;
    }
    c->points[c->n_points++] = (coordinate_point){.run = c->n_runs - 1,
                                                  .step = step,
                                                  .layer = layer,
                                                  .site = s,
                                                  .metric = m,
                                                  .value = not_finite ? (double)INFINITY : v};
}

/* --- rows ------------------------------------------------------------------------------------- */

enum place { AT_EMBEDDING, AT_FIRST, AT_MIDDLE, AT_LAST, AT_HEAD, PLACES };
static const char *const place_names[PLACES] = {"embedding", "first", "middle", "last", "head"};

static int layer_of(enum place at, int depth)
{
    switch (at) {
    case AT_EMBEDDING:
        return 0;
    case AT_FIRST:
        return 1;
    case AT_MIDDLE:
        return (depth + 1) / 2;
    case AT_LAST:
        return depth;
    case AT_HEAD:
    case PLACES:
        break;
    }
    return depth + 1;
}

/* Networks of one block have but a last one, of two no middle. */
static bool has_place(enum place at, int least_depth)
{
    return at == AT_FIRST ? least_depth > 1 : at == AT_MIDDLE ? least_depth > 2 : true;
}

/* One row at work: the series of the seeds along the axis. */
typedef struct series {
    const double *along; /* [n] the values of the axis */
    int n;
    const uint64_t *seeds; /* [n_seeds] */
    int n_seeds;
    double *values; /* [n_seeds, n]; NaN: none */
} series;

typedef struct row_result {
    double slope, spread; /* NaN: none */
    bool not_finite;
    bool judged, above_only;
    coordinates_verdict verdict;
} row_result;

/* Least squares of log2 y on log2 x; NaN when there are less than two points. */
static double slope_of(const double *x, const double *y, int n)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    int used = 0;
    for (int i = 0; i < n; i++) {
        if (!(y[i] > 0) || !isfinite(y[i]) || !(x[i] > 0)) continue;
        double a = log2(x[i]), b = log2(y[i]);
        sx += a, sy += b, sxx += a * a, sxy += a * b;
        used++;
    }
    double d = used * sxx - sx * sx;
    return used > 1 && d > 1e-12 * sxx * used ? (used * sxy - sx * sy) / d : (double)NAN;
}

static double mean_at(const series *s, int i)
{
    double sum = 0;
    int n = 0;
    for (int k = 0; k < s->n_seeds; k++) {
        double v = s->values[k * s->n + i];
        if (isnan(v)) continue;
        sum += v;
        n++;
    }
    return n ? sum / n : (double)NAN;
}

static double spread_of(const series *s)
{
    double sum = 0, square = 0;
    int n = 0;
    for (int k = 0; k < s->n_seeds; k++) {
        double slope = slope_of(s->along, s->values + k * s->n, s->n);
        if (isnan(slope)) continue;
        sum += slope, square += slope * slope;
        n++;
    }
    double v = n > 1 ? (square - sum * sum / n) / (n - 1) : (double)NAN;
    return v < 0 ? 0 : sqrt(v);
}

/* What may fall along the axis, and fails above only. */
static bool may_fall(const char *axis, site s, enum place at)
{
    if (s == SITE_logits || s == SITE_attn_prob || s == SITE_lm_logits) return true;
    bool deeper = strcmp(axis, "depth") == 0;
    return deeper && (at == AT_FIRST || s == SITE_attn_branch || s == SITE_mlp_branch);
}

static row_result
judge(const series *s, const double *means, const coordinate_point *like, bool above_only)
{
    row_result r = {.slope = slope_of(s->along, means, s->n), .spread = spread_of(s)};
    for (int i = 0; i < s->n; i++) r.not_finite |= isinf(means[i]) != 0;
    r.judged = like->metric == METRIC_delta_mean_abs && like->step > 0 &&
               (r.not_finite || !isnan(r.slope));
    r.above_only = above_only;
    if (!r.judged) return r;
    bool beyond = r.slope > COORDINATES_SLOPE || (!r.above_only && r.slope < -COORDINATES_SLOPE);
    r.verdict = r.not_finite || beyond ? COORDINATES_FAIL : COORDINATES_PASS;
    return r;
}

/* --- one arm ---------------------------------------------------------------------------------- */

typedef struct worst {
    site site;
    enum place at;
    int step;
    double slope;
    bool not_finite, any;
    double bad; /* failing rows before others, then by slope */
} worst;

typedef struct arm {
    coordinates *c;
    const char *rest;
    double *along, *means, *values;
    uint64_t *seeds;
    int n, n_seeds, least_depth, last_step;
    size_t n_points;
    int judged, failed;
    worst worst;
} arm;

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int index_of(const arm *a, double along)
{
    for (int i = 0; i < a->n; i++)
        if (a->along[i] == along) return i;
    return -1;
}

static int seed_of(const arm *a, uint64_t seed)
{
    for (int i = 0; i < a->n_seeds; i++)
        if (a->seeds[i] == seed) return i;
    return -1;
}

static bool in_arm(const arm *a, int run)
{
    return strcmp(a->c->runs[run].rest, a->rest) == 0 && !isnan(a->c->runs[run].along);
}

/* The values of the axis, the seeds, the shallowest network. */
static bool arm_init(arm *a, coordinates *c, const char *rest)
{
    size_t n = (size_t)c->n_runs;
    *a = (arm){.c = c, .rest = rest, .least_depth = INT32_MAX};
    a->along = calloc(n, sizeof *a->along);
    a->means = calloc(n, sizeof *a->means);
    a->seeds = calloc(n, sizeof *a->seeds);
    if (!a->along || !a->means || !a->seeds) return false;
    for (int i = 0; i < c->n_runs; i++) {
        if (!in_arm(a, i)) continue;
        const coordinate_run *r = &c->runs[i];
        if (index_of(a, r->along) < 0) a->along[a->n++] = r->along;
        if (seed_of(a, r->seed) < 0) a->seeds[a->n_seeds++] = r->seed;
        if (r->depth < a->least_depth) a->least_depth = r->depth;
    }
    qsort(a->along, (size_t)a->n, sizeof *a->along, by_number);
    a->values = calloc((size_t)a->n * (size_t)a->n_seeds + 1, sizeof *a->values);
    return a->values != NULL;
}

static void arm_deinit(arm *a)
{
    free(a->along);
    free(a->means);
    free(a->seeds);
    free(a->values);
}

/* Points in the order of rows: metric, site, step, then layer and run. */
static int by_row(const void *x, const void *y)
{
    const coordinate_point *a = x, *b = y;
    const int keys[][2] = {{(int)a->metric, (int)b->metric},
                           {(int)a->site, (int)b->site},
                           {a->step, b->step},
                           {a->layer, b->layer},
                           {a->run, b->run}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1]) return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

/* Fills the values of the row of points first..end-1 at this place; false: it has none. */
static bool fill_row(arm *a, size_t first, size_t end, enum place at)
{
    bool any = false;
    for (int i = 0; i < a->n * a->n_seeds; i++) a->values[i] = (double)NAN;
    for (size_t k = first; k < end; k++) {
        const coordinate_point *p = &a->c->points[k];
        const coordinate_run *r = &a->c->runs[p->run];
        if (p->layer != layer_of(at, r->depth) || !in_arm(a, p->run)) continue;
        a->values[seed_of(a, r->seed) * a->n + index_of(a, r->along)] = p->value;
        any = true;
    }
    return any;
}

static const char *verdict_name(coordinates_verdict v)
{
    return v == COORDINATES_NONE ? NULL : v == COORDINATES_PASS ? "pass" : "fail";
}

static void
write_row(json_out *o, const arm *a, const coordinate_point *p, enum place at, row_result r)
{
    json_begin_object(o);
    json_string_member(o, "site", site_registry.rows[p->site]->name);
    json_string_member(o, "at", place_names[at]);
    json_string_member(o, "metric", metric_registry.rows[p->metric]->name);
    json_integer_member(o, "step", p->step);
    json_array_member(o, "values");
    for (int i = 0; i < a->n; i++) json_double_member(o, NULL, a->means[i]);
    json_end(o);
    json_double_member(o, "slope", r.slope);
    json_double_member(o, "spread", r.spread);
    json_string_member(o, "judged", !r.judged ? NULL : r.above_only ? "above" : "both");
    json_string_member(o, "verdict", verdict_name(r.verdict));
    json_end(o);
}

static void count_row(arm *a, const coordinate_point *p, enum place at, row_result r)
{
    if (!r.judged) return;
    bool fails = r.verdict == COORDINATES_FAIL;
    a->judged++;
    a->failed += fails;
    if (p->step > a->last_step) a->last_step = p->step;
    double bad = r.not_finite ? 1e5 : fabs(r.slope);
    if (!fails && r.above_only && r.slope < 0) return; /* as it should */
    if (a->worst.any && bad + 1e6 * fails <= a->worst.bad) return;
    a->worst = (worst){.site = p->site,
                       .at = at,
                       .step = p->step,
                       .slope = r.slope,
                       .not_finite = r.not_finite,
                       .any = true,
                       .bad = bad + 1e6 * fails};
}

static void print_row(FILE *to, const coordinate_point *p, enum place at, row_result r)
{
    fprintf(to, "%-5s %-13s %-9s %4d  %6.2f  ", r.verdict == COORDINATES_FAIL ? "fail" : "pass",
            site_registry.rows[p->site]->name, place_names[at], p->step, r.slope);
    if (isnan(r.spread))
        fprintf(to, "     -\n");
    else
        fprintf(to, "%6.2f\n", r.spread);
}

/* Rows of the arm, in the order of the points; with table only the judged ones of the last step. */
static void arm_rows(arm *a, json_out *o, FILE *table)
{
    coordinates *c = a->c;
    series s = {a->along, a->n, a->seeds, a->n_seeds, a->values};
    for (size_t first = 0, end; first < c->n_points; first = end) {
        const coordinate_point *p = &c->points[first];
        for (end = first + 1; end < c->n_points; end++) {
            const coordinate_point *q = &c->points[end];
            if (q->metric != p->metric || q->site != p->site || q->step != p->step) break;
        }
        for (int at = 0; at < PLACES; at++) {
            if (!has_place((enum place)at, a->least_depth) ||
                !fill_row(a, first, end, (enum place)at))
                continue;
            for (int i = 0; i < a->n; i++) a->means[i] = mean_at(&s, i);
            row_result r = judge(&s, a->means, p, may_fall(c->axis, p->site, (enum place)at));
            if (table) {
                if (r.judged && p->step == a->last_step) print_row(table, p, (enum place)at, r);
                continue;
            }
            count_row(a, p, (enum place)at, r);
            write_row(o, a, p, (enum place)at, r);
        }
    }
}

static void sentence_of(char *out, size_t size, const arm *a)
{
    const worst *w = &a->worst;
    const char *site_name = site_registry.rows[w->site]->name;
    if (!a->judged)
        snprintf(out, size,
                 "nothing to judge: it needs delta_mean_abs after an update at two values of %s",
                 a->c->axis);
    else if (w->not_finite)
        snprintf(out, size, "the change of %s (%s) is not finite after %d update%s", site_name,
                 place_names[w->at], w->step, w->step == 1 ? "" : "s");
    else if (!w->any)
        snprintf(out, size, "no change grows with %s", a->c->axis);
    else
        snprintf(
            out, size,
            "the change of %s (%s) goes as %s^%.2f after %d update%s; %d of %d rows are beyond "
            "%g",
            site_name, place_names[w->at], a->c->axis, w->slope, w->step, w->step == 1 ? "" : "s",
            a->failed, a->judged, COORDINATES_SLOPE);
}

static void write_arm_head(json_out *o, const arm *a)
{
    json_raw_member(o, "arm", a->rest);
    json_integer_member(o, "seeds", a->n_seeds);
    json_array_member(o, "values");
    for (int i = 0; i < a->n; i++) json_double(o, a->along[i]);
    json_end(o);
    json_key(o, "rows");
}

static coordinates_verdict
write_arm(json_out *o, FILE *table, coordinates *c, const char *rest, bool ended)
{
    arm a;
    char sentence[256];
    coordinates_verdict v = COORDINATES_NONE;
    if (arm_init(&a, c, rest)) {
        json_begin_object(o);
        write_arm_head(o, &a);
        json_begin_array(o);
        arm_rows(&a, o, NULL);
        json_end(o);
        if (a.judged && ended) v = a.failed ? COORDINATES_FAIL : COORDINATES_PASS;
        sentence_of(sentence, sizeof sentence, &a);
        json_string_member(o, "verdict", verdict_name(v));
        json_string_member(o, "sentence", sentence);
        json_end(o);
        if (table) {
            fprintf(table, "%s %s: %s\n", v ? verdict_name(v) : "-", rest, sentence);
            if (a.judged) fprintf(table, "      %-13s %-9s step   slope  spread\n", "site", "at");
            arm_rows(&a, o, table);
        }
    } else {
        c->failed = true;
    }
    arm_deinit(&a);
    return v;
}

static bool is_first(const coordinates *c, int run)
{
    for (int i = 0; i < run; i++)
        if (!isnan(c->runs[i].along) && strcmp(c->runs[i].rest, c->runs[run].rest) == 0)
            return false;
    return !isnan(c->runs[run].along);
}

coordinates_verdict coordinates_write(json_out *o, FILE *table, coordinates *c, bool ended)
{
    coordinates_verdict whole = COORDINATES_NONE;
    if (c->n_points) qsort(c->points, c->n_points, sizeof *c->points, by_row);
    json_string_member(o, "axis", c->axis);
    json_string_member(o, "judged_by", "delta_mean_abs");
    json_number_member(o, "threshold", COORDINATES_SLOPE);
    json_array_member(o, "arms");
    for (int i = 0; i < c->n_runs && !c->failed; i++) {
        if (!is_first(c, i)) continue;
        coordinates_verdict v = write_arm(o, table, c, c->runs[i].rest, ended);
        if (v > whole) whole = v;
    }
    json_end(o);
    json_string_member(o, "verdict", verdict_name(whole));
    if (c->failed) o->failed = true;
    return whole;
}
