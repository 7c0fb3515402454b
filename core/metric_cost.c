#include "core/metric_cost.h"

#include "core/extra.h"
#include "core/session.h"

#include <string.h>

/* Operations that take the time of a byte of traffic: what a narrow network waits for. */
static const double byte_weight = 12;

static bool wants(const graph *g, const char *group)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (g->spec->measure.metrics[i] && strcmp(metric_registry.rows[i]->group, group) == 0)
            return true;
    return false;
}

static bool wants_any(const graph *g, metric from, metric to)
{
    for (metric m = from; m <= to; m++)
        if (g->spec->measure.metrics[m]) return true;
    return false;
}

static int spectra(const graph *g)
{
    return wants_any(g, METRIC_stable_rank, METRIC_rank1_residual) +
           wants_any(g, METRIC_stable_rank_centred, METRIC_rank1_residual_centred);
}

/* Gram matrix, reduction and eigenvalues of one matrix. */
static double decomposition(double rows, double cols, int kinds)
{
    const double n = rows < cols ? rows : cols, m = rows < cols ? cols : rows;
    return kinds ? n * (n + 1) * m + 4 * n * n * n / 3 + 40 * n * n * kinds : 0;
}

/* --- of one tap and one sequence -------------------------------------------------------------- */

typedef struct site_size {
    double rows, cols, entries;
} site_size;

static site_size size_of(const graph *g, const tap *t)
{
    const value *v = &g->values[t->value];
    return (site_size){v->rows, v->cols, (double)v->rows * v->cols};
}

static bool is_stream(const tap *t)
{
    return t->site == SITE_embed || t->site == SITE_resid_in || t->site == SITE_resid_mid ||
           t->site == SITE_resid_out;
}

static double flops_of_none(const graph *g, const tap *t)
{
    (void)g, (void)t;
    return 0;
}

static double two_passes(const graph *g, const tap *t)
{
    return t->hidden ? 0 : 20 * size_of(g, t).entries;
}

/* The two passes stand with the first group that reads them. */
static bool carries_passes(const graph *g, const char *group)
{
    static const char *const readers[] = {"moments", "geometry", "spectrum", "fit", "format"};
    const size_t last = sizeof readers / sizeof *readers - 1;
    size_t i = 0;
    while (i < last && !wants(g, readers[i])) i++;
    return strcmp(readers[i], group) == 0;
}

static double flops_of_moments(const graph *g, const tap *t)
{
    return carries_passes(g, "moments") ? two_passes(g, t) : 0;
}

static double flops_of_gradient(const graph *g, const tap *t)
{
    return 5 * size_of(g, t).entries;
}

static double flops_of_fit(const graph *g, const tap *t)
{
    return (carries_passes(g, "fit") ? two_passes(g, t) : 0) +
           (wants(g, "gradient") ? 0 : flops_of_gradient(g, t));
}

static double flops_of_geometry(const graph *g, const tap *t)
{
    const bool *m = g->spec->measure.metrics;
    const site_size s = size_of(g, t);
    if (t->is_matrix || t->hidden) return carries_passes(g, "geometry") ? two_passes(g, t) : 0;
    return (carries_passes(g, "geometry") ? two_passes(g, t) : 0) + 4 * (s.rows + s.cols) +
           (m[METRIC_cos_abs_mean] ? 2 * s.rows * s.entries : 0) +
           (m[METRIC_cos_mean_centred] ? 8 * s.entries : 0);
}

static double flops_of_spectrum(const graph *g, const tap *t)
{
    const site_size s = size_of(g, t);
    const double passes = carries_passes(g, "spectrum") ? two_passes(g, t) : 0;
    return passes + (t->is_matrix || t->hidden ? 0 : decomposition(s.rows, s.cols, spectra(g)));
}

static double flops_of_attention(const graph *g, const tap *t)
{
    return t->is_matrix && !t->hidden ? 12 * size_of(g, t).entries : 0;
}

