#include "core/metric/geometry.h"

#include <math.h>

void geometry_reset(geometry *g)
{
    *g = (geometry){0};
}

static double sum_of_squares(const double *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * a[i];
    return sum;
}

static double largest(const double *a, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = a[i] > most ? a[i] : most;
    return most;
}

static void add_cosine(geometry *g, const slab *s)
{
    double n = 0;
    for (size_t i = 0; i < s->rows; i++) n += s->row_sq[i] > 0;
    g->zero_tokens += s->rows - (uint64_t)n;
    if (n < 2) return;
    g->with_cosine++;
    g->cos_sum += (sum_of_squares(s->col_unit, s->cols) - n) / (n * (n - 1));
}

void geometry_add(geometry *g, const slab *s)
{
    g->sequences++;
    g->tokens = s->rows;
    if (s->rows < 2) return;
    if (s->nonfinite > 0) {
        g->nonzero++;
        g->with_cosine++;
        g->cos_sum = g->corr_sum = g->fro_sum = g->mixed_sum = NAN;
        return;
    }
    add_cosine(g, s);
    if (s->sum_sq == 0) return;
    const double others = (double)(s->rows - 1);
    const double residual = largest(s->col_residual, s->cols) * largest(s->row_residual, s->rows);
    const double whole = largest(s->col_abs, s->cols) * largest(s->row_abs, s->rows);
    g->nonzero++;
    g->corr_sum += (sum_of_squares(s->col_sum, s->cols) - s->sum_sq) / (others * s->sum_sq);
    g->fro_sum += sqrt(s->residual_sq / s->sum_sq);
    g->at_floor += sqrt(s->residual_sq / s->sum_sq) <= 2 * REAL_EPSILON;
    g->mixed_sum += sqrt(residual / whole);
}

void geometry_merge(geometry *into, const geometry *from)
{
    into->sequences += from->sequences;
    into->nonzero += from->nonzero;
    into->with_cosine += from->with_cosine;
    into->zero_tokens += from->zero_tokens;
    into->at_floor += from->at_floor;
    if (from->tokens > into->tokens) into->tokens = from->tokens;
    into->cos_sum += from->cos_sum;
    into->corr_sum += from->corr_sum;
    into->fro_sum += from->fro_sum;
    into->mixed_sum += from->mixed_sum;
}

static metric_value mean_of(double sum, uint64_t n, const geometry *g)
{
    if (g->sequences == 0) return value_undefined(REASON_NO_ENTRIES);
    if (g->tokens < 2) return value_undefined(REASON_ONE_TOKEN);
    return n > 0 ? value_of(sum / (double)n) : value_undefined(REASON_ZERO);
}

void geometry_finish(const geometry *g, metric_value out[])
{
    out[METRIC_cos_mean] = mean_of(g->cos_sum, g->with_cosine, g);
    out[METRIC_token_corr] = mean_of(g->corr_sum, g->nonzero, g);
    out[METRIC_residual_fro] = mean_of(g->fro_sum, g->nonzero, g);
    out[METRIC_zero_tokens] = value_of((double)g->zero_tokens);
    out[METRIC_residual_floor] = mean_of((double)g->at_floor, g->nonzero, g);
    out[METRIC_residual_1inf] = mean_of(g->mixed_sum, g->nonzero, g);
}
