#include "core/theory/spread.h"

#include "core/op/op.h"

#include <math.h>

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

void spread_sum(const sublayer *s, const tokens *t, stream *x, trace *tr)
{
    kernel_mean b = kernel_means(tr->branch, t), in = kernel_means(x->k, t);
    double a2 = s->no_skip ? 0 : s->alpha * s->alpha, D = s->width;
    double c = s->is_mlp ? 2 / D + 6.0 / s->hidden : 3 / D;
    double bb = kernel_overlap(tr->branch, tr->branch, t), xb = kernel_overlap(x->k, tr->branch, t);
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
    tr->branch_error =
        fmax(added.pp + added.uu + 2 * added.pu + branch.pp + branch.uu + 2 * branch.pu, 0) / q / q;
}

/* --- by the map of the activation --- */

/* The cosine-free kernel behind the activation: E f(u) f(v), times the other half where it is gated. */
static double unit_kernel(const sublayer *s, double q, double p)
{
    double out = pair_value(s->act, q, q, p);
    return s->gated ? out * p * s->gain_up / s->gain_in : out;
}

/* What dropout makes of q and of p. */
static void drop_factors(const sublayer *s, double *one, double *two)
{
    const double a = s->dropout > 0 ? op_alpha_dropout_factor(s->dropout) : 1, r = 1 - s->dropout;
    *one = a * a * r, *two = a * a * r * r;
}

/* Derivatives of p and u behind the activation, dropout included, by those before it. */
static map activation_map(const sublayer *s, double q, double p)
{
    const double h = 1e-3, d = h * q, e = fmax(h * fabs(p), 1e-6 * q);
    double one, two, Fq = unit_kernel(s, q + d, q + d) - unit_kernel(s, q - d, q - d),
                     Gq = unit_kernel(s, q + d, p) - unit_kernel(s, q - d, p),
                     Gp = unit_kernel(s, q, p + e) - unit_kernel(s, q, p - e);
    drop_factors(s, &one, &two);
    Fq *= one / (2 * d), Gq *= two / (2 * d), Gp *= two / (2 * e);
    return (map){Gq + Gp, Gq, Fq - Gq - Gp, Fq - Gq};
}

/* Absolute errors of p and u in a norm. */
static map norm_map(const norm_step *s, kernel_mean before, kernel_mean after)
{
    if (s->kind != STEP_ROW) return (map){1, 0, 0, 1};
    return product(absolute(after), product(normed(before, s->eps), relative(before)));
}

static map scaled(map a, double by)
{
    return (map){by * a.pp, by * a.pu, by * a.up, by * a.uu};
}

static kernel_mean scaled_mean(kernel_mean m, double by)
{
    return (kernel_mean){m.q * by, m.p * by, m.pairs * by};
}

static double norm_factor(const norm_step *s, double q)
{
    return s->kind == STEP_ROW ? s->target / (q + s->eps) : 1;
}

/* Each unit is a number of its own: (E f^4/(E f^2)^2 - 1)/F, 5/F for ReLU, 23/F for SwiGLU, less for
 * bounded ones. */
static double unit_noise(const sublayer *s)
{
    return (s->gated ? 24.0 : 6.0) / s->hidden;
}

static double total(const spread *e)
{
    return fmax(e->pp + e->uu + 2 * e->pu, 0);
}

/* ln of the stream's mean square behind the sublayer, and of what its gradient is multiplied by, for
 * a stream of mean square q. */
static void through(const sublayer *s, double q, double *out, double *gain)
{
    const double a2 = s->no_skip ? 0 : s->alpha * s->alpha;
    double one, two, factor = norm_factor(&s->in, q), g = factor * s->gain_in, h = q * g;
    factor = norm_factor(&s->pre, h);
    g *= factor, h *= factor;
    drop_factors(s, &one, &two);
    double made = unit_kernel(s, h, h),
           mean = s->gated || !s->inner.centres ? 0 : pair_mean(s->act, h);
    g *= one * (s->gated ? 2 * made / h : pair_square_slope(s->act, h));
    made *= one;
    factor = norm_factor(&s->inner, made - mean * mean) * s->gain_out;
    g *= factor, made *= factor;
    factor = norm_factor(&s->out, made) * s->beta * s->beta;
    g *= factor, made *= factor;
    *out = a2 * q + made, *gain = a2 + g;
    factor = norm_factor(&s->post, *out);
    *out = log(*out * factor), *gain = log(*gain * factor);
}

/* Deviations are followed by first derivatives: in vain where the map bends over what one run may be
 * off, or makes much more of it. */
