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
