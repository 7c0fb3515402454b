#include "core/run/metric_cost.h"

#include "core/run/extra.h"
#include "core/run/session.h"

#include <string.h>

/* Operations that take the time of a byte of traffic: what a narrow network waits for. */
static const double byte_weight = 12;

/* What a job asks for. */
typedef struct asked {
    const graph *g;
    bool group[GROUP_COUNT]; /* some metric of it */
} asked;

static asked asked_of(const graph *g)
{
    asked a = {.g = g};
    for (int i = 0; i < METRIC_COUNT; i++)
        if (g->spec->measure.metrics[i]) a.group[metric_group_of((metric)i)] = true;
    return a;
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

static double flops_of_none(const asked *a, const tap *t)
{
    (void)a, (void)t;
    return 0;
}

static double two_passes(const asked *a, const tap *t)
{
    return t->hidden ? 0 : 20 * size_of(a->g, t).entries;
}

/* The two passes stand with the first group that reads them. */
static bool carries_passes(const asked *a, metric_group group)
{
    static const metric_group readers[] = {GROUP_moments, GROUP_geometry, GROUP_spectrum, GROUP_fit,
                                           GROUP_format};
    const size_t last = sizeof readers / sizeof *readers - 1;
    size_t i = 0;
    while (i < last && !a->group[readers[i]]) i++;
    return readers[i] == group;
}

static double flops_of_moments(const asked *a, const tap *t)
{
    return carries_passes(a, GROUP_moments) ? two_passes(a, t) : 0;
}

static double flops_of_gradient(const asked *a, const tap *t)
{
    return 5 * size_of(a->g, t).entries;
}

static double flops_of_fit(const asked *a, const tap *t)
{
    return (carries_passes(a, GROUP_fit) ? two_passes(a, t) : 0) +
           (a->group[GROUP_gradient] ? 0 : flops_of_gradient(a, t));
}

static double flops_of_geometry(const asked *a, const tap *t)
{
    const bool *m = a->g->spec->measure.metrics;
    const site_size s = size_of(a->g, t);
    if (t->is_matrix || t->hidden) return carries_passes(a, GROUP_geometry) ? two_passes(a, t) : 0;
    return (carries_passes(a, GROUP_geometry) ? two_passes(a, t) : 0) + 4 * (s.rows + s.cols) +
           (m[METRIC_cos_abs_mean] ? 2 * s.rows * s.entries : 0) +
           (m[METRIC_cos_mean_centred] ? 8 * s.entries : 0);
}

static double flops_of_spectrum(const asked *a, const tap *t)
{
    const site_size s = size_of(a->g, t);
    const double passes = carries_passes(a, GROUP_spectrum) ? two_passes(a, t) : 0;
    return passes + (t->is_matrix || t->hidden ? 0 : decomposition(s.rows, s.cols, spectra(a->g)));
}

static double flops_of_attention(const asked *a, const tap *t)
{
    return t->is_matrix && !t->hidden ? 12 * size_of(a->g, t).entries : 0;
}

static double flops_of_contraction(const asked *a, const tap *t)
{
    const double length = a->g->seq_len, heads = size_of(a->g, t).rows / length;
    const bool path = a->g->spec->measure.metrics[METRIC_attn_path_contraction];
    const double one = decomposition(length, length, 2);
    if (site_role_of(t->site) != ROLE_pairs || t->hidden) return 0;
    return heads * one + (path ? one + 2 * length * length * length : 0);
}

static double flops_of_format(const asked *a, const tap *t)
{
    bool kinds[2] = {false, false};
    for (int i = 0; i < METRIC_COUNT; i++)
        if (a->g->spec->measure.metrics[i] && headroom_is_metric(i))
            kinds[headroom_is_of_gradients(i)] = true;
    const bool leaves = wants_any(a->g, METRIC_bf16_overflow_layer, METRIC_fp8_e5m2_overflow_layer);
    return (leaves && carries_passes(a, GROUP_format) ? two_passes(a, t) : 0) +
           (t->hidden ? 0 : 6 * size_of(a->g, t).entries * (kinds[0] + kinds[1]));
}

static double flops_of_branch(const asked *a, const tap *t)
{
    bool is_branch = site_role_of(t->site) == ROLE_branch;
    return is_branch ? 8 * size_of(a->g, t).entries : 0;
}

static double flops_of_outlier(const asked *a, const tap *t)
{
    const site_size s = size_of(a->g, t);
    bool correlated = wants_any(a->g, METRIC_feature_corr_rms, METRIC_batch_corr_rms);
    if (t->is_matrix || t->hidden) return 0;
    return 400 * s.entries + (correlated && site_is_stream(t->site) ? 2 * s.cols * s.entries : 0);
}

static double flops_of_similarity(const asked *a, const tap *t)
{
    const site_size s = size_of(a->g, t);
    const bool *m = a->g->spec->measure.metrics;
    const bool map = m[METRIC_cka_last] || m[METRIC_cka_map];
    if (t->hidden || site_role_of(t->site) != ROLE_state) return 0;
    if (!map && !m[METRIC_cka_prev]) return 0;
    const double others = map ? fmin(t->layer, SIMILARITY_LAYERS) : 1;
    return decomposition(s.rows, s.cols, 0) + s.rows * (s.rows + 1) * s.cols +
           s.rows * s.rows * (2 + others);
}

static double flops_of_coordinate(const asked *a, const tap *t)
{
    return t->hidden ? 0 : 2 * size_of(a->g, t).entries;
}

/* Once for the batch: see metric_cost_of. */
static double flops_of_parameter(const asked *a, const tap *t)
{
    double count = 0;
    for (int i = 0; i < a->g->n_params && t == a->g->taps; i++)
        count += (double)a->g->params[i].count;
    return 8 * count / a->g->batch;
}

static const struct cost_row {
    const char *group;
    double (*flops)(const asked *a, const tap *t); /* of one tap and one sequence */
    double weight;
} rows[GROUP_COUNT] = {
#define COST(group, flops, weight) [GROUP_##group] = {#group, flops_of_##flops, weight},
#include "core/run/metric_cost.def"
#undef COST
};

void metric_cost_of(const session *s, metric_cost out[GROUP_COUNT])
{
    const graph *g = &s->g;
    const asked a = asked_of(g);
    for (int k = 0; k < GROUP_COUNT; k++) {
        out[k] = (metric_cost){.group = rows[k].group, .wanted = a.group[k]};
        if (!out[k].wanted) continue;
        for (int i = 0; i < g->n_taps; i++)
            out[k].flops += g->batch * rows[k].flops(&a, &g->taps[i]);
        out[k].passes = extra_group_passes(s, rows[k].group);
    }
}

void metric_cost_factors(metric_cost out[GROUP_COUNT],
                         double pass_flops,
                         double pass_bytes,
                         int n_measured)
{
    const double pass = pass_flops + byte_weight * pass_bytes, n = n_measured > 0 ? n_measured : 1;
    const double faster = REAL_BITS == 64 ? 0.5 : 1; /* products of the run are slower there */
    for (int k = 0; k < GROUP_COUNT; k++)
        out[k].factor = (out[k].passes + out[k].flops * rows[k].weight * faster / pass) / n;
}
