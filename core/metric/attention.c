#include "core/metric/attention.h"

#include "core/metric/order.h"

#include <math.h>

double attention_row_entropy(const real *p, size_t n)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++) {
        if (p[j] != 0) sum -= (double)p[j] * log((double)p[j]);
    }
    return sum;
}

static void set_all(metric_value out[], metric_value v)
{
    out[METRIC_attn_entropy] = out[METRIC_attn_entropy_norm] = out[METRIC_attn_entropy_norm_p5] = v;
}

void attention_finish(const real *entropy,
                      size_t matrices,
                      size_t T,
                      const uint32_t *visible,
                      double *scratch,
                      metric_value out[])
{
    double sum = 0, norm_sum = 0;
    size_t n = 0;
    for (size_t m = 0; m < matrices; m++) {
        for (size_t i = 0; i < T; i++) {
            if (visible[i] < 2) continue;
            const double h = (double)entropy[m * T + i];
            sum += h;
            norm_sum += scratch[n++] = h / log((double)visible[i]);
        }
    }
    if (n == 0) {
        set_all(out, value_undefined(REASON_NO_ENTRIES));
        return;
    }
    if (isnan(sum)) {
        set_all(out, value_of(NAN));
        return;
    }
    out[METRIC_attn_entropy] = value_of(sum / (double)n);
    out[METRIC_attn_entropy_norm] = value_of(norm_sum / (double)n);
    out[METRIC_attn_entropy_norm_p5] = value_of(order_quantile(scratch, n, 0.05));
}

void attention_rows_reset(attention_rows *r)
{
    *r = (attention_rows){.max = (double)-INFINITY};
}

/* Chan's update: n entries with this mean and sum of squared deviations. */
static void pool(attention_rows *r, double n, double mean, double m2)
{
    const double all = r->n + n, d = mean - r->mean;
    r->m2 += m2 + d * d * r->n * n / all;
    r->mean += d * n / all;
    r->n = all;
}

static double row_max(const slab *s, size_t i)
{
    const size_t ahead = s->causal ? i + 1 : s->window ? i + s->window : s->cols;
    const size_t end = ahead < s->cols ? ahead : s->cols;
    const real *row = s->x + i * s->ld;
    size_t j = s->window && i >= s->window ? i - s->window + 1 : 0;
    real most = row[j];
    for (; j < end; j++) most = row[j] > most ? row[j] : most;
    return (double)most;
}

void attention_rows_add(attention_rows *r, const slab *s)
{
    r->nonfinite += s->nonfinite;
    for (size_t i = 0; i < s->rows; i++) {
        const double n = s->row_n[i];
        if (n < 2) continue;
        r->rows++;
        r->var_sum += s->row_var[i];
        r->participation_sum += n * s->row_sq[i];
        r->max = fmax(r->max, row_max(s, i));
        pool(r, n, s->row_mean[i], n * s->row_var[i]);
    }
}

void attention_rows_merge(attention_rows *into, const attention_rows *from)
{
    into->nonfinite += from->nonfinite;
    if (from->rows == 0) return;
    into->rows += from->rows;
    into->var_sum += from->var_sum;
    into->participation_sum += from->participation_sum;
    into->max = fmax(into->max, from->max);
    pool(into, from->n, from->mean, from->m2);
}

void attention_rows_finish(const attention_rows *r, metric_value out[])
{
    const double rows = (double)r->rows;
    const metric_value none = value_undefined(REASON_NO_ENTRIES), bad = value_of((double)NAN);
    const metric_value instead = r->nonfinite ? bad : none;
    const bool defined = r->rows > 0 && r->nonfinite == 0;
    out[METRIC_attn_participation] = defined ? value_of(r->participation_sum / rows) : instead;
    out[METRIC_logit_scale] = defined ? value_of(sqrt(r->m2 / r->n)) : instead;
    out[METRIC_logit_scale_centred] = defined ? value_of(sqrt(r->var_sum / rows)) : instead;
    out[METRIC_logit_max] = defined ? value_of(r->max) : instead;
}
