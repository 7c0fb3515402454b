#include "core/theory/tokens.h"

#include <math.h>
#include <string.h>

/* Growth of the group sizes, so that `most` groups that begin with one token hold them all. */
static double growth(int length, int most)
{
    double low = 1, high = 2;
    while ((pow(high, most) - 1) / (high - 1) < length) high *= 2;
    for (int i = 0; i < 60; i++) {
        double r = (low + high) / 2;
        if (r > 1 && (pow(r, most) - 1) / (r - 1) < length)
            low = r;
        else
            high = r;
    }
    return high;
}

void tokens_init(tokens *t, int length, bool exchangeable, int most)
{
    t->length = length;
    t->sequences = t->halves = 1;
    t->n = exchangeable ? 1 : length < most ? length : most;
    double r = t->n < length && t->n > 1 ? growth(length, t->n) : 1, end = 0;
    int at = 0;
    for (int g = 0; g < t->n; g++) {
        end += pow(r, g);
        int left = t->n - 1 - g, stop = t->n == length ? at + 1 : (int)lround(end);
        if (stop <= at) stop = at + 1;
        if (stop > length - left || left == 0) stop = length - left;
        t->size[g] = stop - at;
        t->first[g] = at;
        t->centre[g] = at + (stop - at - 1) / 2.0;
        at = stop;
    }
}

/* Tokens of group g in [from, to). */
static double overlap(const tokens *t, int g, double from, double to)
{
    double a = fmax(t->first[g], from), b = fmin(t->first[g] + t->size[g], to);
    return b > a ? b - a : 0;
}

void sight_init(sight *s, const tokens *t, bool causal, int window)
{
    for (int g = 0; g < t->n; g++) {
        double own = t->centre[g] + 1, from = 0, to = causal ? own : t->length;
        if (window) from = fmax(0, own - window);
        if (window && !causal) to = fmin(t->length, own - 1 + window);
        int lo = 0, hi = t->n - 1;
        while (overlap(t, lo, from, to) == 0) lo++;
        while (overlap(t, hi, from, to) == 0) hi--;
        s->lo[g] = lo, s->hi[g] = hi;
        s->at_lo[g] = overlap(t, lo, from, to);
        s->at_hi[g] = hi > lo ? overlap(t, hi, from, to) : 0;
        s->seen[g] = to - from;
        s->log_seen[g] = log(s->seen[g]);
    }
}

void kernel_blocks(double *out, const double *k, const tokens *t)
{
    int n = t->n;
    const double *q = k + (size_t)n * (size_t)n;
    memcpy(out, k, (size_t)n * (size_t)n * sizeof *out);
    for (int g = 0; g < n; g++) out[g * n + g] += (q[g] - out[g * n + g]) / t->size[g];
}

/* y += c x, rows of n. */
static void add_row(double *restrict y, double c, const double *restrict x, int n)
{
    for (int j = 0; j < n; j++) y[j] += c * x[j];
}

void sight_mean(double *restrict out,
                const double *restrict x,
                const sight *s,
                const tokens *t,
                double *restrict work)
{
    int n = t->n;
    memset(work, 0, (size_t)n * sizeof *work);
    for (int a = 0; a < n; a++)
        for (int j = 0; j < n; j++)
            work[(a + 1) * n + j] = work[a * n + j] + t->size[a] * x[a * n + j];
    for (int g = 0; g < n; g++) {
        int lo = s->lo[g], hi = s->hi[g];
        double over = 1 / s->seen[g], wl = s->at_lo[g] * over, wh = s->at_hi[g] * over;
        const double *below = work + (lo + 1) * n, *above = work + hi * n;
        double whole = hi > lo ? over : 0;
        for (int j = 0; j < n; j++)
            out[g * n + j] =
                whole * (above[j] - below[j]) + wl * x[lo * n + j] + wh * x[hi * n + j];
    }
}

void sight_spread(double *restrict out,
                  const double *restrict x,
                  const sight *s,
                  const tokens *t,
                  double *restrict work)
{
    int n = t->n;
    memset(work, 0, (size_t)(n + 1) * (size_t)n * sizeof *work);
    memset(out, 0, (size_t)n * (size_t)n * sizeof *out);
    for (int g = 0; g < n; g++) {
        int lo = s->lo[g], hi = s->hi[g];
        double over = t->size[g] / s->seen[g];
        const double *row = x + g * n;
        add_row(out + lo * n, over * s->at_lo[g] / t->size[lo], row, n);
        if (hi == lo) continue;
        add_row(out + hi * n, over * s->at_hi[g] / t->size[hi], row, n);
        if (hi == lo + 1) continue;
        add_row(work + (lo + 1) * n, over, row, n);
        add_row(work + hi * n, -over, row, n);
    }
    for (int a = 1; a < n; a++) {
        add_row(work + a * n, 1, work + (a - 1) * n, n);
        add_row(out + a * n, 1, work + a * n, n);
    }
}

void transpose(double *out, const double *x, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) out[j * n + i] = x[i * n + j];
}

kernel_mean kernel_means(const double *k, const tokens *t)
{
    int n = t->n;
    const double *q = k + (size_t)n * (size_t)n;
    double T = t->length, own = 0, other = 0;
    for (int g = 0; g < n; g++) {
        double row = 0;
        for (int h = 0; h < n; h++) row += t->size[h] * k[g * n + h];
        own += t->size[g] * q[g];
        other += t->size[g] * (row - k[g * n + g]);
    }
    double count = T * (T - 1);
    return (kernel_mean){.q = own / T,
                         .p = (own + other) / (T * T),
                         .pairs = count > 0 ? other / count : (double)NAN};
}

double kernel_dot(const double *x, const double *y, const tokens *t)
{
    int n = t->n;
    double sum = 0;
    for (int g = 0; g < n; g++) {
        for (int h = 0; h < n; h++)
            sum += t->size[g] * (t->size[h] - (g == h)) * x[g * n + h] * y[g * n + h];
        sum += t->size[g] * x[n * n + g] * y[n * n + g];
    }
    return sum;
}

double kernel_overlap(const double *x, const double *y, const tokens *t)
{
    return kernel_dot(x, y, t) / ((double)t->length * t->length);
}

double kernel_dot_batch(const double *x, const double *y, const tokens *t)
{
    size_t each = kernel_doubles(t->n);
    double B = t->sequences, sum = B * kernel_dot(x, y, t);
    return t->halves > 1 ? sum + B * (B - 1) * kernel_dot(x + each, y + each, t) : sum;
}

void kernel_bound(double *k, const double *q, int n)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double most = sqrt(fmax(q[i] * q[j], 0));
            k[i * n + j] = fmax(fmin(k[i * n + j], most), -most);
        }
        k[n * n + i] = fmax(fmin(k[n * n + i], q[i]), -q[i]);
    }
}

double kernel_cosine(const double *k, const tokens *t)
{
    int n = t->n;
    const double *q = k + (size_t)n * (size_t)n;
    double T = t->length, r[TOKENS_MAX], sum = 0, count = T * (T - 1);
    for (int g = 0; g < n; g++) r[g] = 1 / sqrt(q[g]);
    for (int g = 0; g < n; g++) {
        double row = 0;
        for (int h = 0; h < n; h++) row += t->size[h] * k[g * n + h] * r[h];
        sum += t->size[g] * r[g] * (row - k[g * n + g] * r[g]);
    }
    double mean = sum / count;
    if (!(count > 0)) return (double)NAN;
    return mean > 1 ? 1 : mean < -1 ? -1 : mean;
}
