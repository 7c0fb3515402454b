#include "core/metric/gradient.h"

#include <math.h>

void gradient_reset(gradient *g)
{
    *g = (gradient){0};
}

void gradient_add(gradient *g, const slab *s)
{
    double sum_sq = 0;
    for (size_t j = 0; j < s->cols; j++) sum_sq += s->col_sum[j] * s->col_sum[j];
    g->n += s->n;
    g->nonfinite += s->nonfinite;
    g->tokens = s->rows;
    g->sum_sq += s->sum_sq;
    g->max_abs = fmax(g->max_abs, s->max_abs);
    g->token_sum_sq += sum_sq;
}

void gradient_merge(gradient *into, const gradient *from)
{
    into->n += from->n;
    into->nonfinite += from->nonfinite;
    if (from->tokens > into->tokens) into->tokens = from->tokens;
    into->sum_sq += from->sum_sq;
    into->max_abs = fmax(into->max_abs, from->max_abs);
    into->token_sum_sq += from->token_sum_sq;
}

double gradient_norm(const gradient *g)
{
    return g->n > 0 ? sqrt(g->sum_sq) : NAN;
}

static metric_value token_corr(const gradient *g)
{
    if (g->nonfinite > 0) return value_of(NAN);
    if (g->tokens < 2) return value_undefined(REASON_ONE_TOKEN);
    if (g->sum_sq == 0) return value_undefined(REASON_ZERO);
    return value_of((g->token_sum_sq - g->sum_sq) / ((double)(g->tokens - 1) * g->sum_sq));
}

void gradient_finish(const gradient *g, metric_value out[])
{
    out[METRIC_grad_nonfinite] = value_of((double)g->nonfinite);
    if (g->n == 0) {
        out[METRIC_grad_rms] = value_undefined(REASON_NO_ENTRIES);
        out[METRIC_grad_norm] = out[METRIC_grad_max_abs] = out[METRIC_grad_rms];
        out[METRIC_grad_token_corr] = out[METRIC_grad_rms];
        return;
    }
    out[METRIC_grad_rms] = value_of(sqrt(g->sum_sq / (double)g->n));
    out[METRIC_grad_norm] = value_of(sqrt(g->sum_sq));
    out[METRIC_grad_max_abs] = value_of(g->max_abs);
    out[METRIC_grad_token_corr] = token_corr(g);
}
