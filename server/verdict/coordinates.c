#include "server/verdict/coordinates_private.h"

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
    char group[COORDINATES_AXIS];
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

static int layer_of(coordinate_place at, int depth)
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
static bool has_place(coordinate_place at, int least_depth)
{
    return at == AT_FIRST ? least_depth > 1 : at == AT_MIDDLE ? least_depth > 2 : true;
}

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

static double mean_at(const coordinate_arm *a, int i)
{
    double sum = 0;
    int n = 0;
    for (int k = 0; k < a->n_seeds; k++) {
        double v = a->values[k * a->n + i];
        if (isnan(v)) continue;
        sum += v;
        n++;
    }
    return n ? sum / n : (double)NAN;
}

static double spread_of(const coordinate_arm *a)
{
    double sum = 0, square = 0;
    int n = 0;
    for (int k = 0; k < a->n_seeds; k++) {
        double slope = slope_of(a->along, a->values + k * a->n, a->n);
        if (isnan(slope)) continue;
        sum += slope, square += slope * slope;
        n++;
    }
    double v = n > 1 ? (square - sum * sum / n) / (n - 1) : (double)NAN;
    return v < 0 ? 0 : sqrt(v);
}

/* What may fall along the axis, and fails above only. */
static bool may_fall(const char *axis, site s, coordinate_place at)
{
    site_role role = site_role_of(s);
    if (role == ROLE_pair_logits || role == ROLE_pairs || role == ROLE_logits) return true;
    bool deeper = strcmp(axis, "depth") == 0;
    return deeper && (at == AT_FIRST || role == ROLE_branch);
}

static coordinate_row
judge(const coordinate_arm *a, const coordinate_point *like, coordinate_place at)
{
    coordinate_row r = {.like = like,
                        .at = at,
                        .slope = slope_of(a->along, a->means, a->n),
                        .spread = spread_of(a),
                        .above_only = may_fall(a->c->axis, like->site, at)};
    for (int i = 0; i < a->n; i++) r.not_finite |= isinf(a->means[i]) != 0;
    r.judged = like->metric == METRIC_delta_mean_abs && like->step > 0 &&
               (r.not_finite || !isnan(r.slope));
    if (!r.judged) return r;
    bool beyond = r.slope > COORDINATES_SLOPE || (!r.above_only && r.slope < -COORDINATES_SLOPE);
    r.verdict = r.not_finite || beyond ? COORDINATES_FAIL : COORDINATES_PASS;
    return r;
}

/* --- one arm ---------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int index_of(const coordinate_arm *a, double along)
{
    for (int i = 0; i < a->n; i++)
        if (a->along[i] == along) return i;
    return -1;
}

static int seed_of(const coordinate_arm *a, uint64_t seed)
{
    for (int i = 0; i < a->n_seeds; i++)
        if (a->seeds[i] == seed) return i;
    return -1;
}

static bool in_arm(const coordinate_arm *a, int run)
{
    return strcmp(a->c->runs[run].rest, a->rest) == 0 && !isnan(a->c->runs[run].along);
}

bool coordinate_arm_init(coordinate_arm *a, coordinates *c, const char *rest)
{
    size_t n = (size_t)c->n_runs;
    *a = (coordinate_arm){.c = c, .rest = rest, .least_depth = INT32_MAX};
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

void coordinate_arm_deinit(coordinate_arm *a)
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

/* Fills the values of the points at hand at this place; false: it has none. */
static bool fill_row(coordinate_arm *a, coordinate_place at)
{
    bool any = false;
    for (int i = 0; i < a->n * a->n_seeds; i++) a->values[i] = (double)NAN;
    for (size_t k = a->first; k < a->end; k++) {
        const coordinate_point *p = &a->c->points[k];
        const coordinate_run *r = &a->c->runs[p->run];
        if (p->layer != layer_of(at, r->depth) || !in_arm(a, p->run)) continue;
        a->values[seed_of(a, r->seed) * a->n + index_of(a, r->along)] = p->value;
        any = true;
    }
    return any;
}

/* The next points that make one row at each place; false: there are none. */
static bool next_points(coordinate_arm *a)
{
    const coordinates *c = a->c;
    a->first = a->end;
    a->at = AT_EMBEDDING;
    if (a->first == c->n_points) return false;
    const coordinate_point *p = &c->points[a->first];
    for (a->end = a->first + 1; a->end < c->n_points; a->end++) {
        const coordinate_point *q = &c->points[a->end];
        if (q->metric != p->metric || q->site != p->site || q->step != p->step) break;
    }
    return true;
}

bool coordinate_arm_next(coordinate_arm *a, coordinate_row *out)
{
    for (;; a->at++) {
        bool there = a->end > 0 && a->at < PLACES;
        if (!there && !next_points(a)) break;
        if (!has_place(a->at, a->least_depth) || !fill_row(a, a->at)) continue;
        for (int i = 0; i < a->n; i++) a->means[i] = mean_at(a, i);
        *out = judge(a, &a->c->points[a->first], a->at++);
        return true;
    }
    a->end = 0; /* from the first again */
    return false;
}

void coordinate_arm_count(coordinate_arm *a, const coordinate_row *r)
{
    if (!r->judged) return;
    bool fails = r->verdict == COORDINATES_FAIL;
    a->judged++;
    a->failed += fails;
    if (r->like->step > a->last_step) a->last_step = r->like->step;
    double bad = (r->not_finite ? 1e5 : fabs(r->slope)) + 1e6 * fails;
    if (!fails && r->above_only && r->slope < 0) return; /* as it should */
    if (a->any_worst && bad <= a->bad) return;
    a->any_worst = true;
    a->worst = *r;
    a->bad = bad;
}

void coordinates_sort(coordinates *c)
{
    if (c->n_points) qsort(c->points, c->n_points, sizeof *c->points, by_row);
}

bool coordinates_is_first(const coordinates *c, int run)
{
    for (int i = 0; i < run; i++)
        if (!isnan(c->runs[i].along) && strcmp(c->runs[i].rest, c->runs[run].rest) == 0)
            return false;
    return !isnan(c->runs[run].along);
}
