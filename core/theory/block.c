#include "core/theory/block.h"

#include "core/op/op.h"
#include "core/theory/spread.h"

#include <math.h>
#include <string.h>

/* Kernels of a trace, and those that sublayer_backward works with; with all their halves. */
enum { TRACE_KERNELS = 5, BACK_KERNELS = 6 };

size_t sublayer_work_doubles(int n, int halves)
{
    return (MIXING_WORK + (size_t)halves * BACK_KERNELS) * kernel_doubles(n);
}

size_t trace_doubles(int n, int halves)
{
    return (size_t)halves * TRACE_KERNELS * kernel_doubles(n);
}

void trace_place(trace *tr, double *memory, const tokens *t)
{
    size_t each = tokens_doubles(t);
    *tr = (trace){.in = memory,
                  .values = memory + each,
                  .raw = memory + 2 * each,
                  .branch = memory + 3 * each,
                  .sum = memory + 4 * each};
}

/* --- norms --- */

static void scale_rows(double *k, const double *r, const tokens *t)
{
    int n = t->n;
    for (int half = 0; half < t->halves; half++, k += kernel_doubles(n)) {
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) k[i * n + j] *= r[i] * r[j];
        for (int i = 0; i < n; i++) k[n * n + i] *= r[i] * r[i];
    }
}

static void scale_all(double *k, double by, const tokens *t)
{
    for (size_t i = 0; by != 1 && i < tokens_doubles(t); i++) k[i] *= by;
}

/* What f, or its slope, makes of a kernel k; q: its variances (k's first half), times scale. */
static void point_kernel(const pair *f,
                         const double *k,
                         double scale,
                         bool slope,
                         const tokens *t,
                         double *out,
                         hermite_series *series)
{
    int n = t->n;
    size_t each = kernel_doubles(n);
    const double *q = k + n * n;
    for (int half = 0; half < t->halves; half++)
        pair_matrix(f, k + (size_t)half * each, q, n, scale, half > 0,
                    slope ? NULL : out + (size_t)half * each,
                    slope ? out + (size_t)half * each : NULL, series);
    for (int i = 0; i < n; i++) {
        double x = scale * q[i];
        bool again = i && q[i] == q[i - 1];
        out[n * n + i] = again   ? out[n * n + i - 1]
                         : slope ? pair_square_slope(f, x)
                                 : pair_square(f, x);
        if (t->size[i] == 1) out[i * n + i] = out[n * n + i];
    }
}

static void
row_factors(const norm_step *s, const double *k, const double *mu, const tokens *t, double *r)
{
    int n = t->n;
    for (int i = 0; i < n; i++) {
        double q = k[n * n + i] - (s->centres && mu ? mu[i] * mu[i] : 0);
        r[i] = sqrt(s->target / (fmax(q, 0) + s->eps));
    }
    double sum = 0;
    for (int i = 0; i < n && s->frozen; i++) sum += t->size[i] * r[i] / t->length;
    for (int i = 0; i < n && s->frozen; i++) r[i] = sum;
}

static void centre(double *k, const double *mu, const tokens *t)
{
    int n = t->n;
    for (int half = 0; half < t->halves; half++, k += kernel_doubles(n))
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) k[i * n + j] -= mu[i] * mu[j];
            k[n * n + i] -= mu[i] * mu[i];
        }
}

/* What a norm of rows with these factors makes of their means. */
static void scale_means(const norm_step *s, double *mu, const double *r, const tokens *t)
{
    for (int i = 0; i < t->n; i++) mu[i] = s->centres ? 0 : mu[i] * r[i];
}

void norm_forward(const norm_step *s,
                  double *k,
                  double *mu,
                  const tokens *t,
                  double *spare,
                  hermite_series *series)
{
    double r[TOKENS_MAX];
    int n = t->n;
    if (s->kind == STEP_NONE) return;
    if (s->kind == STEP_POINT) {
        point_kernel(s->curve, k, s->alpha_sq, false, t, spare, series);
        memcpy(k, spare, tokens_doubles(t) * sizeof *k);
        scale_all(k, s->target, t);
        for (int i = 0; mu && i < n; i++) mu[i] = 0;
        return;
    }
    row_factors(s, k, mu, t, r);
    if (mu && s->centres) centre(k, mu, t);
    scale_rows(k, r, t);
    if (mu) scale_means(s, mu, r, t);
}

