#include "core/theory/block.h"

#include <math.h>
#include <string.h>

size_t sublayer_work_doubles(int n)
{
    return SUBLAYER_WORK * kernel_doubles(n);
}

/* --- norms --- */

static void scale_rows(double *k, const double *r, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) k[i * n + j] *= r[i] * r[j];
    for (int i = 0; i < n; i++) k[n * n + i] *= r[i] * r[i];
}

static void scale_all(double *k, double by, int n)
{
    for (size_t i = 0; by != 1 && i < kernel_doubles(n); i++) k[i] *= by;
}

static void row_factors(const norm_step *s, const double *k, const double *mu, int n, double *r)
{
    for (int i = 0; i < n; i++) {
        double q = k[n * n + i] - (s->centres && mu ? mu[i] * mu[i] : 0);
        r[i] = sqrt(s->target / (fmax(q, 0) + s->eps));
    }
    double sum = 0;
    for (int i = 0; i < n && s->frozen; i++) sum += r[i] / n;
    for (int i = 0; i < n && s->frozen; i++) r[i] = sum;
}

void norm_forward(
    const norm_step *s, double *k, double *mu, int n, double *spare, hermite_series *series)
{
    double r[TOKENS_MAX];
    if (s->kind == STEP_NONE) return;
    if (s->kind == STEP_POINT) {
        pair_matrix(s->curve, k, k + n * n, n, s->alpha_sq, spare, NULL, series);
        for (int i = 0; i < n; i++)
            spare[n * n + i] = pair_square(s->curve, s->alpha_sq * k[n * n + i]);
        memcpy(k, spare, kernel_doubles(n) * sizeof *k);
        scale_all(k, s->target, n);
        for (int i = 0; mu && i < n; i++) mu[i] = 0;
        return;
    }
    row_factors(s, k, mu, n, r);
    for (int i = 0; i < n && mu && s->centres; i++) {
        for (int j = 0; j < n; j++) k[i * n + j] -= mu[i] * mu[j];
        k[n * n + i] -= mu[i] * mu[i];
    }
    scale_rows(k, r, n);
    for (int i = 0; mu && i < n; i++) mu[i] = s->centres ? 0 : mu[i] * r[i];
}

void norm_backward(const norm_step *s,
                   double *grad,
                   const double *k,
                   const double *mu,
                   int n,
                   double fresh,
                   double *spare,
                   hermite_series *series)
{
    double r[TOKENS_MAX];
    if (s->kind == STEP_NONE) return;
    if (s->kind == STEP_POINT) {
        const double *q = k + n * n;
        pair_matrix(s->curve, k, q, n, s->alpha_sq, NULL, spare, series);
        for (int i = 0; i < n * n; i++) grad[i] *= s->target * s->alpha_sq * spare[i];
        for (int i = 0; i < n; i++)
            grad[n * n + i] *=
                s->target * s->alpha_sq * pair_square_slope(s->curve, s->alpha_sq * q[i]);
        return;
    }
    row_factors(s, k, mu, n, r);
    for (int i = 0; i < n; i++) r[i] *= sqrt(1 - (1 - s->kept) * fresh);
    scale_rows(grad, r, n);
}

/* --- errors --- */

static const double TINY = 1e-300;

static double part_u(kernel_mean m)
{
    return fmax(m.q - m.p, 1e-14 * m.q + TINY);
}

static double part_p(kernel_mean m)
{
    return fmax(m.p, 1e-14 * m.q + TINY);
}

typedef struct map {
    double pp, pu, up, uu; /* [p; u] <- [pp pu; up uu] [p; u] */
} map;

static map product(map a, map b)
{
    return (map){a.pp * b.pp + a.pu * b.up, a.pp * b.pu + a.pu * b.uu, a.up * b.pp + a.uu * b.up,
                 a.up * b.pu + a.uu * b.uu};
}

static spread push(map a, spread v)
{
    double pp = a.pp * v.pp + a.pu * v.pu, pu = a.pp * v.pu + a.pu * v.uu;
    double up = a.up * v.pp + a.uu * v.pu, uu = a.up * v.pu + a.uu * v.uu;
    return (spread){pp * a.pp + pu * a.pu, pp * a.up + pu * a.uu, up * a.up + uu * a.uu};
}

