#include "server/bench/pass.h"

#include <math.h>
#include <string.h>

const char *const bench_pass_names[PASS_COUNT] = {"plain", "stream", "script", "all"};

static const site script_sites[] = {SITE_embed, SITE_resid_mid,   SITE_resid_out, SITE_attn_prob,
                                    SITE_param, SITE_attn_branch, SITE_mlp_branch};
enum { SCRIPT_SITES = sizeof script_sites / sizeof *script_sites, STREAM_SITES = SCRIPT_SITES - 2 };

static const metric script_metrics[] = {
    METRIC_mean,
    METRIC_var,
    METRIC_rms,
    METRIC_max_abs,
    METRIC_kurtosis,
    METRIC_grad_norm,
    METRIC_cos_mean,
    METRIC_residual_1inf,
    METRIC_residual_fro,
    METRIC_stable_rank,
    METRIC_effective_rank,
    METRIC_effective_rank_energy,
    METRIC_participation_rank,
    METRIC_attn_entropy,
    METRIC_attn_entropy_norm,
    METRIC_param_weight_norm,
    METRIC_param_grad_norm,
};

static void measure_script(spec_measure *m, int n_sites)
{
    for (int i = 0; i < n_sites; i++) m->sites[script_sites[i]] = true;
    for (size_t i = 0; i < sizeof script_metrics / sizeof *script_metrics; i++)
        m->metrics[script_metrics[i]] = true;
}

static void measure_defaults(spec_measure *m)
{
    for (int i = 0; i < SITE_COUNT; i++) m->sites[i] = site_registry.rows[i]->is_default;
    for (int i = 0; i < METRIC_COUNT; i++) m->metrics[i] = metric_registry.rows[i]->is_default;
}

static int find_row(const run_spec *spec, const char *kind, const char *name)
{
    const registry *const *r = engine_for(spec->precision)->registries;
    while (*r && strcmp((*r)->kind, kind) != 0) r++;
    return *r ? registry_find(*r, name) : -1;
}

run_spec bench_pass_spec(const run_spec *base, bench_pass pass)
{
    run_spec s = *base;
    s.train.steps = s.train.warmup = 0;
    if (*s.data.corpus) {
        int row = find_row(base, "data_sources", "random_tokens");
        if (row >= 0) s.data.source = row;
        s.data.corpus[0] = '\0';
    }
    /* few, so that a round stays short; the estimate counts the same */
    s.measure = (spec_measure){.n_steps = 1, .probes = 2, .iterations = 3};
    if (pass == PASS_STREAM) measure_script(&s.measure, STREAM_SITES);
    if (pass == PASS_SCRIPT) measure_script(&s.measure, SCRIPT_SITES);
    if (pass == PASS_ALL) measure_defaults(&s.measure);
    if (pass == PASS_PLAIN) {
        s.measure.sites[SITE_param] = true;
        s.measure.metrics[METRIC_param_grad_norm] = true;
    }
    return s;
}

typedef struct watch {
    bool started;
    bench_time start;
} watch;

static bool on_tensor(void *user, enum tensor_when when, int step, const tensor_view *t)
{
    watch *w = user;
    (void)step, (void)t;
    if ((when == TENSOR_INITIAL || when == TENSOR_PROXY) && !w->started) {
        w->started = true;
        w->start = bench_now();
    }
    return true;
}

/* A reader of the results costs the same whatever it does with them: it is here to be called. */
static void on_measure(void *user, const measurement *m, size_t n)
{
    (void)user, (void)m, (void)n;
}

err_code bench_pass_run(
    const run_spec *spec, void *memory, size_t bytes, team *t, bench_time *took, error *err)
{
    watch w = {0};
    const sink to = {.user = &w, .measure = on_measure, .tensor = on_tensor};
    run_summary summary;
    const engine *e = engine_for(spec->precision);
    err_code code = e->run(spec, &(run_input){0}, memory, bytes, t, &to, &summary, err);
    *took = bench_since(&w.start);
    return code;
}