static void norm_means(const norm_step *s, const double *k, double *mu, const tokens *t)
{
    double r[TOKENS_MAX];
    if (s->kind == STEP_NONE) return;
    row_factors(s, k, mu, t, r);
    scale_means(s, mu, r, t);
}

void norm_backward(const norm_step *s,
                   double *grad,
                   const double *k,
                   const double *mu,
                   const tokens *t,
                   double fresh,
                   double *spare,
                   hermite_series *series)
{
    double r[TOKENS_MAX];
    if (s->kind == STEP_NONE) return;
    if (s->kind == STEP_POINT) {
        point_kernel(s->curve, k, s->alpha_sq, true, t, spare, series);
        for (size_t i = 0; i < tokens_doubles(t); i++)
            grad[i] *= s->target * s->alpha_sq * spare[i];
        return;
    }
    row_factors(s, k, mu, t, r);
    for (int i = 0; i < t->n; i++) r[i] *= sqrt(1 - (1 - s->kept) * fresh);
    scale_rows(grad, r, t);
}

/* --- forward --- */

static void branch_attention(const sublayer *s, trace *tr, double *work)
{
    const tokens *t = s->mix.tokens;
    size_t each = kernel_doubles(t->n);
    mixing_own own;
    mixing_forward(tr->values, tr->in, &own, false, &s->mix, tr->entropy, &tr->excess, work);
    if (t->halves < 2) return;
    mixing_forward(tr->values + each, tr->in + each, &own, true, &s->mix, NULL, NULL, work);
    kernel_bound(tr->values + each, tr->values + t->n * t->n, t->n);
}

/* What the activation reads, scale times a kernel: in itself, or made at h with the norm before it. */
static const double *
hidden_of(const sublayer *s, const tokens *t, const double *in, double *h, double *scale)
{
    double r[TOKENS_MAX];
    *scale = s->gain_in;
    if (s->pre.kind == STEP_NONE) return in;
    memcpy(h, in, tokens_doubles(t) * sizeof *h);
    scale_all(h, s->gain_in, t);
    row_factors(&s->pre, h, NULL, t, r); /* never point-wise: setting_reason() */
    scale_rows(h, r, t);
    *scale = 1;
    return h;
}

/* Means over features behind the activation, of those who ask for them; q: variances before it. */
static void
unit_means(const sublayer *s, const tokens *t, const double *q, double scale, double *means)
{
    const double kept = s->dropout > 0 ? op_alpha_dropout_factor(s->dropout) * (1 - s->dropout) : 1;
    if (!s->is_mlp || s->gated || !(s->inner.centres || s->one_matrix)) return;
    for (int i = 0; i < t->n; i++)
        means[i] = i && q[i] == q[i - 1] ? means[i - 1] : kept * pair_mean(s->act, scale * q[i]);
}

/* a^2 r^2 K_ij of two tokens, r = 1 - rate, whose entries fall out apart; of one token a^2 (r K_ii +
 * rate s^2 (1 - rate)) - 2 a rate s m_i, m its mean behind the dropout. */
static void drop_units(const sublayer *s, const tokens *t, double *k, const double *means)
{
    if (s->dropout == 0) return;
    int n = t->n;
    const double a = op_alpha_dropout_factor(s->dropout), r = 1 - s->dropout,
                 low = op_alpha_dropout_limit();
    double own[TOKENS_MAX];
    for (int i = 0; i < n; i++)
        own[i] = a * a * (r * k[n * n + i] + s->dropout * r * low * low) -
                 2 * a * s->dropout * low * means[i];
    scale_all(k, a * a * r * r, t);
    for (int i = 0; i < n; i++) {
        k[n * n + i] = own[i];
        if (t->size[i] == 1) k[i * n + i] = own[i];
    }
}