/* Relative errors of p and u after a norm, which keeps their sum as far as eps lets it. */
static map normed(kernel_mean m, double eps)
{
    double share = m.q > 0 ? m.q / (m.q + eps) : 0, rho = m.q > 0 ? share * m.p / m.q : 0;
    return (map){1 - rho, rho - share, -rho, 1 - share + rho};
}

static map relative(kernel_mean m)
{
    return (map){1 / part_p(m), 0, 0, 1 / part_u(m)};
}

static map absolute(kernel_mean m)
{
    return (map){part_p(m), 0, 0, part_u(m)};
}

void spread_normalise(spread *e, const norm_step *s, kernel_mean before, kernel_mean after)
{
    map R = relative(before);
    if (s->kind == STEP_ROW) R = product(normed(before, s->eps), R);
    if (s->kind != STEP_NONE) *e = push(product(absolute(after), R), *e);
    if (s->frozen) e->pp += 1e-4 * after.q * after.q;
}

double spread_log(const spread *e, kernel_mean m)
{
    double q = m.q > 0 ? m.q : TINY;
    return fmax(e->pp + e->uu + 2 * e->pu, 0) / q / q;
}

double spread_corr(const spread *e, kernel_mean m)
{
    spread r = push(relative(m), *e);
    double rho = m.q > 0 ? m.p / m.q : 0, share = rho * (1 - rho);
    return share * share * fmax(r.pp + r.uu - 2 * r.pu, 0);
}

/* Mean over all pairs of x_ij y_ij. */
static double overlap(const double *x, const double *y, const tokens *t)
{
    int n = t->n;
    double sum = 0;
    for (int g = 0; g < n; g++) {
        for (int h = 0; h < n; h++)
            sum += t->size[g] * (t->size[h] - (g == h)) * x[g * n + h] * y[g * n + h];
        sum += t->size[g] * x[n * n + g] * y[n * n + g];
    }
    return sum / ((double)t->length * t->length);
}

/* Of the sum of stream and branch; the branch's own relative variance is left in *own. */
static void sum_error(
    const sublayer *s, const tokens *t, stream *x, kernel_mean in, const trace *tr, double *own)
{
    kernel_mean b = kernel_means(tr->branch, t);
    double a2 = s->no_skip ? 0 : s->alpha * s->alpha, D = s->width;
    double c = s->is_mlp ? 2 / D + 6.0 / s->hidden : 3 / D;
    double bb = overlap(tr->branch, tr->branch, t), xb = overlap(x->k, tr->branch, t);
    map R = relative(in);
    double wide = fmax(bb - b.p * b.p, 0) / (part_u(b) * part_u(b));
    spread noise = {c, 0, c * fmin(wide, 1)};
    if (s->in.kind == STEP_ROW) R = product(normed(in, s->in.eps), R);
    if (s->out.kind == STEP_ROW) {
        kernel_mean raw = kernel_means(tr->raw, t);
        R = product(normed(raw, s->out.eps), R);
        noise = push(normed(raw, s->out.eps), noise);
    }
    const double off = 0.15; /* of what softmax adds to uniform attention, the order left out */
    noise.uu += off * off * tr->excess * tr->excess;
    map to = absolute(b), from_x = product(to, R);
    from_x.pp += a2, from_x.uu += a2;
    spread added = push(to, noise), branch = push(product(to, R), x->error);
    x->error = push(from_x, x->error);
    x->error.pp += added.pp + 4 * a2 * in.p * b.p / D;
    x->error.pu += added.pu;
    x->error.uu += added.uu + 4 * a2 * fmax(xb - in.p * b.p, 0) / D;
    double q = b.q > 0 ? b.q : TINY;
    *own =
        fmax(added.pp + added.uu + 2 * added.pu + branch.pp + branch.uu + 2 * branch.pu, 0) / q / q;
}

/* --- forward --- */

static void branch_attention(const sublayer *s, trace *tr, double *work)
{
    mixing_forward(tr->values, tr->in, &s->mix, tr->entropy, &tr->excess, work);
}

static void
branch_mlp(const sublayer *s, const tokens *t, trace *tr, double *means, hermite_series *series)
{
    int n = t->n;
    const double *q = tr->in + n * n;
    pair_matrix(s->act, tr->in, q, n, s->gain_in, tr->values, NULL, series);
    for (int i = 0; i < n; i++) {
        bool again = i && q[i] == q[i - 1];
        tr->values[n * n + i] =
            again ? tr->values[n * n + i - 1] : pair_square(s->act, s->gain_in * q[i]);
        if (t->size[i] == 1) tr->values[i * n + i] = tr->values[n * n + i];
        if (s->inner.centres)
            means[i] = s->gated ? 0 : again ? means[i - 1] : pair_mean(s->act, s->gain_in * q[i]);
    }
    for (size_t i = 0; s->gated && i < kernel_doubles(n); i++)
        tr->values[i] *= s->gain_up * tr->in[i];
    tr->excess = 0;
}

