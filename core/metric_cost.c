#include "core/metric_cost.h"

#include "core/graph.h"

#include <string.h>

enum { COST_MOMENTS, COST_GRADIENT, COST_SPECTRUM, COST_ATTENTION, COST_CONTRACTION };

static bool wants(const graph *g, const char *group)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (g->spec->measure.metrics[i] && strcmp(metric_registry.rows[i]->group, group) == 0)
            return true;
    return false;
}

static int spectra(const graph *g)
{
    bool any[2] = {false, false};
    for (int i = METRIC_stable_rank; i <= METRIC_rank1_residual_centred; i++)
        if (g->spec->measure.metrics[i]) any[i >= METRIC_stable_rank_centred] = true;
    return any[0] + any[1];
}

/* Gram matrix, reduction and eigenvalues of one matrix. */
static double decomposition(double rows, double cols, int kinds)
{
    const double n = rows < cols ? rows : cols, m = rows < cols ? cols : rows;
    return kinds ? n * (n + 1) * m + 4 * n * n * n / 3 + 40 * n * n * kinds : 0;
}

static double contraction_flops(const graph *g, double heads)
{
    const double length = g->seq_len;
    const bool path = g->spec->measure.metrics[METRIC_attn_path_contraction];
    const double one = decomposition(length, length, 2);
    return heads * one + (path ? one + 2 * length * length * length : 0);
}

static void add_tap(const graph *g, const tap *t, int kinds, double entries[METRIC_COSTS])
{
    const value *v = &g->values[t->value];
    const double rows = v->rows, cols = v->cols, count = rows * cols;
    entries[COST_GRADIENT] += 8 * count;
    if (t->hidden) return;
    entries[COST_MOMENTS] += 20 * count;
    if (!t->is_matrix) entries[COST_SPECTRUM] += decomposition(rows, cols, kinds);
    if (t->is_matrix) entries[COST_ATTENTION] += 12 * count;
    if (t->site == SITE_attn_prob)
        entries[COST_CONTRACTION] += contraction_flops(g, rows / (double)g->seq_len);
}

void metric_cost_of(const graph *g, metric_cost out[METRIC_COSTS])
{
    static const char *const names[METRIC_COSTS] = {"moments", "gradient", "spectrum", "attention",
                                                    "contraction"};
    double sums[METRIC_COSTS] = {0};
    const int kinds = spectra(g);
    for (int i = 0; i < g->n_taps; i++) add_tap(g, &g->taps[i], kinds, sums);
    for (int k = 0; k < METRIC_COSTS; k++) {
        bool wanted = wants(g, names[k]) ||
                      (k == COST_MOMENTS && (wants(g, "geometry") || kinds)) ||
                      (k <= COST_GRADIENT && wants(g, "fit"));
        out[k] = (metric_cost){names[k], wanted ? g->batch * sums[k] : 0};
    }
}