static void drop_gradient(const sublayer *s, const tokens *t, double *grad)
{
    if (s->dropout == 0) return;
    int n = t->n;
    const double a = op_alpha_dropout_factor(s->dropout), r = 1 - s->dropout;
    scale_all(grad, a * a * r * r, t);
    for (int i = 0; i < n; i++) {
        grad[n * n + i] /= r;
        if (t->size[i] == 1) grad[i * n + i] /= r;
    }
}

static void
branch_mlp(const sublayer *s, const tokens *t, trace *tr, double *means, hermite_series *series)
{
    double scale;
    const double *h = hidden_of(s, t, tr->in, tr->raw, &scale);
    point_kernel(s->act, h, scale, false, t, tr->values, series);
    unit_means(s, t, h + t->n * t->n, scale, means);
    for (size_t i = 0; s->gated && i < tokens_doubles(t); i++)
        tr->values[i] *= s->gain_up * tr->in[i];
    drop_units(s, t, tr->values, means);
    tr->excess = 0;
}

/* The kernel that the branch reads, and the stream after N_stream, in x. */
static void enter(const sublayer *s,
                  const tokens *t,
                  stream *x,
                  const stream *base,
                  trace *tr,
                  double *spare,
                  hermite_series *series)
{
    double mu[TOKENS_MAX];
    const stream *from = s->parallel && s->is_mlp ? base : x;
    memcpy(tr->in, from->k, tokens_doubles(t) * sizeof *tr->in);
    memcpy(mu, from->mu, sizeof mu);
    norm_forward(&s->in, tr->in, mu, t, spare, series);
    scale_all(tr->in, s->in_scale * s->in_scale, t);
}

/* out_ij += k_ij (1 + r_i + r_j). */
static void add_around(double *out, const double *k, const double *r, const tokens *t)
{
    int n = t->n;
    for (int half = 0; half < t->halves; half++, k += kernel_doubles(n), out += kernel_doubles(n))
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) out[i * n + j] += k[i * n + j] * (1 + r[i] + r[j]);
            out[n * n + i] += k[n * n + i] * (1 + 2 * r[i]);
        }
}

/* What stream and branch have in common where both have a mean over features. */
static void add_means(double *sum, double alpha, const double *mu, const double *m, const tokens *t)
{
    int n = t->n;
    for (int half = 0; half < t->halves; half++, sum += kernel_doubles(n))
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) sum[i * n + j] += alpha * (mu[i] * m[j] + m[i] * mu[j]);
            sum[n * n + i] += 2 * alpha * mu[i] * m[i];
        }
}

/* sum = alpha^2 x + branch; with `around` the stream is x = r (base + a) and base is added once
 * more: what both have in common adds in amplitude. */
static void add(const sublayer *s,
                const tokens *t,
                stream *x,
                const stream *base,
                trace *tr,
                const double *means)
{
    int n = t->n;
    size_t each = tokens_doubles(t);
    double a2 = s->no_skip ? 0 : s->alpha * s->alpha;
    for (size_t i = 0; i < each; i++) tr->sum[i] = a2 * x->k[i] + tr->branch[i];
    if (s->toward)
        tr->branch_error += 4 * kernel_overlap(x->k, tr->branch, t) / (double)s->width /
                            fmax(kernel_means(tr->branch, t).q * kernel_means(x->k, t).q, 1e-300);
    double back = s->toward ? (1 - s->alpha) * (1 - s->alpha) : 0;
    for (size_t i = 0; i < each && s->toward; i++) tr->branch[i] += back * x->k[i];
    if (s->one_matrix && a2 > 0) add_means(tr->sum, s->alpha, x->mu, means, t);
    for (int i = 0; i < n; i++) x->mu[i] *= s->no_skip ? 0 : s->alpha;
    for (int i = 0; s->one_matrix && i < n; i++) {
        tr->branch_mu[i] = means[i];
        tr->sum_mu[i] = x->mu[i] += means[i];
    }
    if (!s->around) return;
    add_around(tr->sum, base->k, base->ratio, t);
}