static bool is_unstable(const sublayer *s, double q, double off)
{
    const double small = 0.2, bend = 0.15, steep = 1.25, h = 1e-2;
    double out[2], gain, slope[3];
    if (off < small && !s->gated) return false;
    for (int i = 0; i < 3; i++) {
        double at = q * exp(2 * off * (i - 1));
        through(s, at * exp(h), &out[1], &gain);
        through(s, at * exp(-h), &out[0], &gain);
        slope[i] = (out[1] - out[0]) / (2 * h);
    }
    return !(fabs(slope[2] - slope[0]) < bend && slope[1] < steep);
}

/* The correlation c of a pair becomes C(c), and each layer moves it by chance, (1 - c^2)^2/D: over a
 * map that bends this moves its mean. */
static void follow_pair(const sublayer *s, const tokens *t, stream *x, const trace *tr)
{
    if (t->length < 2 || !s->no_skip) return;
    kernel_mean in = kernel_means(tr->in, t), values = kernel_means(tr->values, t);
    double h = in.q * s->gain_in, c = in.pairs / in.q, C[3];
    const double d = fmin(fmax(0.02, sqrt(x->pair_var)), 0.5);
    h *= norm_factor(&s->pre, h);
    if (!(values.q > 0)) return;
    c = fmin(fmax(c, d - 1), 1 - d);
    for (int i = 0; i < 3; i++)
        C[i] = unit_kernel(s, h, h * (c + d * (i - 1))) / unit_kernel(s, h, h);
    double slope = (C[2] - C[0]) / (2 * d), bend = (C[2] - 2 * C[1] + C[0]) / (d * d);
    x->drift = slope * x->drift + fabs(bend) / 2 * x->pair_var;
    c = fmin(fmax(values.pairs / values.q, -1), 1);
    x->pair_var = slope * slope * x->pair_var + (1 - c * c) * (1 - c * c) / s->hidden;
}

/* The derivative of the branch's p and u by those of the stream. */
static map branch_map(const sublayer *s, const tokens *t, kernel_mean at, const trace *tr)
{
    kernel_mean in = kernel_means(tr->in, t), before = scaled_mean(in, s->gain_in),
                h = scaled_mean(before, norm_factor(&s->pre, before.q)),
                values = kernel_means(tr->values, t), raw = kernel_means(tr->raw, t),
                inner = scaled_mean(raw, s->gain_out > 0 ? 1 / s->gain_out : 0);
    map A = scaled(norm_map(&s->in, at, in), s->gain_in);
    A = product(norm_map(&s->pre, before, h), A);
    A = product(activation_map(s, h.q, fmin(h.p, h.q)), A);
    A = scaled(product(norm_map(&s->inner, values, inner), A), s->gain_out);
    if (s->out.kind != STEP_ROW) return scaled(A, s->beta * s->beta);
    return product(norm_map(&s->out, raw, kernel_means(tr->branch, t)), A);
}

void spread_layer(const sublayer *s, const tokens *t, stream *x, trace *tr)
{
    const double a2 = s->no_skip ? 0 : s->alpha * s->alpha, noise = unit_noise(s),
                 last = s->one_matrix ? 0 : 2.0 / s->width;
    kernel_mean at = kernel_means(x->k, t), b = kernel_means(tr->branch, t);
    map A = branch_map(s, t, at, tr);
    double bb = kernel_overlap(tr->branch, tr->branch, t),
           wide = fmin(fmax(bb - b.p * b.p, 0) / (part_u(b) * part_u(b)), 1),
           q = b.q > 0 ? b.q : TINY;
    spread own = {noise, 0, noise * wide};
    if (s->inner.kind == STEP_ROW) own = push(normed(b, 0), own);
    own.pp += last, own.uu += last * wide;
    if (s->out.kind == STEP_ROW) own = push(normed(b, 0), own);
    own = push(absolute(b), own);
    follow_pair(s, t, x, tr);
    spread of_x = push(A, x->error);
    tr->branch_error = (total(&own) + total(&of_x)) / q / q;
    tr->own_error = total(&own) / q / q;
    tr->in_error = spread_log(&x->error, at);
    x->unstable |= is_unstable(s, at.q, sqrt(tr->in_error));
    A.pp += a2, A.uu += a2;
    x->error = push(A, x->error);
    x->error.pp += own.pp + 4 * a2 * at.p * b.p / s->width;
    x->error.pu += own.pu;
    x->error.uu +=
        own.uu + 4 * a2 * fmax(kernel_overlap(x->k, tr->branch, t) - at.p * b.p, 0) / s->width;
}

void swing_back(swing *w, const sublayer *s, double q, const trace *tr)
{
    const double h = 1e-2;
    double out[2], gain[2];
    if (!s->mapped || !(q > 0)) return;
    through(s, q * exp(h), &out[1], &gain[1]);
    through(s, q * exp(-h), &out[0], &gain[0]);
    w->rest += w->along * w->along * tr->own_error;
    w->along = (gain[1] - gain[0]) / (2 * h) + w->along * (out[1] - out[0]) / (2 * h);
    w->variance = w->along * w->along * tr->in_error + w->rest;
}
