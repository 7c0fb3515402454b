#include "core/metric/outlier.h"

#include "core/metric/order.h"

#include <math.h>
#include <string.h>

static const double massive_size = 100, massive_ratio = 1000;

CLONES static void magnitudes(double *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = fabs((double)x[i]);
}

CLONES static void add_squares(double *restrict sum, const double *restrict a, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += a[i] * a[i];
}

static double largest(const double *a, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = a[i] > most ? a[i] : most;
    return most;
}

static bool all_finite(const double *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] - a[i];
    return sum == 0;
}

/* The largest first. */
static size_t find_top(const double *a, size_t n, double top[OUTLIER_TOP])
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = found;
        if (found == OUTLIER_TOP && a[i] <= top[OUTLIER_TOP - 1]) continue;
        while (at > 0 && a[i] > top[at - 1]) at--;
        for (size_t k = found < OUTLIER_TOP ? found++ : OUTLIER_TOP - 1; k > at; k--)
            top[k] = top[k - 1];
        top[at] = a[i];
    }
    return found;
}

static void find_place(outlier *o, const double *a, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            if (a[i * cols + j] <= o->most) continue;
            o->most = a[i * cols + j];
            o->most_token = i;
            o->most_feature = j;
        }
    }
}

/* Of the whole sequence; reorders a. */
static void add_entries(outlier *o, double *a, size_t n)
{
    double top[OUTLIER_TOP] = {0};
    const size_t found = find_top(a, n, top);
    const double median = order_quantile(a, n, 0.5);
    for (size_t k = 0; k < found; k++) {
        o->top_sum[k] += top[k];
        o->with_top[k]++;
    }
    for (size_t i = 0; i < n && top[0] > massive_size; i++)
        o->massive += a[i] > massive_size && a[i] >= massive_ratio * median;
    o->median_sum += median;
    if (median == 0) return;
    o->ratio_sum += top[0] / median;
    o->with_ratio++;
}

static void add_token(outlier *o, double *a, size_t n)
{
    const double most = largest(a, n), median = order_quantile(a, n, 0.5);
    if (median == 0) return;
    o->mmr_sum += most / median;
    o->with_mmr++;
}

void outlier_add(outlier *o,
                 const real *x,
                 size_t rows,
                 size_t cols,
                 size_t ld,
                 bool stream,
                 double *col_sq,
                 double *work)
{
    o->sequences++;
    memset(col_sq, 0, cols * sizeof *col_sq);
    for (size_t i = 0; i < rows; i++) {
        magnitudes(work + i * cols, x + i * ld, cols);
        add_squares(col_sq, work + i * cols, cols);
    }
    if (!all_finite(work, rows * cols)) {
        o->bad = true;
        return;
    }
    if (stream) find_place(o, work, rows, cols);
    for (size_t i = 0; i < rows; i++) add_token(o, work + i * cols, cols);
    if (stream) add_entries(o, work, rows * cols);
}

void outlier_merge(outlier *into, const outlier *from)
{
    into->sequences += from->sequences;
    into->with_ratio += from->with_ratio;
    into->massive += from->massive;
    into->with_mmr += from->with_mmr;
    for (int k = 0; k < OUTLIER_TOP; k++) {
        into->with_top[k] += from->with_top[k];
        into->top_sum[k] += from->top_sum[k];
    }
    if (from->most > into->most) {
        into->most = from->most;
        into->most_token = from->most_token;
        into->most_feature = from->most_feature;
    }
    into->median_sum += from->median_sum;
    into->ratio_sum += from->ratio_sum;
    into->mmr_sum += from->mmr_sum;
    into->bad |= from->bad;
}

static metric_value mean_of(const outlier *o, double sum, uint64_t n, reason why)
{
    if (o->bad) return value_of((double)NAN);
    return n > 0 ? value_of(sum / (double)n) : value_undefined(why);
}

static metric_value place(const outlier *o, size_t at)
{
    if (o->bad) return value_of((double)NAN);
    return o->most > 0 ? value_of((double)at) : value_undefined(REASON_ZERO);
}

static metric_value neuron_kurtosis(const outlier *o, double *sq, size_t batch, size_t cols)
{
    double sum = 0, squares = 0;
    for (size_t b = 1; b < batch; b++)
        for (size_t j = 0; j < cols; j++) sq[j] += sq[b * cols + j];
    for (size_t j = 0; j < cols; j++) sum += sq[j];
    const double mean = sum / (double)cols;
    if (o->bad) return value_of((double)NAN);
    if (mean == 0) return value_undefined(REASON_ZERO);
    for (size_t j = 0; j < cols; j++) squares += (sq[j] / mean) * (sq[j] / mean);
    return value_of(squares / (double)cols);
}

void outlier_finish(
    const outlier *o, bool stream, double *col_sq, size_t batch, size_t cols, metric_value out[])
{
    out[METRIC_neuron_kurtosis] = neuron_kurtosis(o, col_sq, batch, cols);
    out[METRIC_mmr] = mean_of(o, o->mmr_sum, o->with_mmr, REASON_ZERO);
    if (!stream) return;
    for (int k = 0; k < OUTLIER_TOP; k++)
        out[METRIC_abs_top1 + k] = mean_of(o, o->top_sum[k], o->with_top[k], REASON_NO_ENTRIES);
    out[METRIC_abs_top1_token] = place(o, o->most_token);
    out[METRIC_abs_top1_feature] = place(o, o->most_feature);
    out[METRIC_abs_median] = mean_of(o, o->median_sum, o->sequences, REASON_NO_ENTRIES);
    out[METRIC_max_median_ratio] = mean_of(o, o->ratio_sum, o->with_ratio, REASON_ZERO);
    out[METRIC_massive_count] = o->bad ? value_of((double)NAN) : value_of((double)o->massive);
}