void sublayer_forward(const sublayer *s,
                      const tokens *t,
                      stream *x,
                      const stream *base,
                      trace *tr,
                      double *work,
                      hermite_series *series)
{
    size_t each = tokens_doubles(t);
    double means[TOKENS_MAX] = {0};
    if (s->stream.kind != STEP_NONE) {
        kernel_mean before = kernel_means(x->k, t);
        norm_forward(&s->stream, x->k, x->mu, t, work, series);
        spread_normalise(&x->error, &s->stream, before, kernel_means(x->k, t));
    }
    enter(s, t, x, base, tr, work, series);
    if (s->is_mlp)
        branch_mlp(s, t, tr, means, series);
    else
        branch_attention(s, tr, work);
    memcpy(tr->raw, tr->values, each * sizeof *tr->raw);
    norm_forward(&s->inner, tr->raw, means, t, work, series);
    scale_all(tr->raw, s->gain_out, t);
    memcpy(tr->branch, tr->raw, each * sizeof *tr->raw);
    norm_forward(&s->out, tr->branch, s->one_matrix ? means : NULL, t, work, series);
    scale_all(tr->branch, s->beta * s->beta, t);
    for (int i = 0; i < t->n; i++) means[i] *= s->beta;
    (s->mapped ? spread_layer : spread_sum)(s, t, x, tr);
    add(s, t, x, base, tr, means);
    double whole = kernel_means(tr->sum, t).q, old = s->no_skip ? 0 : kernel_means(x->k, t).q;
    x->share *= whole > 0 ? s->alpha * s->alpha * old / whole : 0;
    memcpy(x->k, tr->sum, each * sizeof *x->k);
    if (s->post.kind == STEP_NONE) return;
    kernel_mean before = kernel_means(x->k, t);
    norm_forward(&s->post, x->k, x->mu, t, work, series);
    spread_normalise(&x->error, &s->post, before, kernel_means(x->k, t));
}

void sublayer_ratio(const sublayer *s, const tokens *t, const trace *tr, stream *base)
{
    for (int i = 0; i < t->n; i++) base->ratio[i] = 1;
    if (s->post.kind == STEP_ROW) row_factors(&s->post, tr->sum, NULL, t, base->ratio);
}

/* --- backward --- */

/* |dW|^2 of y = W x, where g is the gradient's kernel times factor. */
static void matrix_grad(matrix_grads *out,
                        int which,
                        const double *g,
                        double factor,
                        const double *x,
                        double width,
                        const tokens *t)
{
    out->weight[which] = factor * width * kernel_dot_batch(g, x, t);
}

/* Gradient of the activation's input from that of its output: G o slopes; gated, of both halves. */
static void mlp_backward(const sublayer *s,
                         const tokens *t,
                         const trace *tr,
                         double *grad,
                         matrix_grads *m,
                         double *spare,
                         hermite_series *series)
{
    size_t each = tokens_doubles(t);
    double *slopes = spare, *values = spare + each, *raw = spare + 2 * each, scale;
    const double *in = tr->in, *h = hidden_of(s, t, in, spare + 3 * each, &scale);
    drop_gradient(s, t, grad);
    point_kernel(s->act, h, scale, true, t, slopes, series);
    if (s->gated) point_kernel(s->act, in, s->gain_in, false, t, values, series);
    for (size_t i = 0; i < each; i++) {
        slopes[i] *= s->gated ? grad[i] * s->gain_up * in[i] : grad[i];
        values[i] = s->gated ? grad[i] * values[i] : 0;
    }
    if (s->pre.kind != STEP_NONE) {
        memcpy(raw, in, each * sizeof *raw);
        scale_all(raw, s->gain_in, t);
        norm_backward(&s->pre, slopes, raw, NULL, t, 1, spare + 3 * each, series);
    }
    for (size_t i = 0; i < each; i++) grad[i] = s->gain_in * slopes[i] + s->gain_up * values[i];
    if (!m) return;
    matrix_grad(m, 0, slopes, s->boost, in, s->width, t);
    matrix_grad(m, 1, values, s->boost, in, s->width, t);
}

