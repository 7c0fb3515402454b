#include "core/metric/moments.h"

#include "core/metric/order.h"

#include <math.h>

void moments_reset(moments *m)
{
    *m = (moments){0};
}

void moments_add(moments *m, const slab *s, double *token_sq)
{
    moments one = {.n = s->n,
                   .nonfinite = s->nonfinite,
                   .mean = s->mean,
                   .m2 = s->central[0],
                   .m3 = s->central[1],
                   .m4 = s->central[2],
                   .sum_sq = s->sum_sq,
                   .max_abs = s->max_abs};
    for (size_t i = 0; i < s->rows; i++) {
        const bool any = s->row_n[i] > 0;
        token_sq[i] = any ? s->row_sq[i] / s->row_n[i] : NAN;
        if (!any) continue;
        one.tokens++;
        one.var_feat_sum += s->row_var[i];
    }
    size_t features = 0;
    for (size_t j = 0; j < s->cols; j++) features += s->col_n[j] > 0;
    if (features > 0) {
        one.slabs = 1;
        one.var_token_sum = s->col_var / (double)features;
    }
    moments_merge(m, &one);
}

/* Pebay's update: with d the difference of the means, every central sum of the union is the two
 * sums plus terms in d times the lower ones. */
void moments_merge(moments *into, const moments *from)
{
    into->nonfinite += from->nonfinite;
    into->tokens += from->tokens;
    into->slabs += from->slabs;
    into->var_feat_sum += from->var_feat_sum;
    into->var_token_sum += from->var_token_sum;
    into->sum_sq += from->sum_sq;
    into->max_abs = fmax(into->max_abs, from->max_abs);
    if (from->n == 0) return;
    const double a = (double)into->n, b = (double)from->n, n = a + b;
    const double d = from->mean - into->mean, dn = d / n;
    const double m2 = into->m2, m3 = into->m3;
    into->n += from->n;
    if (a == 0) {
        into->mean = from->mean;
        into->m2 = from->m2;
        into->m3 = from->m3;
        into->m4 = from->m4;
        return;
    }
    into->mean += dn * b;
    into->m2 += from->m2 + d * dn * a * b;
    into->m3 += from->m3 + d * dn * dn * a * b * (a - b) + 3 * dn * (a * from->m2 - b * m2);
    into->m4 += from->m4 + d * dn * dn * dn * a * b * (a * a - a * b + b * b) +
                6 * dn * dn * (a * a * from->m2 + b * b * m2) + 4 * dn * (a * from->m3 - b * m3);
}

static metric_value kurtosis(const moments *m, double var, double mean_sq)
{
    if (var < 1e-30 * mean_sq || var == 0) return value_undefined(REASON_ZERO);
    return value_of(m->m4 / (double)m->n / var / var - 3);
}

/* rms of the tokens that have entries, packed to the front of token_sq; returns how many. */
static size_t token_rms(double *token_sq, size_t n_tokens)
{
    size_t n = 0;
    for (size_t i = 0; i < n_tokens; i++) {
        if (!isnan(token_sq[i])) token_sq[n++] = sqrt(token_sq[i]);
    }
    return n;
}

static void finish_tokens(double *token_sq, size_t n_tokens, metric_value out[])
{
    const size_t n = token_rms(token_sq, n_tokens);
    if (n == 0) {
        for (metric k = METRIC_token_rms_min; k <= METRIC_token_rms_cv; k++) {
            out[k] = value_undefined(REASON_NO_ENTRIES);
        }
        return;
    }
    double least = token_sq[0], most = token_sq[0], sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        least = fmin(least, token_sq[i]);
        most = fmax(most, token_sq[i]);
        sum += token_sq[i];
    }
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (token_sq[i] - mean) * (token_sq[i] - mean);
    out[METRIC_token_rms_min] = value_of(least);
    out[METRIC_token_rms_max] = value_of(most);
    out[METRIC_token_rms_median] = value_of(order_quantile(token_sq, n, 0.5));
    out[METRIC_token_rms_cv] =
        mean == 0 ? value_undefined(REASON_ZERO) : value_of(sqrt(squares / (double)n) / mean);
}

void moments_finish(const moments *m, double *token_sq, size_t n_tokens, metric_value out[])
{
    out[METRIC_nonfinite] = value_of((double)m->nonfinite);
    finish_tokens(token_sq, n_tokens, out);
    if (m->n == 0) {
        for (metric k = METRIC_mean; k <= METRIC_kurtosis; k++) {
            out[k] = value_undefined(REASON_NO_ENTRIES);
        }
        return;
    }
    const double n = (double)m->n, var = m->m2 / n, mean_sq = m->sum_sq / n;
    out[METRIC_mean] = value_of(m->mean);
    out[METRIC_var] = value_of(var);
    out[METRIC_var_feat] = value_of(m->var_feat_sum / (double)m->tokens);
    out[METRIC_var_token] = value_of(m->var_token_sum / (double)m->slabs);
    out[METRIC_rms] = value_of(sqrt(mean_sq));
    out[METRIC_max_abs] = value_of(m->max_abs);
    out[METRIC_max_rms_ratio] =
        mean_sq == 0 ? value_undefined(REASON_ZERO) : value_of(m->max_abs / sqrt(mean_sq));
    out[METRIC_kurtosis] = kurtosis(m, var, mean_sq);
}
