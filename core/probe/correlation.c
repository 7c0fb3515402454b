#include "core/probe/correlation.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { FEATURE_RMS, BATCH_MEAN, BATCH_RMS, METRICS };

static const metric own[METRICS] = {[FEATURE_RMS] = METRIC_feature_corr_rms,
                                    [BATCH_MEAN] = METRIC_batch_corr_mean,
                                    [BATCH_RMS] = METRIC_batch_corr_rms};

bool probe_correlation_wanted(const run_spec *spec)
{
    bool any = false;
    for (int k = 0; k < METRICS; k++) any |= spec->measure.metrics[own[k]];
    return any;
}

void probe_correlation_init(probe_correlation *p, const graph *g)
{
    *p = (probe_correlation){.g = g, .wanted = probe_correlation_wanted(g->spec)};
}

static bool is_stream(const tap *t)
{
    return !t->hidden && site_is_stream(t->site);
}

void probe_correlation_layout(probe_correlation *p, int n_threads, arena *a)
{
    const graph *g = p->g;
    size_t cols = 0, length = (size_t)g->seq_len;
    for (int i = 0; i < g->n_taps && p->wanted; i++)
        if (is_stream(&g->taps[i])) cols = (size_t)g->values[g->taps[i].value].cols;
    if (!cols) return;
    p->work_numbers = (cols * (cols + length + 1) + 7) / 8 * 8;
    p->taps = arena_alloc(a, (size_t)g->n_taps * METRICS * sizeof *p->taps);
    p->found = arena_alloc(a, (size_t)g->n_taps * sizeof *p->found);
    p->work = arena_alloc(a, (size_t)n_threads * p->work_numbers * sizeof *p->work);
}

/* What is summed over all tokens. */
typedef struct totals {
    double lengths, fourth; /* sum of ||x||^2 and of ||x||^4 */
} totals;

/* Adds one sequence to gram (lower triangle) and to the sums of its columns. */
static void
add_sequence(totals *s, double *gram, double *sums, double *wide, const real *x, const value *v)
{
    size_t cols = (size_t)v->cols;
    for (size_t i = 0; i < (size_t)v->rows; i++) {
        double square = 0, *row = wide + i * cols;
        for (size_t j = 0; j < cols; j++) {
            row[j] = (double)x[i * (size_t)v->ld + j];
            square += row[j] * row[j];
            sums[j] += row[j];
        }
        s->lengths += square;
        s->fourth += square * square;
    }
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)cols, v->rows, 1.0, wide, (int)cols,
                1.0, gram, (int)cols);
}

static metric_value root(double square, double scale)
{
    return value_of(sqrt(square > 0 || isnan(square) ? square : 0) / scale);
}

static void finish(metric_value to[METRICS],
                   const totals *s,
                   const double *gram,
                   const double *sums,
                   double n,
                   size_t cols)
{
    double off = 0, diagonal = 0, common = 0;
    const double d = (double)cols, mean_sq = s->lengths / (n * d);
    for (size_t i = 0; i < cols; i++) {
        diagonal += gram[i * cols + i] * gram[i * cols + i];
        common += sums[i] * sums[i];
        for (size_t j = 0; j < i; j++) off += 2 * gram[i * cols + j] * gram[i * cols + j];
    }
    for (int k = 0; k < METRICS; k++) to[k] = value_undefined(REASON_ZERO);
    if (s->lengths == 0) return;
    to[FEATURE_RMS] = root(off / (d * (d - 1)), n * mean_sq);
    to[BATCH_MEAN] = to[BATCH_RMS] = value_undefined(REASON_ONE_TOKEN);
    if (n < 2) return;
    to[BATCH_MEAN] = value_of((common - s->lengths) / (n * (n - 1) * d * mean_sq));
    to[BATCH_RMS] = root((off + diagonal - s->fourth) / (n * (n - 1)), d * mean_sq);
}

struct correlations {
    probe_correlation *p;
    const exec *x;
};

static void correlate(void *context, int task, int worker)
{
    struct correlations *run = context;
    probe_correlation *p = run->p;
    const graph *g = p->g;
    const tap *t = &g->taps[p->found[task]];
    const value *v = &g->values[t->value];
    size_t cols = (size_t)v->cols;
    double *gram = p->work + p->work_numbers * (size_t)worker, *sums = gram + cols * cols;
    totals s = {0};
    memset(gram, 0, (cols * cols + cols) * sizeof *gram);
    for (int b = 0; b < g->batch; b++)
        add_sequence(&s, gram, sums, sums + cols, exec_value(run->x, t->value, b), v);
    finish(p->taps + (size_t)p->found[task] * METRICS, &s, gram, sums, (double)v->rows * g->batch,
           cols);
}

void probe_correlation_stage(probe_correlation *p, const exec *x, const stage *st)
{
    const graph *g = p->g;
    struct correlations run = {p, x};
    int n = 0;
    if (!p->work_numbers || st->kind != STAGE_SPANS || st->backward) return;
    for (int k = st->first_node; k < st->first_node + st->n_nodes; k++)
        for (int i = g->nodes[k].first_tap; i != NONE; i = g->taps[i].next)
            if (is_stream(&g->taps[i])) p->found[n++] = i;
    if (n) team_run(x->team, correlate, &run, n);
}

void probe_correlation_finish(const probe_correlation *p, int tap_index, metric_value out[])
{
    if (!p->work_numbers || !is_stream(&p->g->taps[tap_index])) return;
    for (int k = 0; k < METRICS; k++)
        out[own[k]] = p->taps[(size_t)tap_index * METRICS + (size_t)k];
}
