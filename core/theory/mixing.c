#include "core/theory/mixing.h"

#include <math.h>
#include <string.h>

/* Everything the two passes share; all [n, n] but L, a kernel. */
typedef struct parts {
    double *L, *U, *V, *M, *N, *B, *ratio, *spare[4];
} parts;

static parts carve(double *work, int n)
{
    size_t each = kernel_doubles(n);
    parts p;
    double **all[] = {&p.L,     &p.U,        &p.V,        &p.M,        &p.N,       &p.B,
                      &p.ratio, &p.spare[0], &p.spare[1], &p.spare[2], &p.spare[3]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = work + i * each;
    return p;
}

static void times(double *out, const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = a[i] * b[i];
}

/* W x W' of a symmetric x. */
static void
mean_both(double *out, const double *x, const mixing *m, double *half, double *turned, double *work)
{
    sight_mean(half, x, m->sight, m->tokens, work);
    transpose(turned, half, m->tokens->n);
    sight_mean(out, turned, m->sight, m->tokens, work);
}

static void spread_both(
    double *out, const double *x, const mixing *m, double *half, double *turned, double *work)
{
    sight_spread(half, x, m->sight, m->tokens, work);
    transpose(turned, half, m->tokens->n);
    sight_spread(out, turned, m->sight, m->tokens, work);
}

static void logit_kernel(double *L, const double *k, const double *q, const mixing *m)
{
    int n = m->tokens->n;
    double *own = kernel_diagonal(L, n);
    memcpy(L, k, kernel_doubles(n) * sizeof *L);
    for (int i = 0; i < n && m->logit_normed; i++) {
        for (int j = 0; j < n; j++) L[i * n + j] /= sqrt(q[i] * q[j]);
        own[i] /= q[i];
    }
    for (int i = 0; i < n * n && m->turn; i++) L[i] *= m->turn[i];
    for (int i = 0; i < n && m->turn; i++)
        if (m->tokens->size[i] == 1) L[i * n + i] = own[i];
}

/* L = K. */
static bool logits_of_inputs(const mixing *m)
{
    return !m->logit_normed && !m->turn;
}

/* first = P x, both = P x P' for a kernel x. */
static void means_of(double *first, double *both, const double *x, parts *p, const mixing *m)
{
    double *a = p->spare[0], *b = p->spare[1], *work = p->spare[3];
    kernel_blocks(a, x, m->tokens);
    sight_mean(first, a, m->sight, m->tokens, work);
    transpose(b, first, m->tokens->n);
    sight_mean(both, b, m->sight, m->tokens, work);
}

/* U, V, M, N and B; spare is overwritten. */
static void prepare(parts *p, const double *k, const double *q, const mixing *m)
{
    int n = m->tokens->n;
    size_t square = (size_t)n * (size_t)n;
    double *a = p->spare[0], *b = p->spare[1], *half = p->spare[2], *work = p->spare[3];
    logit_kernel(p->L, k, q, m);
    means_of(p->U, p->M, k, p, m);
    if (logits_of_inputs(m))
        p->V = p->U, p->N = p->M;
    else
        means_of(p->V, p->N, p->L, p, m);
    times(half, k, p->L, kernel_doubles(n));
    kernel_blocks(a, half, m->tokens);
    mean_both(p->B, a, m, half, b, work);
    times(a, p->U, p->V, square);
    transpose(b, a, n);
    sight_mean(half, b, m->sight, m->tokens, work); /* [i, j] = sum_a P_ia U_ja V_ja */
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            p->B[i * n + j] +=
                p->M[i * n + j] * p->N[i * n + j] - half[i * n + j] - half[j * n + i];
}

/* What is left of the logits' variance v in the sum of squares y = 1/(1 + (n - 1) e^(-c v)) of a
 * softmax over n keys: c = n/(n + a (n/2)^b), a = 1.56 v^0.85, b = 0.33 v^0.45, fitted to sampled
 * softmaxes for n = 2..256 and v up to 4, where y is right to 3 %. */
static double tempering(double v, double n, double log_n)
{
    const double log_2 = 0.69314718055994531, log_v = log(fabs(v));
    double a = 1.56 * exp(0.85 * log_v), b = 0.33 * exp(0.45 * log_v);
    return n / (n + a * exp(b * (log_n - log_2)));
}

/* The excess of token pairs over uniform attention to n keys from its first order: most is what all
 * of the weight on one key would add. */
static double saturate(double first, double n, double log_n, double most)
{
    const double large = 60;
    if (n < 1.5 || most <= 0) return first > 0 ? fmin(first, fmax(most, 0)) : first;
    const double widest = 100;
    double v = fmax(fmin(first * n / most, widest), -widest);
    if (fabs(v) < 1e-3) return first;
    double x = tempering(v, n, log_n) * v;
    double y = 1 / (1 + (n - 1) * exp(x > large ? -large : x < -large ? large : -x));
    return most * (n * y - 1) / (n - 1);
}

/* Mean over what a token of group i sees of what each group's has. */
static double seen_mean(const mixing *m, const double *of, int i)
{
    const sight *s = m->sight;
    double sum = 0;
    for (int a = s->lo[i]; a <= s->hi[i]; a++) {
        double in = a == s->lo[i] ? s->at_lo[i] : a == s->hi[i] ? s->at_hi[i] : m->tokens->size[a];
        sum += in / s->seen[i] * of[a];
    }
    return sum;
}

/* p of the kernel k; own: filled where k is the first half. */
static void look(parts *p, const double *k, mixing_own *own, bool other, const mixing *m)
{
    int n = m->tokens->n;
    if (!other) memcpy(own->q, k + (size_t)n * (size_t)n, (size_t)n * sizeof *own->q);
    prepare(p, k, own->q, m);
    for (int i = 0; !other && i < n; i++)
        own->room[i] = fmax(seen_mean(m, own->q, i) - p->M[i * n + i], 0);
}

/* Excess of pair i, j (token i with itself: i = j and L its own), and its ratio to the first order.
 */
static double excess_of(
    const parts *p, const mixing *m, double L, int i, int j, const double *most, double *ratio)
{
    const sight *s = m->sight;
    double first = m->logit_var * L * p->B[i * m->tokens->n + j];
    int widest = s->seen[i] > s->seen[j] ? i : j;
    double value = saturate(first, s->seen[widest], s->log_seen[widest], sqrt(most[i] * most[j]));
    *ratio = first != 0 ? value / first : 1;
    return value;
}

/* Entropy of a softmax over n keys with logits of population variance lost (n - 1)/n v. */
static double row_entropy(double n, double log_n, double lost)
{
    if (n < 1.5 || lost <= 0) return log_n;
    double c = tempering(lost * n / (n - 1), n, log_n);
    double ratio = 1 - (1 - c) * (0.55 + 0.6 / sqrt(n));
    return log_n - ratio * lost / 2;
}

static void softmax_forward(double *out,
                            const double *k,
                            mixing_own *own,
                            bool other,
                            const mixing *m,
                            double *entropy,
                            double *excess,
                            double *work)
{
    int n = m->tokens->n;
    parts p = carve(work, n);
    const double *most = own->room;
    double ratio, sum = 0, all = 0;
    double *diagonal = kernel_diagonal(out, n);
    const double *Lq = kernel_diagonal(p.L, n);
    look(&p, k, own, other, m);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j <= i; j++)
            out[i * n + j] = out[j * n + i] =
                m->gain * (p.M[i * n + j] + excess_of(&p, m, p.L[i * n + j], i, j, most, &ratio));
        double more = excess_of(&p, m, Lq[i], i, i, most, &ratio);
        diagonal[i] = m->gain * (p.M[i * n + i] + more);
        sum += m->tokens->size[i] * fabs(more), all += m->tokens->size[i] * diagonal[i];
    }
    if (excess) *excess = all > 0 ? m->gain * sum / all : 0;
    for (int i = 0; i < n; i++) {
        if (m->tokens->size[i] == 1) out[i * n + i] = diagonal[i];
        if (entropy)
            entropy[i] = row_entropy(m->sight->seen[i], m->sight->log_seen[i],
                                     m->logit_var * Lq[i] * (seen_mean(m, Lq, i) - p.N[i * n + i]));
    }
}

