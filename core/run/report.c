#include "core/run/report.h"

#include "core/metric/fit.h"
#include "core/metric/spike.h"
#include "core/run/train.h"

#include <string.h>

enum { BATCH = 256 };
enum series {
    SERIES_VAR,
    SERIES_MAX_ABS,
    SERIES_GRAD_NORM,
    SERIES_GRAD_RMS,
    SERIES_GRAD_MAX,
    SERIES_APART,
    SERIES_COUNT
};
_Static_assert((int)SERIES_COUNT == (int)SESSION_SERIES, "room in the session");

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

static bool in_group(int m, metric_group group)
{
    return metric_group_of((metric)m) == group;
}

/* Which metrics a tap has: those of the groups its kind of value supports. */
static bool applies(const tap *t, const report_pass *pass, int m)
{
    if (in_group(m, GROUP_outlier))
        return !t->is_matrix &&
               (m == METRIC_mmr || m == METRIC_neuron_kurtosis || site_is_stream(t->site));
    if (headroom_is_metric(m)) return pass->backward || !headroom_is_of_gradients(m);
    if (in_group(m, GROUP_branch))
        return t->added && m != METRIC_qk_to_v_grad_ratio &&
               (m != METRIC_branch_alignment || t->layer > 1);
    if (in_group(m, GROUP_gradient))
        return pass->backward && !(t->is_matrix && (m == METRIC_grad_token_corr));
    if (in_group(m, GROUP_moments))
        return !(t->is_matrix && (m == METRIC_var_feat || m == METRIC_var_token));
    if (in_group(m, GROUP_coordinate)) return true;
    if (m >= METRIC_logit_scale && m <= METRIC_logit_max)
        return site_role_of(t->site) == ROLE_pair_logits;
    if (m == METRIC_attn_participation || in_group(m, GROUP_contraction))
        return site_role_of(t->site) == ROLE_pairs;
    if (in_group(m, GROUP_attention)) return t->entropy != NONE;
    if (m == METRIC_angle_exponent) return false; /* of the run */
    return !t->is_matrix && (in_group(m, GROUP_geometry) || in_group(m, GROUP_spectrum));
}

static metric_value relative(metric_value length, metric_value reference)
{
    if (length.reason) return length;
    if (reference.reason) return reference;
    return reference.value == 0 ? value_undefined(REASON_ZERO)
                                : value_of(length.value / reference.value);
}

static double *series_of(session *s, enum series which)
{
    return s->series + (size_t)which * (size_t)(s->spec->depth + 2);
}

/* The stream after each block (and x_0) feeds the fits. */
static void keep_series(session *s, const tap *t, const metric_value *v)
{
    if (site_role_of(t->site) != ROLE_state) return;
    const int metrics[SERIES_APART] = {METRIC_var, METRIC_max_abs, METRIC_grad_norm,
                                       METRIC_grad_rms, METRIC_grad_max_abs};
    for (int i = 0; i < SERIES_APART; i++) {
        bool zero = v[metrics[i]].reason == REASON_NO_ENTRIES;
        series_of(s, (enum series)i)[t->layer] = zero ? (double)NAN : v[metrics[i]].value;
    }
    metric_value corr = v[METRIC_token_corr];
    series_of(s, SERIES_APART)[t->layer] = corr.reason ? (double)NAN : fit_apart(corr.value);
    if (v[METRIC_nonfinite].value > 0) series_of(s, SERIES_MAX_ABS)[t->layer] = (double)INFINITY;
    if (v[METRIC_grad_nonfinite].value > 0)
        series_of(s, SERIES_GRAD_MAX)[t->layer] = (double)INFINITY;
}

/* Of a layer of the stream, under its own name only. */
static void write_similarity(session *s, const tap *t, const metric_value *v, writer *w)
{
    for (int m = METRIC_angular_distance; m < METRIC_cka_map; m++)
        if (w->wanted[m] && probe_similarity_has(&s->probe.similarity, t, m))
            write_row(w, t->layer, t->site, NULL, (metric)m, v[m]);
}

static void write_map(session *s, writer *w)
{
    const probe_similarity *p = &s->probe.similarity;
    if (!w->wanted[METRIC_cka_map]) return;
    for (int i = 1; i < p->n_chosen; i++)
        for (int j = 0; j < i; j++)
            write_row(w, probe_similarity_layer(p, i), SITE_resid_out,
                      probe_similarity_name(probe_similarity_layer(p, j)), METRIC_cka_map,
                      probe_similarity_pair(p, i, j));
}