static void carve(trace *tr, double *work, int n)
{
    size_t each = kernel_doubles(n);
    double *at = work + MIXING_WORK * each;
    tr->in = at;
    tr->values = at + each;
    tr->raw = at + 2 * each;
    tr->branch = at + 3 * each;
    tr->sum = at + 4 * each;
}

/* The kernel that the branch reads, and the stream after N_stream, in x. */
static void enter(const sublayer *s,
                  int n,
                  stream *x,
                  const stream *base,
                  trace *tr,
                  double *spare,
                  hermite_series *series)
{
    double mu[TOKENS_MAX];
    const stream *from = s->parallel && s->is_mlp ? base : x;
    memcpy(tr->in, from->k, kernel_doubles(n) * sizeof *tr->in);
    memcpy(mu, from->mu, sizeof mu);
    norm_forward(&s->in, tr->in, mu, n, spare, series);
    scale_all(tr->in, s->in_scale * s->in_scale, n);
}

/* sum = alpha^2 x + branch; with `around` the stream is x = r (base + a) and base is added once
 * more: what both have in common adds in amplitude. */
static void add(const sublayer *s, const tokens *t, stream *x, const stream *base, trace *tr)
{
    int n = t->n;
    size_t each = kernel_doubles(n);
    double a2 = s->no_skip ? 0 : s->alpha * s->alpha;
    for (size_t i = 0; i < each; i++) tr->sum[i] = a2 * x->k[i] + tr->branch[i];
    if (s->toward)
        tr->branch_error += 4 * overlap(x->k, tr->branch, t) / (double)s->width /
                            fmax(kernel_means(tr->branch, t).q * kernel_means(x->k, t).q, TINY);
    double back = s->toward ? (1 - s->alpha) * (1 - s->alpha) : 0;
    for (size_t i = 0; i < each && s->toward; i++) tr->branch[i] += back * x->k[i];
    for (int i = 0; i < n; i++) x->mu[i] *= s->no_skip ? 0 : s->alpha;
    if (!s->around) return;
    for (int i = 0; i < n; i++) {
        double ri = base->ratio[i];
        for (int j = 0; j < n; j++)
            tr->sum[i * n + j] += base->k[i * n + j] * (1 + ri + base->ratio[j]);
        tr->sum[n * n + i] += base->k[n * n + i] * (1 + 2 * ri);
    }
}

void sublayer_forward(const sublayer *s,
                      const tokens *t,
                      stream *x,
                      const stream *base,
                      trace *tr,
                      double *work,
                      hermite_series *series)
{
    int n = t->n;
    size_t each = kernel_doubles(n);
    double means[TOKENS_MAX] = {0};
    carve(tr, work, n);
    if (s->stream.kind != STEP_NONE) {
        kernel_mean before = kernel_means(x->k, t);
        norm_forward(&s->stream, x->k, x->mu, n, work, series);
        spread_normalise(&x->error, &s->stream, before, kernel_means(x->k, t));
    }
    enter(s, n, x, base, tr, work, series);
    if (s->is_mlp)
        branch_mlp(s, t, tr, means, series);
    else
        branch_attention(s, tr, work);
    memcpy(tr->raw, tr->values, each * sizeof *tr->raw);
    norm_forward(&s->inner, tr->raw, means, n, work, series);
    scale_all(tr->raw, s->gain_out, n);
    memcpy(tr->branch, tr->raw, each * sizeof *tr->raw);
    norm_forward(&s->out, tr->branch, NULL, n, work, series);
    scale_all(tr->branch, s->beta * s->beta, n);
    sum_error(s, t, x, kernel_means(x->k, t), tr, &tr->branch_error);
    add(s, t, x, base, tr);
    double whole = kernel_means(tr->sum, t).q, old = s->no_skip ? 0 : kernel_means(x->k, t).q;
    x->share *= whole > 0 ? s->alpha * s->alpha * old / whole : 0;
    memcpy(x->k, tr->sum, each * sizeof *x->k);
    if (s->post.kind == STEP_NONE) return;
    kernel_mean before = kernel_means(x->k, t);
    norm_forward(&s->post, x->k, x->mu, n, work, series);
    spread_normalise(&x->error, &s->post, before, kernel_means(x->k, t));
}