static void attention_backward(const sublayer *s,
                               const tokens *t,
                               const trace *tr,
                               double *grad,
                               matrix_grads *m,
                               double *spare,
                               double *work)
{
    size_t each = kernel_doubles(t->n), all = tokens_doubles(t);
    double *in = spare, *path[] = {spare + all, spare + 2 * all, spare + 3 * all};
    mixing_own own;
    for (int half = 0; half < t->halves; half++) {
        size_t at = (size_t)half * each;
        mixing_paths p = {.queries = path[0] + at, .keys = path[1] + at, .values = path[2] + at};
        mixing_backward(in + at, grad + at, tr->in + at, &own, half, &s->mix, m ? &p : NULL, work);
    }
    memcpy(grad, in, all * sizeof *grad);
    if (!m) return;
    const double by[] = {1, s->matrix[1], s->matrix[2]}; /* queries: already */
    for (int i = 0; i < 3; i++) matrix_grad(m, i, path[i], 1 / by[i], tr->in, s->width, t);
}

void sublayer_backward(const sublayer *s,
                       const tokens *t,
                       const stream *x,
                       const stream *base,
                       const trace *tr,
                       double *grad,
                       double *to_base,
                       double *sum_grad,
                       matrix_grads *matrices,
                       double *work,
                       hermite_series *series)
{
    size_t each = tokens_doubles(t);
    double *b = work + MIXING_WORK * kernel_doubles(t->n), *xs = b + each, *spare = b + 2 * each;
    double mu[TOKENS_MAX], means[TOKENS_MAX] = {0};
    double share = kernel_means(tr->sum, t).q, fresh = 1;
    if (share > 0) fresh = fmin(kernel_means(tr->branch, t).q / share, 1);
    norm_backward(&s->post, grad, tr->sum, tr->sum_mu, t, s->no_skip ? 1 : fresh, work, series);
    if (sum_grad) memcpy(sum_grad, grad, each * sizeof *grad);
    if (s->around) add_around(to_base, grad, base->ratio, t);
    memcpy(b, grad, each * sizeof *b);
    scale_all(b, s->beta * s->beta, t);
    double scale, inner[TOKENS_MAX];
    const double *h = hidden_of(s, t, tr->in, spare, &scale);
    unit_means(s, t, h + t->n * t->n, scale, means);
    memcpy(inner, means, sizeof inner);
    if (s->one_matrix) norm_means(&s->inner, tr->values, inner, t);
    norm_backward(&s->out, b, tr->raw, s->one_matrix ? inner : NULL, t, 1, work, series);
    if (matrices && !s->one_matrix) {
        memcpy(inner, means, sizeof inner);
        memcpy(spare, tr->values, each * sizeof *spare);
        norm_forward(&s->inner, spare, inner, t, work, series);
        matrix_grad(matrices, 3, b, 1, spare, s->hidden, t);
    }
    scale_all(b, s->gain_out, t);
    norm_backward(&s->inner, b, tr->values, means, t, 1, work, series);
    if (s->is_mlp)
        mlp_backward(s, t, tr, b, matrices, spare, series);
    else
        attention_backward(s, t, tr, b, matrices, spare, work);
    scale_all(b, s->in_scale * s->in_scale, t);
    memcpy(xs, x->k, each * sizeof *xs);
    memcpy(mu, x->mu, sizeof mu);
    norm_forward(&s->stream, xs, mu, t, work, series);
    bool beside = s->parallel && s->is_mlp;
    norm_backward(&s->in, b, beside ? base->k : xs, beside ? base->mu : mu, t, 1, work, series);
    scale_all(grad, s->no_skip ? 0 : s->alpha * s->alpha, t);
    double *into = beside ? to_base : grad;
    for (size_t i = 0; i < each; i++) into[i] += b[i];
    norm_backward(&s->stream, grad, x->k, x->mu, t, fresh, work, series);
}