static void write_taps(session *s, const report_pass *pass, writer *w)
{
    const graph *g = &s->g;
    metric_value reference = value_undefined(REASON_NO_ENTRIES);
    metric_value v[METRIC_COUNT];
    memset(v, 0, sizeof v);
    if (pass->backward && s->probe.gradient && g->reference_tap != NONE)
        reference = value_of(probe_grad_norm(&s->probe, g->reference_tap));
    for (int i = 0; i < g->n_taps; i++) {
        const tap *t = &g->taps[i];
        if (t->hidden) continue;
        probe_finish(&s->probe, i, pass->backward, v);
        v[METRIC_grad_norm_rel] = relative(v[METRIC_grad_norm], reference);
        keep_series(s, t, v);
        for (int m = 0; m < METRIC_COUNT; m++)
            if (w->wanted[m] && applies(t, pass, m))
                write_row(w, t->layer, t->site, NULL, (metric)m, v[m]);
        write_similarity(s, t, v, w);
        if (t->also_layer == NONE) continue;
        for (int m = 0; m < METRIC_COUNT; m++)
            if (w->wanted[m] && applies(t, pass, m))
                write_row(w, t->also_layer, t->also_site, NULL, (metric)m, v[m]);
    }
}

static metric_value ratio(double top_sq, double bottom_sq)
{
    return bottom_sq == 0 ? value_undefined(REASON_ZERO) : value_of(sqrt(top_sq / bottom_sq));
}

static void write_spread(session *s, int i, writer *w)
{
    const param *p = &s->g.params[i];
    if (!s->probe.spread) return;
    grad_spread e = train_grad_spread(s, i);
    write_row(w, p->layer, SITE_param, p->role, METRIC_param_grad_max, value_of(e.max_abs));
    write_row(w, p->layer, SITE_param, p->role, METRIC_param_grad_var,
              value_of(grad_spread_var(&e)));
}

/* Of the block whose query matrix is parameter q. */
static void write_qk_to_v(session *s, int q, writer *w)
{
    const graph *g = &s->g;
    const param *p = &g->params[q];
    double keys = 0, values = 0;
    for (int i = q + 1; i < g->n_params && g->params[i].layer == p->layer; i++) {
        if (!strcmp(g->params[i].role, "attn.k.weight")) keys = train_grad_sq(s, i);
        if (!strcmp(g->params[i].role, "attn.v.weight")) values = train_grad_sq(s, i);
    }
    write_row(w, p->layer, SITE_param, p->role, METRIC_qk_to_v_grad_ratio,
              ratio(train_grad_sq(s, q) + keys, values));
}

static void write_params(session *s, const report_pass *pass, writer *w)
{
    for (int i = 0; i < s->g.n_params; i++) {
        const param *p = &s->g.params[i];
        double weight_sq = s->weight_sq[i];
        write_row(w, p->layer, SITE_param, p->role, METRIC_param_weight_norm,
                  value_of(sqrt(weight_sq)));
        if (!pass->backward || p->grad_buffer == NONE) continue;
        double grad_sq = train_grad_sq(s, i);
        write_row(w, p->layer, SITE_param, p->role, METRIC_param_grad_norm,
                  value_of(sqrt(grad_sq)));
        write_row(w, p->layer, SITE_param, p->role, METRIC_param_grad_rms,
                  value_of(sqrt(grad_sq / (double)p->count)));
        write_row(w, p->layer, SITE_param, p->role, METRIC_param_grad_ratio,
                  ratio(grad_sq, weight_sq));
        write_spread(s, i, w);
        if (!strcmp(p->role, "attn.q.weight")) write_qk_to_v(s, i, w);
        if (pass->updated)
            write_row(w, p->layer, SITE_param, p->role, METRIC_param_update_ratio,
                      ratio(train_moved_sq(s, i), weight_sq));
    }
}

static void write_fit(writer *w, metric first, double *y, int layers)
{
    fit f;
    fit_growth(y, layers, &f);
    const metric_value values[] = {f.slope, f.r2_linear, f.r2_exponential, f.r2_power, f.law};
    for (int i = 0; i < 5; i++)
        write_row(w, -1, SITE_run, NULL, (metric)((int)first + i), values[i]);
}

static void write_angle(session *s, writer *w)
{
    fit f;
    if (!w->wanted[METRIC_angle_exponent]) return;
    fit_growth(series_of(s, SERIES_APART) + 1, s->spec->depth, &f);
    write_row(w, -1, SITE_run, NULL, METRIC_angle_exponent,
              s->spec->data.seq_len < 2 ? value_undefined(REASON_ONE_TOKEN) : f.slope);
}

static metric_value layer_or_absent(int layer)
{
    return layer == NONE ? value_undefined(REASON_ABSENT) : value_of(layer);
}

static const metric overflow_metric[HEADROOM_FORMATS] = {
#define FORMAT(name, ...) METRIC_##name##_overflow_layer,
#include "core/base/format.def"
#undef FORMAT
};

static const metric grad_overflow_metric[HEADROOM_FORMATS] = {
#define FORMAT(name, ...) METRIC_grad_##name##_overflow_layer,
#include "core/base/format.def"
#undef FORMAT
};

/* Does x leave the k-th format? Where a run rounds to one that saturates it gets no further than
 * to its largest number. */
static bool leaves(double x, int k, int rounded_to)
{
    const format f = (format)(FORMAT_fp16 + k);
    const bool ends = format_table[f].saturates && rounded_to == (int)f;
    return ends ? x >= headroom_max(k) : x > headroom_max(k);
}