/* out = A x A' (back: A' x A), one token per group. */
static void given_both(double *out, const double *x, const mixing *m, bool back, double *half)
{
    int n = m->tokens->n;
    const double *A = m->given;
    memset(half, 0, (size_t)n * (size_t)n * sizeof *half);
    memset(out, 0, (size_t)n * (size_t)n * sizeof *out);
    for (int i = 0; i < n; i++)
        for (int a = 0; a < n; a++) {
            double w = back ? A[a * n + i] : A[i * n + a];
            for (int j = 0; w != 0 && j < n; j++) half[i * n + j] += w * x[a * n + j];
        }
    for (int j = 0; j < n; j++)
        for (int a = 0; a < n; a++) {
            double w = back ? A[a * n + j] : A[j * n + a];
            for (int i = 0; w != 0 && i < n; i++) out[i * n + j] += w * half[i * n + a];
        }
    for (int i = 0; i < n * n; i++) out[i] *= m->gain;
    for (int i = 0; i < n; i++) out[n * n + i] = out[i * n + i];
}

static void no_entropy(double *entropy, double *excess, int n)
{
    for (int i = 0; entropy && i < n; i++) entropy[i] = (double)NAN;
    if (excess) *excess = 0;
}

void mixing_forward(double *out,
                    const double *k,
                    mixing_own *own,
                    bool other,
                    const mixing *m,
                    double *entropy,
                    double *excess,
                    double *work)
{
    int n = m->tokens->n;
    if (m->kind == MIXING_SOFTMAX) {
        softmax_forward(out, k, own, other, m, entropy, excess, work);
        /* no pair is closer than each with itself: the expansion knows that only to its order */
        if (!other) kernel_bound(out, out + n * n, n);
        return;
    }
    no_entropy(entropy, excess, n);
    if (m->kind == MIXING_GIVEN)
        given_both(out, k, m, false, work);
    else
        for (size_t i = 0; i < kernel_doubles(n); i++) out[i] = m->gain * k[i];
}

