#include "server/job/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One curve: a metric at a site, of one parameter. */
typedef struct curve {
    site site;
    metric metric;
    const char *param;
    struct curve *next; /* of another parameter */
    law law;
    json_out layers, values, tolerances;
} curve;

typedef struct gathering {
    int depth;
    curve **curves; /* [SITE_COUNT * METRIC_COUNT] by site and metric, or NULL */
    json_out reasons;
    bool failed;
} gathering;

limits predict_limits(const limits *of_runs, bool for_service)
{
    limits lim = *of_runs;
    lim.depth = PREDICT_DEPTH;
    lim.blocks = for_service ? PREDICT_BLOCKS : 0;
    lim.peak_bytes = UINT64_MAX;
    lim.flops = INFINITY;
    lim.theory_only = true;
    return lim;
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool is_told(void *user, int layer)
{
    const gathering *g = user;
    int step = (g->depth + PREDICT_LAYERS - 1) / PREDICT_LAYERS;
    return layer <= 1 || layer >= g->depth || layer % step == 0;
}

static curve *curve_of(gathering *g, const prediction *p)
{
    curve **at = &g->curves[(size_t)p->site * METRIC_COUNT + (size_t)p->metric];
    while (*at && (*at)->param != p->param) at = &(*at)->next;
    if (*at) return *at;
    *at = calloc(1, sizeof **at);
    if (!*at) return NULL;
    **at = (curve){.site = p->site, .metric = p->metric, .param = p->param, .law = p->law};
    json_begin_array(&(*at)->layers);
    json_begin_array(&(*at)->values);
    json_begin_array(&(*at)->tolerances);
    return *at;
}

static void add_reason(gathering *g, const prediction *p)
{
    json_out *o = &g->reasons;
    json_begin_object(o);
    json_string_member(o, "metric", metric_registry.rows[p->metric]->name);
    json_string_member(o, "law",
                       p->reason == REASON_NO_LAW ? NULL : law_registry.rows[p->law]->name);
    json_string_member(o, "reason", reason_name(p->reason));
    json_string_member(o, "sentence", reason_sentence(p->reason));
    json_end(o);
}

/* Layers come forward in the signal and backward in the gradient: put in order at the end. */
static void on_predict(void *user, const prediction *p, size_t n)
{
    gathering *g = user;
    for (size_t i = 0; i < n; i++) {
        if (p[i].reason && p[i].layer < 0 && p[i].site == SITE_run) {
            add_reason(g, &p[i]);
            continue;
        }
        curve *c = curve_of(g, &p[i]);
        if (!c) {
            g->failed = true;
            return;
        }
        json_integer(&c->layers, p[i].layer);
        json_number(&c->values, p[i].value, p[i].reason);
        json_double(&c->tolerances, p[i].tolerance);
    }
}

/* --- the object ------------------------------------------------------------------------------- */

static void write_list(json_out *o, const char *key, json_out *list)
{
    json_end(list);
    json_raw_member(o, key, list->text);
}

static void write_curve(json_out *o, curve *c)
{
    json_begin_object(o);
    json_string_member(o, "site", site_registry.rows[c->site]->name);
    json_string_member(o, "metric", metric_registry.rows[c->metric]->name);
    json_string_member(o, "param", c->param);
    json_string_member(o, "law", law_registry.rows[c->law]->name);
    write_list(o, "layers", &c->layers);
    write_list(o, "values", &c->values);
    write_list(o, "tolerances", &c->tolerances);
    json_end(o);
}

static void free_curves(gathering *g)
{
    for (size_t i = 0; g->curves && i < (size_t)SITE_COUNT * METRIC_COUNT; i++)
        for (curve *c = g->curves[i], *next; c; c = next) {
            next = c->next;
            g->failed |= c->layers.failed || c->values.failed || c->tolerances.failed;
            json_deinit(&c->layers);
            json_deinit(&c->values);
            json_deinit(&c->tolerances);
            free(c);
        }
    free(g->curves);
    json_deinit(&g->reasons);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static err_code write_arm(json_out *o, const job_run *run, error *err)
{
    const engine *e = engine_for(run->spec.precision);
    gathering g = {.depth = run->spec.depth};
    const sink to = {.user = &g, .predict = on_predict, .predict_layer = is_told};
    g.curves = calloc((size_t)SITE_COUNT * METRIC_COUNT, sizeof(curve *));
    if (!g.curves) return error_set(err, ERR_MEMORY, "", "no memory for predictions");
    json_begin_array(&g.reasons);
    double began = now_ms();
    err_code code = e->predict(&run->spec, &to, err);
    double took = now_ms() - began;
    json_begin_object(o);
    json_raw_member(o, "arm", run->arm);
    json_integer_member(o, "depth", run->spec.depth);
    json_number_member(o, "wall_ms", took);
    json_array_member(o, "predictions");
    for (size_t i = 0; i < (size_t)SITE_COUNT * METRIC_COUNT; i++)
        for (curve *c = g.curves[i]; c; c = c->next) write_curve(o, c);
    json_end(o);
    write_list(o, "reasons", &g.reasons);
    json_end(o);
    free_curves(&g);
    if (!code && (g.failed || o->failed))
        code = error_set(err, ERR_MEMORY, "", "no memory for predictions");
    return code;
}

err_code predict_write(json_out *o, const job *j, error *err)
{
    err_code code = ERR_OK;
    json_begin_object(o);
    json_string_member(o, "name", j->name);
    json_string_member(o, "hash", j->hash);
    json_raw_member(o, "resolved", j->resolved);
    json_string_member(
        o, "tolerance",
        "of one seed: on ln of the value where the metric's scale is log, else on the "
        "value; expectations stand for the data");
    json_array_member(o, "arms");
    for (int i = 0; i < j->n_runs && !code; i++)
        if (i == 0 || strcmp(j->runs[i].arm, j->runs[i - 1].arm) != 0)
            code = write_arm(o, &j->runs[i], err);
    json_end(o);
    json_end(o);
    return code;
}
