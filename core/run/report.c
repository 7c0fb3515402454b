#include "core/run/report.h"

#include "core/metric/fit.h"
#include "core/run/train.h"

#include <string.h>

enum { BATCH = 256 };

typedef struct writer {
    const sink *to;
    const bool *wanted, *sites;
    int step;
    size_t n;
    measurement rows[BATCH];
} writer;

static void flush(writer *w)
{
    if (w->n && w->to->measure) w->to->measure(w->to->user, w->rows, w->n);
    w->n = 0;
}

static void write_row(writer *w, int layer, site where, const char *role, metric m, metric_value v)
{
    if (!w->wanted[m]) return;
    if (w->n == BATCH) flush(w);
    w->rows[w->n++] = (measurement){.step = w->step,
                                    .layer = layer,
                                    .site = where,
                                    .metric = m,
                                    .param = role,
                                    .value = v.value,
                                    .reason = v.reason};
}

/* What gauges and extras tell. */
static void on_row(void *user, int layer, site where, const char *role, metric m, metric_value v)
{
    writer *w = user;
    if (w->sites[where]) write_row(w, layer, where, role, m, v);
}

static void on_extra(void *user, int layer, site where, metric m, metric_value v)
{
    on_row(user, layer, where, NULL, m, v);
}

static bool first_name_only(int m)
{
    return gauge_table[metric_group_of((metric)m)]->first_name_only;
}

static double *series_of(session *s, series which)
{
    return s->series + (size_t)which * (size_t)(s->spec->depth + 2);
}

/* The stream after each block (and x_0) feeds the fits. */
static void keep_series(session *s, const tap *t, const metric_value *v)
{
    if (site_role_of(t->site) != ROLE_state) return;
    static const metric metrics[] = {METRIC_var, METRIC_max_abs, METRIC_grad_norm, METRIC_grad_rms,
                                     METRIC_grad_max_abs};
    static const series of[] = {SERIES_VAR, SERIES_MAX_ABS, SERIES_GRAD_NORM, SERIES_GRAD_RMS,
                                SERIES_GRAD_MAX};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bool zero = v[metrics[i]].reason == REASON_NO_ENTRIES;
        series_of(s, of[i])[t->layer] = zero ? (double)NAN : v[metrics[i]].value;
    }
    metric_value corr = v[METRIC_token_corr];
    series_of(s, SERIES_APART)[t->layer] = corr.reason ? (double)NAN : fit_apart(corr.value);
    if (v[METRIC_nonfinite].value > 0) series_of(s, SERIES_MAX_ABS)[t->layer] = (double)INFINITY;
    if (v[METRIC_grad_nonfinite].value > 0)
        series_of(s, SERIES_GRAD_MAX)[t->layer] = (double)INFINITY;
}

static void
write_tap(const session *s, const tap *t, bool with_grads, const metric_value *v, writer *w)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (!w->wanted[m] || !gauge_applies(&s->g, t, (metric)m, with_grads)) continue;
        write_row(w, t->layer, t->site, NULL, (metric)m, v[m]);
    }
    for (int m = 0; m < METRIC_COUNT && t->also_layer != NONE; m++) {
        if (!w->wanted[m] || first_name_only(m) || !gauge_applies(&s->g, t, (metric)m, with_grads))
            continue;
        write_row(w, t->also_layer, t->also_site, NULL, (metric)m, v[m]);
    }
}

static void write_taps(session *s, const report_pass *pass, writer *w)
{
    metric_value v[METRIC_COUNT];
    memset(v, 0, sizeof v);
    for (int i = 0; i < s->g.n_taps; i++) {
        const tap *t = &s->g.taps[i];
        if (t->hidden) continue;
        probe_finish(&s->probe, i, pass->backward, v);
        keep_series(s, t, v);
        write_tap(s, t, pass->backward, v, w);
    }
}

static void write_params(session *s, const gauge_run *run, writer *w)
{
    for (int p = 0; p < s->g.n_params; p++)
        for (int k = 0; k < GROUP_COUNT; k++)
            if (s->probe.takes_part[k] && gauge_table[k]->param)
                gauge_table[k]->param(run, p, on_row, w);
}

static void write_run(session *s, const gauge_run *run, writer *w)
{
    for (int k = 0; k < GROUP_COUNT; k++)
        if (s->probe.takes_part[k] && gauge_table[k]->run)
            gauge_table[k]->run(s->probe.states[k], run, on_row, w);
}

static gauge_run run_of(session *s, const report_pass *pass)
{
    gauge_run run = {.g = &s->g,
                     .session = s,
                     .loss = pass->loss,
                     .backward = pass->backward,
                     .updated = pass->updated,
                     .weight_sq = s->weight_sq,
                     .grad_sq = train_grad_sq,
                     .moved_sq = train_moved_sq,
                     .spread = train_grad_spread};
    for (int i = 0; i < SERIES_COUNT; i++) run.series[i] = series_of(s, (series)i);
    return run;
}

void report_measurements(session *s, const report_pass *pass, const sink *to)
{
    const spec_measure *measure = &s->spec->measure;
    writer w = {.to = to, .wanted = measure->metrics, .sites = measure->sites, .step = pass->step};
    const gauge_run run = run_of(s, pass);
    for (size_t i = 0; i < SERIES_COUNT * (size_t)(s->spec->depth + 2); i++)
        s->series[i] = (double)NAN;
    write_taps(s, pass, &w);
    if (s->probe.needs & GAUGE_PARAMETERS) write_params(s, &run, &w);
    if (s->extras.step == pass->step) extra_report(s, on_extra, &w);
    write_run(s, &run, &w);
    flush(&w);
}

void report_trace(session *s, int steps, const sink *to)
{
    const spec_measure *measure = &s->spec->measure;
    writer w = {.to = to, .wanted = measure->metrics, .sites = measure->sites, .step = steps - 1};
    for (int k = 0; k < GROUP_COUNT; k++)
        if (s->probe.takes_part[k] && gauge_table[k]->trace)
            gauge_table[k]->trace(s->grad_norms, steps, on_row, &w);
    flush(&w);
}

static uint64_t tap_rows(const session *s, const tap *t)
{
    uint64_t rows = 0;
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (!s->spec->measure.metrics[m] || !gauge_applies(&s->g, t, (metric)m, true)) continue;
        rows += t->also_layer == NONE || first_name_only(m) ? 1 : 2;
    }
    return rows;
}

uint64_t report_rows(const session *s)
{
    uint64_t rows = METRIC_COUNT + extra_rows(s->spec);
    for (int i = 0; i < s->g.n_taps; i++) rows += tap_rows(s, &s->g.taps[i]);
    for (int k = 0; k < GROUP_COUNT; k++)
        if (gauge_wanted(s->spec, (metric_group)k) && gauge_table[k]->rows)
            rows += gauge_table[k]->rows(&s->g);
    return rows;
}