/* in += g { (P'XP) o K - R - R' + P'(X o M)P }, of blocks X and the kernel K with its U and M. */
static void add_fluctuation(double *in,
                            const double *X,
                            const double *K,
                            const double *U,
                            const double *M,
                            const mixing *m,
                            double *a,
                            double *b,
                            double *c,
                            double *work)
{
    int n = m->tokens->n;
    double *own = kernel_diagonal(in, n);
    const double *Kq = K + (size_t)n * (size_t)n;
    spread_both(a, X, m, b, c, work); /* b = P'X */
    for (int i = 0; i < n * n; i++) in[i] += m->gain * a[i] * K[i];
    for (int i = 0; i < n; i++) own[i] += m->gain * a[i * n + i] * Kq[i];
    for (int i = 0; i < n; i++) /* c[j, a] = (P'X)_aj U_ja */
        for (int j = 0; j < n; j++) c[j * n + i] = b[i * n + j] * U[j * n + i];
    sight_spread(a, c, m->sight, m->tokens, work); /* a[b, a] = R_ab */
    times(b, X, M, (size_t)n * (size_t)n);
    spread_both(c, b, m, a + kernel_doubles(n), b, work);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            in[i * n + j] += m->gain * (c[i * n + j] - a[i * n + j] - a[j * n + i]);
        own[i] += m->gain * (c[i * n + i] - 2 * a[i * n + i]);
    }
}

