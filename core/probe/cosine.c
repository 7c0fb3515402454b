#include "core/probe/cosine.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { OF_MAGNITUDES, CENTRED, KINDS };

void probe_cosine_init(probe_cosine *p, const graph *g)
{
    const bool *m = g->spec->measure.metrics;
    *p = (probe_cosine){.g = g, .wanted = {m[METRIC_cos_abs_mean], m[METRIC_cos_mean_centred]}};
}

static bool has_cosines(const probe_cosine *p, const tap *t)
{
    return (p->wanted[0] || p->wanted[1]) && !t->is_matrix && !t->hidden;
}

void probe_cosine_layout(probe_cosine *p, int n_threads, arena *a)
{
    const graph *g = p->g;
    size_t batch = (size_t)g->batch, length = (size_t)g->seq_len;
    for (int i = 0; i < g->n_taps; i++) {
        size_t cols = (size_t)g->values[g->taps[i].value].cols;
        if (has_cosines(p, &g->taps[i]) && cols > p->cols) p->cols = cols;
    }
    if (!p->cols) return;
    p->cosines = arena_alloc(a, (size_t)g->n_taps * KINDS * batch * sizeof *p->cosines);
    p->sums = arena_alloc(a, batch * p->cols * sizeof *p->sums);
    p->work_numbers = (length * (p->cols + length) + p->cols + 7) / 8 * 8;
    p->work = arena_alloc(a, (size_t)n_threads * p->work_numbers * sizeof *p->work);
}

static double *cosine_of(const probe_cosine *p, int tap_index, int kind, int b)
{
    return p->cosines + ((size_t)tap_index * KINDS + (size_t)kind) * (size_t)p->g->batch +
           (size_t)b;
}

/* Unit rows, and how many are not zero; those that are have no length and become the last. */
static size_t unit_rows(double *to, const real *x, const value *v, const double *mean)
{
    size_t n = 0, cols = (size_t)v->cols;
    for (size_t i = 0; i < (size_t)v->rows; i++) {
        double *row = to + n * cols, square = 0;
        for (size_t j = 0; j < cols; j++) {
            row[j] = (double)x[i * (size_t)v->ld + j] - (mean ? mean[j] : 0);
            square += row[j] * row[j];
        }
        if (square == 0) continue;
        for (size_t j = 0; j < cols; j++) row[j] /= sqrt(square);
        n++;
    }
    return n;
}

static double mean_cosine(double *sum, const double *unit, size_t n, size_t cols)
{
    double square = 0;
    memset(sum, 0, cols * sizeof *sum);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < cols; j++) sum[j] += unit[i * cols + j];
    for (size_t j = 0; j < cols; j++) square += sum[j] * sum[j];
    return (square - (double)n) / ((double)n * (double)(n - 1));
}

static double mean_magnitude(double *gram, const double *unit, size_t n, size_t cols)
{
    double sum = 0;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)n, (int)cols, 1.0, unit, (int)cols,
                0.0, gram, (int)n);
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++) sum += fabs(gram[i * n + j]);
    return sum / ((double)n * (double)(n - 1) / 2);
}

struct cosines {
    probe_cosine *p;
    const exec *x;
    int tap;
    const double *mean;
};

static void column_sums(void *context, int b, int worker)
{
    (void)worker;
    struct cosines *run = context;
    const value *v = &run->p->g->values[run->p->g->taps[run->tap].value];
    const real *x = exec_value(run->x, run->p->g->taps[run->tap].value, b);
    double *sums = run->p->sums + (size_t)b * (size_t)v->cols;
    memset(sums, 0, (size_t)v->cols * sizeof *sums);
    for (size_t i = 0; i < (size_t)v->rows; i++)
        for (size_t j = 0; j < (size_t)v->cols; j++) sums[j] += (double)x[i * (size_t)v->ld + j];
}

static void cosines(void *context, int b, int worker)
{
    struct cosines *run = context;
    probe_cosine *p = run->p;
    const value *v = &p->g->values[p->g->taps[run->tap].value];
    const real *x = exec_value(run->x, p->g->taps[run->tap].value, b);
    double *unit = p->work + p->work_numbers * (size_t)worker;
    double *rest = unit + (size_t)v->rows * (size_t)v->cols;
    for (int kind = 0; kind < KINDS; kind++) {
        double *to = cosine_of(p, run->tap, kind, b);
        if (!p->wanted[kind]) continue;
        size_t n = unit_rows(unit, x, v, kind == CENTRED ? run->mean : NULL);
        *to = n < 2             ? -(double)INFINITY
              : kind == CENTRED ? mean_cosine(rest, unit, n, (size_t)v->cols)
                                : mean_magnitude(rest, unit, n, (size_t)v->cols);
    }
}

/* Over all tokens of the batch, into the sums of the first sequence. */
static void take_mean(probe_cosine *p, const value *v)
{
    for (int b = 1; b < p->g->batch; b++)
        for (int j = 0; j < v->cols; j++)
            p->sums[j] += p->sums[(size_t)b * (size_t)v->cols + (size_t)j];
    for (int j = 0; j < v->cols; j++) p->sums[j] /= (double)v->rows * p->g->batch;
}

void probe_cosine_stage(probe_cosine *p, const exec *x, const stage *st)
{
    const graph *g = p->g;
    if (!p->cols || st->kind != STAGE_SPANS || st->backward) return;
    for (int k = st->first_node; k < st->first_node + st->n_nodes; k++)
        for (int i = g->nodes[k].first_tap; i != NONE; i = g->taps[i].next) {
            struct cosines run = {p, x, i, p->sums};
            if (!has_cosines(p, &g->taps[i])) continue;
            if (p->wanted[CENTRED]) {
                team_run(x->team, column_sums, &run, g->batch);
                take_mean(p, &g->values[g->taps[i].value]);
            }
            team_run(x->team, cosines, &run, g->batch);
        }
}

void probe_cosine_finish(const probe_cosine *p, int tap_index, metric_value out[])
{
    const metric to[KINDS] = {METRIC_cos_abs_mean, METRIC_cos_mean_centred};
    if (!has_cosines(p, &p->g->taps[tap_index])) return;
    for (int kind = 0; kind < KINDS; kind++) {
        double sum = 0;
        int n = 0;
        for (int b = 0; b < p->g->batch && p->wanted[kind]; b++) {
            double one = *cosine_of(p, tap_index, kind, b);
            if (one == -(double)INFINITY) continue;
            sum += one;
            n++;
        }
        out[to[kind]] = p->g->seq_len < 2 ? value_undefined(REASON_ONE_TOKEN)
                        : n               ? value_of(sum / n)
                                          : value_undefined(REASON_ZERO);
    }
}