static int first_overflow(const session *s, int k)
{
    const double *max_abs = s->series + SERIES_MAX_ABS * (size_t)(s->spec->depth + 2);
    for (int l = 0; l <= s->spec->depth; l++)
        if (leaves(max_abs[l], k, s->spec->rounding.activations)) return l;
    return NONE;
}

/* From the output down, as the backward pass goes. */
static int first_grad_overflow(const session *s, int k)
{
    const double *max_abs = s->series + SERIES_GRAD_MAX * (size_t)(s->spec->depth + 2);
    for (int l = s->spec->depth; l >= 0; l--)
        if (leaves(max_abs[l] * s->spec->rounding.loss_scale, k, s->spec->rounding.gradients))
            return l;
    return NONE;
}

static void write_run(session *s, const report_pass *pass, writer *w)
{
    int depth = s->spec->depth, flush_layer = NONE;
    const double *grad_rms = series_of(s, SERIES_GRAD_RMS);
    for (int l = 0; l <= depth; l++)
        if (grad_rms[l] < 0x1p-25) flush_layer = l;
    write_row(w, -1, SITE_run, NULL, METRIC_loss, value_of(pass->loss));
    write_fit(w, METRIC_var_growth, series_of(s, SERIES_VAR) + 1, depth);
    write_angle(s, w);
    for (int f = 0; f < HEADROOM_FORMATS; f++)
        write_row(w, -1, SITE_run, NULL, overflow_metric[f], layer_or_absent(first_overflow(s, f)));
    if (!pass->backward) return;
    write_fit(w, METRIC_grad_growth, series_of(s, SERIES_GRAD_NORM) + 1, depth);
    write_row(w, -1, SITE_run, NULL, METRIC_fp16_grad_flush_layer, layer_or_absent(flush_layer));
    for (int f = 0; f < HEADROOM_FORMATS; f++)
        write_row(w, -1, SITE_run, NULL, grad_overflow_metric[f],
                  layer_or_absent(first_grad_overflow(s, f)));
}

static void write_extra(void *user, int layer, site where, metric m, metric_value v)
{
    writer *w = user;
    if (w->sites[where]) write_row(w, layer, where, NULL, m, v);
}

void report_measurements(session *s, const report_pass *pass, const sink *to)
{
    const spec_measure *measure = &s->spec->measure;
    writer w = {.to = to, .wanted = measure->metrics, .sites = measure->sites, .step = pass->step};
    for (size_t i = 0; i < SERIES_COUNT * (size_t)(s->spec->depth + 2); i++)
        s->series[i] = (double)NAN;
    write_taps(s, pass, &w);
    write_map(s, &w);
    if (s->spec->measure.sites[SITE_param] && s->probe.parameter) write_params(s, pass, &w);
    if (s->extras.step == pass->step) extra_report(s, write_extra, &w);
    if (s->spec->measure.sites[SITE_run]) write_run(s, pass, &w);
    flush(&w);
}

void report_trace(session *s, int steps, const sink *to)
{
    writer w = {.to = to, .wanted = s->spec->measure.metrics, .step = steps - 1};
    metric_value v[METRIC_COUNT];
    if (!s->spec->measure.sites[SITE_run]) return;
    spike_finish(s->grad_norms, steps, v);
    for (int m = METRIC_grad_spikes; m <= METRIC_grad_spike_step; m++)
        write_row(&w, -1, SITE_run, NULL, (metric)m, v[m]);
    flush(&w);
}

/* Every pair of the chosen layers, and each layer. */
static uint64_t similarity_rows(const session *s)
{
    const bool *m = s->spec->measure.metrics;
    uint64_t chosen = (uint64_t)s->probe.similarity.n_chosen, rows = 0;
    for (int i = METRIC_angular_distance; i < METRIC_cka_map; i++)
        rows += m[i] ? (uint64_t)s->spec->depth + 1 : 0;
    return rows + (m[METRIC_cka_map] ? chosen * chosen / 2 : 0);
}

uint64_t report_rows(const session *s)
{
    const report_pass pass = {.backward = true, .updated = true};
    uint64_t rows = METRIC_COUNT + similarity_rows(s);
    int wanted[METRIC_COUNT], n = 0;
    for (int m = 0; m < METRIC_COUNT; m++)
        if (s->spec->measure.metrics[m]) wanted[n++] = m;
    for (int i = 0; i < s->g.n_taps; i++) {
        uint64_t own = 0;
        for (int k = 0; k < n; k++) own += applies(&s->g.taps[i], &pass, wanted[k]);
        rows += s->g.taps[i].also_layer == NONE ? own : 2 * own;
    }
    for (int m = 0; m < METRIC_COUNT; m++)
        if (s->spec->measure.metrics[m] &&
            (in_group(m, GROUP_parameter) || m == METRIC_qk_to_v_grad_ratio))
            rows += (uint64_t)s->g.n_params;
    return rows + extra_rows(s->spec);
}