/* Queries, and X = s2 G o L with its ratio to the first order, as blocks. */
static void add_queries(double *in,
                        double *X,
                        double *path,
                        const double *grad,
                        const mixing_own *own,
                        const mixing *m,
                        const parts *p)
{
    int n = m->tokens->n;
    double ratio, *xq = kernel_diagonal(X, n), *inq = kernel_diagonal(in, n);
    const double *Lq = kernel_diagonal(p->L, n), *gq = grad + (size_t)n * (size_t)n;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j <= i; j++) {
            excess_of(p, m, p->L[i * n + j], i, j, own->room, &ratio);
            double unit = m->logit_normed ? 1 / sqrt(own->q[i] * own->q[j]) : 1;
            double of = m->gain * ratio * grad[i * n + j] * p->B[i * n + j] * unit;
            X[i * n + j] = X[j * n + i] = m->logit_var * ratio * grad[i * n + j] * p->L[i * n + j];
            in[i * n + j] += m->logit_var * of;
            if (j < i) in[j * n + i] += m->logit_var * of;
            if (path) path[i * n + j] = path[j * n + i] = m->query_var * of;
        }
        excess_of(p, m, Lq[i], i, i, own->room, &ratio);
        double of =
            m->gain * ratio * gq[i] * p->B[i * n + i] * (m->logit_normed ? 1 / own->q[i] : 1);
        xq[i] = m->logit_var * ratio * gq[i] * Lq[i];
        inq[i] += m->logit_var * of;
        if (path) path[n * n + i] = m->query_var * of;
    }
}

static void softmax_backward(double *in,
                             const double *grad,
                             const double *k,
                             mixing_own *own,
                             bool other,
                             const mixing *m,
                             const mixing_paths *paths,
                             double *work)
{
    int n = m->tokens->n;
    size_t each = kernel_doubles(n);
    parts p = carve(work, n);
    double *X = work + 11 * each, *a = work + 12 * each, *keys = work + 14 * each,
           *values = work + 15 * each;
    look(&p, k, own, other, m);
    kernel_blocks(p.spare[0], grad, m->tokens);
    spread_both(in, p.spare[0], m, p.spare[1], p.spare[2], p.spare[3]);
    for (int i = 0; i < n * n; i++) in[i] *= m->gain;
    for (int i = 0; i < n; i++) in[n * n + i] = in[i * n + i];
    if (paths) memcpy(paths->values, in, each * sizeof *in);
    add_queries(in, X, paths ? paths->queries : NULL, grad, own, m, &p);
    kernel_blocks(p.ratio, X, m->tokens);
    memset(values, 0, each * sizeof *values);
    add_fluctuation(values, p.ratio, p.L, p.V, p.N, m, a, p.spare[0], p.spare[1], p.spare[3]);
    if (logits_of_inputs(m)) {
        memcpy(keys, values, each * sizeof *keys);
    } else {
        memset(keys, 0, each * sizeof *keys);
        add_fluctuation(keys, p.ratio, k, p.U, p.M, m, a, p.spare[0], p.spare[1], p.spare[3]);
    }
    for (int i = 0; m->logit_normed && i < n; i++) {
        for (int j = 0; j < n; j++) keys[i * n + j] /= sqrt(own->q[i] * own->q[j]);
        keys[n * n + i] /= own->q[i];
    }
    for (size_t i = 0; i < each; i++) in[i] += values[i] + keys[i];
    for (size_t i = 0; paths && i < each; i++) paths->values[i] += values[i];
    if (paths) memcpy(paths->keys, keys, each * sizeof *keys);
    for (int i = 0; i < n; i++)
        if (m->tokens->size[i] == 1) in[i * n + i] = in[n * n + i];
}

void mixing_backward(double *in,
                     const double *grad,
                     const double *k,
                     mixing_own *own,
                     bool other,
                     const mixing *m,
                     const mixing_paths *paths,
                     double *work)
{
    int n = m->tokens->n;
    if (m->kind == MIXING_SOFTMAX)
        softmax_backward(in, grad, k, own, other, m, paths, work);
    else if (m->kind == MIXING_GIVEN)
        given_both(in, grad, m, true, work);
    else
        for (size_t i = 0; i < kernel_doubles(n); i++) in[i] = m->gain * grad[i];
    if (!paths || m->kind == MIXING_SOFTMAX) return;
    memcpy(paths->values, in, kernel_doubles(n) * sizeof *in);
    for (size_t i = 0; i < kernel_doubles(n); i++) paths->keys[i] = paths->queries[i] = (double)NAN;
}
