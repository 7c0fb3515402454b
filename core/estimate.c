#include "core/estimate.h"

#include "core/graph/cost.h"
#include "core/proxy/proxy.h"
#include "core/run/metric_cost.h"
#include "core/run/report.h"
#include "core/run/session.h"

#include <stdlib.h>

/* A session that is planned and gone when visit returns; table_bytes are what its tables take. It
 * is that of a run, or where o is not NULL as o says. */
typedef void planned(session *s, size_t table_bytes, void *user);

/* The only allocations of core/ are here and in the outline and predict of engine.c: tables of the
 * graph, gone before they return. */
static err_code plan_only(const run_spec *spec,
                          bool want_tensors,
                          const plan_options *o,
                          planned *visit,
                          void *user,
                          error *err)
{
    err_code code = ERR_OK;
    size_t bytes = session_table_bytes(spec);
    void *tables = aligned_alloc(ARENA_ALIGN, bytes / ARENA_ALIGN * ARENA_ALIGN + ARENA_ALIGN);
    session *s = malloc(sizeof *s);
    if (!tables || !s) {
        code = error_set(err, ERR_MEMORY, "", "no memory to plan the run");
        goto out;
    }
    arena meta;
    arena_init(&meta, tables, bytes);
    code = o ? session_build_as(s, spec, o, &meta, err)
             : session_build(s, spec, want_tensors, &meta, err);
    if (!code) visit(s, meta.used, user);
out:
    free(s);
    arena_release(tables, bytes);
    free(tables);
    return code;
}

struct estimating {
    int n_threads;
    const run_spec *spec; /* of the run; add_proxies */
    proxy_family family;
    double units;
    double pass_flops; /* of the run */
    estimate *out;
};

static void fill_estimate(session *s, size_t table_bytes, void *user)
{
    struct estimating *e = user;
    arena counting;
    arena_init(&counting, NULL, 0);
    session_layout(s, e->n_threads, &counting);
    double flops = cost_pass_flops(&s->g);
    *e->out = (estimate){
        .parameters = s->p.param_count,
        .flops = flops * (s->backward ? 3.0 : 1.0) * session_passes(s) +
                 (exec_profiles(&s->g) ? flops : 0),
        .traffic_bytes = cost_pass_traffic(&s->g, s->backward),
        .peak_bytes = sizeof *s + table_bytes + 2 * ARENA_ALIGN + counting.used,
        /* a run that diverges is probed once more */
        .measurements =
            report_rows(s) * (uint64_t)(s->spec->measure.n_steps + 1) + proxy_rows(s->spec),
        .measured_flops = flops * (s->backward ? 3.0 : 1.0) * s->spec->measure.n_steps,
    };
    metric_cost_of(s, e->out->metrics);
    for (int k = 0; k < GROUP_COUNT; k++) {
        e->out->metrics[k].flops *= s->spec->measure.n_steps;
        e->out->metrics[k].passes *= s->spec->measure.n_steps;
    }
    e->pass_flops = flops * (s->backward ? 3.0 : 1.0);
}

/* Proxies have passes of their own, in the same memory. */
static void add_proxies(session *s, size_t table_bytes, void *user)
{
    struct estimating *e = user;
    proxy_work work;
    arena counting;
    arena_init(&counting, NULL, 0);
    session_layout(s, e->n_threads, &counting);
    proxy_layout(s, e->family, e->n_threads, &work, &counting);
    uint64_t bytes = proxy_pass_bytes() + table_bytes + 2 * ARENA_ALIGN + counting.used;
    if (bytes > e->out->peak_bytes) e->out->peak_bytes = bytes;
    metric_cost *cost = &e->out->metrics[GROUP_proxy];
    double flops = 3 * cost_pass_flops(&s->g) * e->units + proxy_work_flops(s, e->spec, e->family);
    e->out->flops += flops;
    cost->passes += flops / e->pass_flops;
}

err_code
estimate_run(const run_spec *spec, int n_threads, bool want_tensors, estimate *out, error *err)
{
    struct estimating e = {.n_threads = n_threads, .spec = spec, .out = out};
    err_code code = plan_only(spec, want_tensors, NULL, fill_estimate, &e, err);
    for (int f = 0; f < PROXY_FAMILIES && !code; f++) {
        run_spec derived;
        e.family = (proxy_family)f;
        e.units = proxy_family_units(spec, e.family);
        if (!proxy_needs(spec, e.family) || !proxy_derive(spec, e.family, &derived)) continue;
        plan_options kept = proxy_keeps(spec, e.family);
        code = plan_only(&derived, false, &kept, add_proxies, &e, err);
    }
    if (!code)
        metric_cost_factors(out->metrics, e.pass_flops, out->traffic_bytes, spec->measure.n_steps);
    return code;
}