void sublayer_ratio(const sublayer *s, const tokens *t, const trace *tr, stream *base)
{
    for (int i = 0; i < t->n; i++) base->ratio[i] = 1;
    if (s->post.kind == STEP_ROW) row_factors(&s->post, tr->sum, NULL, t->n, base->ratio);
}

/* --- backward --- */

/* Gradient of the activation's input from that of its output: G o slopes; gated, of both halves. */
static void mlp_backward(const sublayer *s,
                         const tokens *t,
                         const trace *tr,
                         double *grad,
                         double *work,
                         hermite_series *series)
{
    int n = t->n;
    size_t each = kernel_doubles(n);
    double *slopes = work, *values = work + each;
    const double *in = tr->in, *q = in + n * n;
    pair_matrix(s->act, in, q, n, s->gain_in, s->gated ? values : NULL, slopes, series);
    for (int i = 0; i < n; i++) {
        slopes[n * n + i] = pair_square_slope(s->act, s->gain_in * q[i]);
        values[n * n + i] = s->gated ? pair_square(s->act, s->gain_in * q[i]) : 0;
        if (t->size[i] > 1) continue;
        slopes[i * n + i] = slopes[n * n + i];
        values[i * n + i] = values[n * n + i];
    }
    for (size_t i = 0; i < each; i++) {
        double of_gate = s->gain_in * slopes[i];
        grad[i] *= s->gated ? of_gate * s->gain_up * in[i] + s->gain_up * values[i] : of_gate;
    }
}

void sublayer_backward(const sublayer *s,
                       const tokens *t,
                       const stream *x,
                       const stream *base,
                       const trace *tr,
                       double *grad,
                       double *to_base,
                       double *sum_grad,
                       double *work,
                       hermite_series *series)
{
    int n = t->n;
    size_t each = kernel_doubles(n);
    double *b = work + (MIXING_WORK + 5) * each, *in = b + each, *xs = b + 2 * each;
    double mu[TOKENS_MAX], means[TOKENS_MAX] = {0};
    double share = kernel_means(tr->sum, t).q, fresh = 1;
    if (share > 0) fresh = fmin(kernel_means(tr->branch, t).q / share, 1);
    norm_backward(&s->post, grad, tr->sum, NULL, n, s->no_skip ? 1 : fresh, work, series);
    if (sum_grad) memcpy(sum_grad, grad, each * sizeof *grad);
    for (int i = 0; s->around && i < n; i++) {
        for (int j = 0; j < n; j++)
            to_base[i * n + j] += grad[i * n + j] * (1 + base->ratio[i] + base->ratio[j]);
        to_base[n * n + i] += grad[n * n + i] * (1 + 2 * base->ratio[i]);
    }
    memcpy(b, grad, each * sizeof *b);
    scale_all(b, s->beta * s->beta, n);
    norm_backward(&s->out, b, tr->raw, NULL, n, 1, work, series);
    scale_all(b, s->gain_out, n);
    for (int i = 0; s->inner.centres && s->is_mlp && !s->gated && i < n; i++)
        means[i] = pair_mean(s->act, s->gain_in * tr->in[n * n + i]);
    norm_backward(&s->inner, b, tr->values, means, n, 1, work, series);
    if (s->is_mlp)
        mlp_backward(s, t, tr, b, work, series);
    else {
        mixing_backward(in, b, tr->in, &s->mix, work);
        memcpy(b, in, each * sizeof *b);
    }
    scale_all(b, s->in_scale * s->in_scale, n);
    memcpy(xs, x->k, each * sizeof *xs);
    memcpy(mu, x->mu, sizeof mu);
    norm_forward(&s->stream, xs, mu, n, work, series);
    bool beside = s->parallel && s->is_mlp;
    norm_backward(&s->in, b, beside ? base->k : xs, beside ? base->mu : mu, n, 1, work, series);
    scale_all(grad, s->no_skip ? 0 : s->alpha * s->alpha, n);
    double *into = beside ? to_base : grad;
    for (size_t i = 0; i < each; i++) into[i] += b[i];
    norm_backward(&s->stream, grad, x->k, x->mu, n, fresh, work, series);
}