static double flops_of_contraction(const graph *g, const tap *t)
{
    const double length = g->seq_len, heads = size_of(g, t).rows / length;
    const bool path = g->spec->measure.metrics[METRIC_attn_path_contraction];
    const double one = decomposition(length, length, 2);
    if (t->site != SITE_attn_prob || t->hidden) return 0;
    return heads * one + (path ? one + 2 * length * length * length : 0);
}

static double flops_of_format(const graph *g, const tap *t)
{
    bool kinds[2] = {false, false};
    for (int i = 0; i < METRIC_COUNT; i++)
        if (g->spec->measure.metrics[i] && headroom_is_metric(i))
            kinds[headroom_is_of_gradients(i)] = true;
    const bool leaves = wants_any(g, METRIC_bf16_overflow_layer, METRIC_fp8_e5m2_overflow_layer);
    return (leaves && carries_passes(g, "format") ? two_passes(g, t) : 0) +
           (t->hidden ? 0 : 6 * size_of(g, t).entries * (kinds[0] + kinds[1]));
}

static double flops_of_branch(const graph *g, const tap *t)
{
    bool is_branch = t->site == SITE_attn_branch || t->site == SITE_mlp_branch;
    return is_branch ? 8 * size_of(g, t).entries : 0;
}

static double flops_of_outlier(const graph *g, const tap *t)
{
    const site_size s = size_of(g, t);
    bool correlated = wants_any(g, METRIC_feature_corr_rms, METRIC_batch_corr_rms);
    if (t->is_matrix || t->hidden) return 0;
    return 400 * s.entries + (correlated && is_stream(t) ? 2 * s.cols * s.entries : 0);
}

static double flops_of_similarity(const graph *g, const tap *t)
{
    const site_size s = size_of(g, t);
    const bool *m = g->spec->measure.metrics;
    const bool map = m[METRIC_cka_last] || m[METRIC_cka_map];
    if (t->hidden || (t->site != SITE_embed && t->site != SITE_resid_out)) return 0;
    if (!map && !m[METRIC_cka_prev]) return 0;
    const double others = map ? fmin(t->layer, SIMILARITY_LAYERS) : 1;
    return decomposition(s.rows, s.cols, 0) + s.rows * (s.rows + 1) * s.cols +
           s.rows * s.rows * (2 + others);
}

static double flops_of_coordinate(const graph *g, const tap *t)
{
    return t->hidden ? 0 : 2 * size_of(g, t).entries;
}

/* Once for the batch: see metric_cost_of. */
static double flops_of_parameter(const graph *g, const tap *t)
{
    double count = 0;
    for (int i = 0; i < g->n_params && t == g->taps; i++) count += (double)g->params[i].count;
    return 8 * count / g->batch;
}

static const struct cost_row {
    const char *group;
    double (*flops)(const graph *g, const tap *t); /* of one tap and one sequence */
    double weight;
} rows[METRIC_COSTS] = {
#define COST(group, flops, weight) {#group, flops_of_##flops, weight},
#include "core/metric_cost.def"
#undef COST
};

void metric_cost_of(const session *s, metric_cost out[METRIC_COSTS])
{
    const graph *g = &s->g;
    for (int k = 0; k < METRIC_COSTS; k++) {
        out[k] = (metric_cost){.group = rows[k].group, .wanted = wants(g, rows[k].group)};
        if (!out[k].wanted) continue;
        for (int i = 0; i < g->n_taps; i++)
            out[k].flops += g->batch * rows[k].flops(g, &g->taps[i]);
        out[k].passes = extra_group_passes(s, rows[k].group);
    }
}

void metric_cost_factors(metric_cost out[METRIC_COSTS],
                         double pass_flops,
                         double pass_bytes,
                         int n_measured)
{
    const double pass = pass_flops + byte_weight * pass_bytes, n = n_measured > 0 ? n_measured : 1;
    const double faster = REAL_BITS == 64 ? 0.5 : 1; /* products of the run are slower there */
    for (int k = 0; k < METRIC_COSTS; k++)
        out[k].factor = (out[k].passes + out[k].flops * rows[k].weight * faster / pass) / n;
}
