#include "core/theory/theory.h"

#include "core/loss/loss.h"
#include "core/metric/fit.h"
#include "core/placement/placement.h"
#include "core/theory/readout.h"

#include <math.h>
#include <string.h>

enum { BATCH = 128 };

/* A sublayer that the backward walk comes back to: the kernel it reads, and what it makes of it. */
typedef struct kept {
    double *k;
    trace made;
} kept;

typedef struct walk {
    const run_spec *spec;
    const sink *to;
    setting s;
    int every;      /* blocks of a segment */
    kept *kept;     /* [every, 2] attention and MLP of its blocks */
    double *starts; /* kernels at the start of each segment, and their mu */
    double (*start_mu)[TOKENS_MAX];
    stream x;
    double *grad, *to_base, *sum_grad, *work, *kernels, *base;
    hermite_series *series;
    double *ratio;                   /* [2 L + 1] profiled factors of the stream */
    double *var, *grad_norm, *apart; /* [L + 1] for the fits */
    double apart_error;              /* of ln of the last apart, one standard deviation */
    law stream_law;
    bool parameters;      /* their gradients too */
    double last_grad;     /* |G_L|^2 of one token */
    double *past;         /* kernel of the gradient past the last norm, but for its factor */
    double joint, shared; /* readout.h */
    double first_share;   /* of x_0 that is the token's embedding */
    double error;         /* relative variance of the gradient */
    size_t n;
    prediction rows[BATCH];
} walk;

/* --- rows --- */

static void flush(walk *w)
{
    if (w->n && w->to->predict) w->to->predict(w->to->user, w->rows, w->n);
    w->n = 0;
}

static bool told(const walk *w, int layer)
{
    return !w->to->predict_layer || w->to->predict_layer(w->to->user, layer);
}

static bool wanted(const walk *w, site where, metric m)
{
    return w->spec->measure.sites[where] && w->spec->measure.metrics[m];
}

static void put_param(walk *w,
                      int layer,
                      site where,
                      const char *of,
                      metric m,
                      double number,
                      double tolerance,
                      law l,
                      reason why)
{
    if (!wanted(w, where, m)) return;
    if (w->n == BATCH) flush(w);
    if (!why) why = reason_of(number);
    w->rows[w->n++] = (prediction){.layer = layer,
                                   .site = where,
                                   .metric = m,
                                   .param = of,
                                   .value = why ? 0 : number,
                                   .tolerance = isfinite(tolerance) ? tolerance : 0,
                                   .law = l,
                                   .reason = why};
}

static void
put(walk *w, int layer, site where, metric m, double number, double tolerance, law l, reason why)
{
    put_param(w, layer, where, NULL, m, number, tolerance, l, why);
}

/* Tolerances: the floor of the general rule, and 4 standard deviations of one run. */
static double log_tolerance(double variance)
{
    return 0.01 + 4 * sqrt(fmax(variance, 0));
}

static void put_kernel(
    walk *w, int layer, site where, const double *k, const double *mu, double log_var, double corr)
{
    const tokens *t = &w->s.tokens;
    if (!w->spec->measure.sites[where]) return;
    kernel_mean m = kernel_means(k, t);
    double T = t->length, mean = 0, mean_sq = 0;
    law l = w->stream_law,
        kernel = l == LAW_target_kernel || l == LAW_identity_mixing ? l : LAW_token_kernel;
    if (where != SITE_resid_out && where != SITE_resid_mid && where != SITE_resid_in) l = kernel;
    for (int g = 0; mu && g < t->n; g++) {
        mean += t->size[g] * mu[g] / T;
        mean_sq += t->size[g] * mu[g] * mu[g] / T;
    }
    double tolerance = log_tolerance(log_var), on_corr = 0.01 + 4 * sqrt(fmax(corr, 0));
    double rest = 1 - m.p / m.q;
    /* the squared mean over the D features of a token is q chi^2/D */
    double on_mean = 6.0 / w->spec->model.d_model;
    put(w, layer, where, METRIC_var, m.q - mean * mean, tolerance + on_mean, l, 0);
    put(w, layer, where, METRIC_var_feat, m.q - mean_sq, tolerance + on_mean, l, 0);
    put(w, layer, where, METRIC_rms, sqrt(m.q), tolerance / 2, l, 0);
    if (T < 2) return;
    on_corr *= T / (T - 1);
    double on_rest = rest > 0 ? on_corr / rest : (double)NAN;
    put(w, layer, where, METRIC_var_token, m.q - m.p, tolerance + on_rest, kernel, 0);
    if (wanted(w, where, METRIC_cos_mean))
        put(w, layer, where, METRIC_cos_mean, kernel_cosine(k, t), on_corr, kernel, 0);
    put(w, layer, where, METRIC_token_corr, m.pairs / m.q, on_corr, kernel, 0);
    if (isfinite(on_rest))
        put(w, layer, where, METRIC_residual_fro, sqrt(fmax(rest, 0)), on_rest / 2 + 0.005, kernel,
            0);
}

static void put_stream(walk *w, int layer, site where, const stream *x)
{
    kernel_mean m = kernel_means(x->k, &w->s.tokens);
    put_kernel(w, layer, where, x->k, x->mu, spread_log(&x->error, m), spread_corr(&x->error, m));
}

/* In place of the rows of a metric. */
static void put_reason(walk *w, metric m, law l, reason why)
{
    if (!w->spec->measure.metrics[m]) return;
    if (w->n == BATCH) flush(w);
    w->rows[w->n++] =
        (prediction){.layer = -1, .site = SITE_run, .metric = m, .law = l, .reason = why};
}

/* --- blocks --- */

static size_t each(const walk *w)
{
    return tokens_doubles(&w->s.tokens);
}

static void put_entropy(walk *w, int layer, const sublayer *s, const trace *tr)
{
    const tokens *t = &w->s.tokens;
    const sight *seen = s->mix.sight;
    if (s->mix.kind != MIXING_SOFTMAX || t->length < 2) return;
    double sum = 0, share = 0, count = 0, lost = 0;
    for (int g = 0; g < t->n; g++) {
        double n = seen->seen[g];
        if (n < 1.5) continue;
        sum += t->size[g] * tr->entropy[g];
        share += t->size[g] * tr->entropy[g] / log(n);
        lost += t->size[g] * 2 * (log(n) - tr->entropy[g]);
        count += t->size[g];
    }
    if (count == 0) return;
    double v = lost / count, heads = w->spec->model.n_heads, d = w->spec->model.head_dim;
    const double most = 4;
    reason why = v > most ? REASON_NO_LAW_SPREAD : REASON_NONE;
    /* half the variance of the logits of a row, which differs from head to head and row to row, and
     * the order left out */
    double off =
        0.01 + v * v / 8 + 4 * v / 2 * sqrt(8 / (d * heads) + 2 / (double)w->spec->model.d_model);
    double per = count > 0 && sum != 0 ? share / sum : 1;
    put(w, layer, SITE_attn_prob, METRIC_attn_entropy, sum / count, off, LAW_logit_entropy, why);
    put(w, layer, SITE_attn_prob, METRIC_attn_entropy_norm, share / count, 0.005 + off * per,
        LAW_logit_entropy, why);
}

static bool adds(const sublayer *s)
{
    return !s->no_skip && s->alpha != 0;
}

static void put_sublayer(walk *w, int layer, const sublayer *s, const trace *tr)
{
    kernel_mean m = kernel_means(tr->branch, &w->s.tokens);
    double rho = m.q > 0 ? m.p / m.q : 0, share = rho * (1 - rho);
    double corr = share * share * 16 / w->spec->model.d_model + spread_corr(&w->x.error, m);
    site where = s->is_mlp ? SITE_mlp_branch : SITE_attn_branch;
    if (adds(s)) put_kernel(w, layer, where, tr->branch, NULL, tr->branch_error, corr);
    if (!s->is_mlp) put_entropy(w, layer, s, tr);
    put_stream(w, layer, s->is_mlp ? SITE_resid_out : SITE_resid_mid, &w->x);
}

static stream base_of(walk *w)
{
    stream b = w->x;
    b.k = w->base;
    memcpy(b.k, w->x.k, each(w) * sizeof *b.k);
    return b;
}

/* Attention or MLP of a block, with the factor of the stream that profiling finds. */
static void sublayer_at(walk *w, int layer, bool mlp, sublayer *out)
{
    setting_sublayer(&w->s, layer, mlp, out);
    if (placement_table[w->spec->strategy.placement]->theory.profiled)
        out->alpha = w->ratio[2 * (layer - 1) + mlp];
}

/* The ratio of the next sublayer: of the whole sum, as if its variance were all of it. */
static void profile(walk *w, int layer, bool mlp, const sublayer *s, double q, const trace *tr)
{
    double b = kernel_means(tr->branch, &w->s.tokens).q;
    w->ratio[2 * (layer - 1) + mlp + 1] = sqrt(s->alpha * s->alpha * q + b);
}

static kept *kept_of(const walk *w, int layer, bool mlp)
{
    return &w->kept[2 * ((layer - 1) % w->every) + mlp];
}

/* One block forward; emit: the rows too. */
static void block_forward(walk *w, int layer, bool emit)
{
    size_t bytes = each(w) * sizeof(double);
    double entropy[TOKENS_MAX];
    stream base = base_of(w);
    emit = emit && told(w, layer);
    for (int mlp = 0; mlp < 2; mlp++) {
        sublayer s;
        kept *of = kept_of(w, layer, mlp);
        trace *tr = &of->made;
        memcpy(of->k, w->x.k, bytes);
        tr->entropy = emit ? entropy : NULL;
        double q = kernel_means(w->x.k, &w->s.tokens).q;
        sublayer_at(w, layer, mlp, &s);
        sublayer_forward(&s, &w->s.tokens, &w->x, &base, tr, w->work, w->series);
        profile(w, layer, mlp, &s, q, tr);
        if (!mlp) sublayer_ratio(&s, &w->s.tokens, tr, &base);
        if (emit) put_sublayer(w, layer, &s, tr);
    }
}

/* The names of matrix_grads. */
static const char *matrix_name(const sublayer *s, int which)
{
    static const char *const attn[] = {"attn.q.weight", "attn.k.weight", "attn.v.weight",
                                       "attn.o.weight"};
    static const char *const gated[] = {"mlp.gate.weight", "mlp.up.weight", NULL,
                                        "mlp.down.weight"};
    static const char *const plain[] = {"mlp.up.weight", NULL, NULL, "mlp.down.weight"};
    return !s->is_mlp ? attn[which] : s->gated ? gated[which] : plain[which];
}

static void put_matrix_weight(walk *w, int layer, const char *name, double var, double entries)
{
    /* entries of bounded laws spread less than Gaussian ones */
    put_param(w, layer, SITE_param, name, METRIC_param_weight_norm, sqrt(var * entries),
              var > 0 ? 4 / sqrt(2 * entries) : 0, LAW_initial_weights, 0);
}

/* Matrices of the blocks that the run has, before any pass. */
static void put_weights(walk *w, int layer)
{
    for (int mlp = 0; mlp < 2; mlp++) {
        sublayer s;
        setting_sublayer(&w->s, layer, mlp, &s);
        for (int i = 0; i < MATRICES; i++) {
            const char *name = matrix_name(&s, i);
            double entries, var = name ? setting_entry(&w->s, layer, name, &entries) : 0;
            if (name) put_matrix_weight(w, layer, name, var, entries);
        }
    }
}

static void forward(walk *w)
{
    const run_spec *spec = w->spec;
    put_stream(w, 0, SITE_embed, &w->x);
    for (int l = 1; l <= spec->depth; l++) {
        if (w->starts && (l - 1) % w->every == 0) {
            int k = (l - 1) / w->every;
            memcpy(w->starts + (size_t)k * each(w), w->x.k, each(w) * sizeof(double));
            memcpy(w->start_mu[k], w->x.mu, sizeof w->x.mu);
        }
        if (told(w, l)) {
            put_stream(w, l, SITE_resid_in, &w->x);
            if (wanted(w, SITE_param, METRIC_param_weight_norm)) put_weights(w, l);
        }
        block_forward(w, l, true);
        kernel_mean m = kernel_means(w->x.k, &w->s.tokens);
        w->var[l - 1] = m.q;
        w->apart[l - 1] = fit_apart(m.pairs / m.q);
        if (w->apart[l - 1] > 0)
            w->apart_error = sqrt(spread_corr(&w->x.error, m)) / w->apart[l - 1];
    }
}

/* --- gradients --- */

static void put_gradient(walk *w, int layer, site where, const double *grad)
{
    const run_spec *spec = w->spec;
    if (!spec->measure.sites[where] || !told(w, layer)) return;
    kernel_mean m = kernel_means(grad, &w->s.tokens);
    double places = (double)spec->data.batch * spec->data.seq_len;
    double tolerance = log_tolerance(w->error / 4), corr = m.pairs / m.q;
    double on_corr = 0.02 +
                     8 * fmax(fabs(corr) * (1 - corr), 0.02) / sqrt((double)spec->model.d_model) +
                     4 * sqrt(w->error) * fabs(corr) * (1 - corr);
    put(w, layer, where, METRIC_grad_norm, sqrt(m.q * places), tolerance, LAW_gradient_kernel, 0);
    put(w, layer, where, METRIC_grad_rms, sqrt(m.q / spec->model.d_model), tolerance,
        LAW_gradient_kernel, 0);
    put(w, layer, where, METRIC_grad_norm_rel, sqrt(m.q / w->last_grad), tolerance,
        LAW_gradient_kernel, 0);
    if (w->s.tokens.length > 1)
        put(w, layer, where, METRIC_grad_token_corr, corr, on_corr, LAW_gradient_kernel, 0);
}

/* What the products of a sublayer add to the relative variance of the gradient: that of its
 * branch's share. */
static void grow_error(walk *w, double before, double after)
{
    double share = after > 0 ? fabs(after - before) / after : 0;
    w->error += share * share * 4 / w->spec->model.d_model + 2 * share / w->spec->model.d_model;
}

/* Of ln |dW|. |dW|^2 is squared: ln of its root has half of every relative deviation, a quarter of
 * every variance. The matrix itself adds 4/D; queries and keys the number of heads that look along
 * one direction where tokens share their gradient (common, its correlation), 2/H, and the order of
 * the logits that is left out: up to a quarter, measured with logits of variance 1 and masks. */
static double matrix_tolerance(const walk *w, const sublayer *s, int which, double common)
{
    const spec_model *m = &w->spec->model;
    const double order = 0.25;
    bool looks = !s->is_mlp && which < 2;
    double variance = w->error + 4.0 / m->d_model;
    if (looks) variance += 2 * common * common / m->n_kv_heads;
    /* queries and keys: of the square of what tokens have in common */
    double missed = looks ? 2 * log1p(w->joint) : log1p(w->joint / w->shared);
    return log_tolerance(variance / 4) + (looks ? order : 0) + missed / 2;
}

static void put_matrices(walk *w, int layer, const sublayer *s, const matrix_grads *of)
{
    kernel_mean sum = kernel_means(w->sum_grad, &w->s.tokens);
    double size[MATRICES], common = sum.q > 0 && w->s.tokens.length > 1 ? sum.pairs / sum.q : 1;
    for (int i = 0; i < MATRICES; i++) {
        double tolerance = matrix_tolerance(w, s, i, common);
        const char *name = matrix_name(s, i);
        size[i] = of->weight[i] >= 0 ? sqrt(of->weight[i]) : (double)NAN;
        if (!s->is_mlp && i < 2 && w->s.tokens.length < 2) size[i] = 0; /* nothing to choose */
        if (!name || !isfinite(size[i])) continue;
        double entries, var = setting_entry(&w->s, layer, name, &entries);
        const struct {
            metric metric;
            double value;
        } rows[] = {{METRIC_param_grad_norm, size[i]},
                    {METRIC_param_grad_rms, size[i] / sqrt(entries)},
                    {METRIC_param_grad_ratio, size[i] / sqrt(var * entries)}};
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            if (isfinite(rows[k].value))
                put_param(w, layer, SITE_param, name, rows[k].metric, rows[k].value, tolerance,
                          LAW_matrix_gradient, 0);
    }
    double ratio = hypot(size[0], size[1]) / size[2];
    if (!s->is_mlp && isfinite(ratio))
        put_param(w, layer, SITE_param, "attn.q.weight", METRIC_qk_to_v_grad_ratio, ratio,
                  matrix_tolerance(w, s, 0, common), LAW_matrix_gradient, 0);
}

static void block_backward(walk *w, int layer)
{
    const kept *attn = kept_of(w, layer, false);
    stream base = {.k = attn->k};
    memset(w->to_base, 0, each(w) * sizeof(double));
    sublayer s;
    matrix_grads of;
    const bool matrices = w->parameters && told(w, layer);
    sublayer_at(w, layer, false, &s);
    sublayer_ratio(&s, &w->s.tokens, &attn->made, &base);
    for (int mlp = 1; mlp >= 0; mlp--) {
        const kept *from = kept_of(w, layer, mlp);
        const stream x = {.k = from->k};
        sublayer_at(w, layer, mlp, &s);
        sublayer_backward(&s, &w->s.tokens, &x, &base, &from->made, w->grad, w->to_base,
                          w->sum_grad, matrices ? &of : NULL, w->work, w->series);
        if (matrices) put_matrices(w, layer, &s, &of);
        if (adds(&s)) put_gradient(w, layer, mlp ? SITE_mlp_branch : SITE_attn_branch, w->sum_grad);
        grow_error(w, kernel_means(w->sum_grad, &w->s.tokens).q,
                   kernel_means(w->grad, &w->s.tokens).q);
        if (mlp) put_gradient(w, layer, SITE_resid_mid, w->grad);
    }
    for (size_t i = 0; i < each(w); i++) w->grad[i] += w->to_base[i];
}

static void fill_seed(const walk *w, double *grad, const seed_kernel *k)
{
    int n = w->s.tokens.n;
    for (int i = 0; i < n * n; i++) grad[i] = k->other;
    for (int i = 0; i < n; i++) {
        grad[n * n + i] = k->own;
        if (w->s.tokens.size[i] == 1) grad[i * n + i] = k->own;
    }
    for (size_t i = kernel_doubles(n); i < each(w); i++) grad[i] = k->across;
}

/* Adds to pairs of places what goes with the cosine of their streams. */
static void add_along(const walk *w, double *grad, double along, const double *k)
{
    int n = w->s.tokens.n;
    const double *q = k + n * n;
    size_t one = kernel_doubles(n);
    for (size_t half = 0; along > 0 && half < each(w); half += one)
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++)
                if (half || i != j || w->s.tokens.size[i] > 1)
                    grad[half + (size_t)(i * n + j)] +=
                        along * k[half + (size_t)(i * n + j)] / sqrt(q[i] * q[j]);
            if (half)
                grad[half + (size_t)(n * n + i)] += along * k[half + (size_t)(n * n + i)] / q[i];
        }
}

/* Does the norm take out of a gradient what lies along its rows? */
static bool takes_rows(const norm_step *s)
{
    return s->kind == STEP_ROW && !s->frozen;
}

/* Without a final norm that of the last block takes out what the readout shares with the stream. */
static void meet_last_norm(walk *w)
{
    sublayer s;
    sublayer_at(w, w->spec->depth, true, &s);
    norm_step final = setting_final(&w->s);
    if (final.kind == STEP_NONE && takes_rows(&s.post))
        memcpy(w->grad, w->past, each(w) * sizeof *w->grad);
}

static void backward(walk *w)
{
    int L = w->spec->depth;
    for (int k = (L - 1) / w->every; k >= 0; k--) {
        int first = k * w->every + 1, last = first + w->every - 1 < L ? first + w->every - 1 : L;
        memcpy(w->x.k, w->starts + (size_t)k * each(w), each(w) * sizeof(double));
        memcpy(w->x.mu, w->start_mu[k], sizeof w->x.mu);
        for (int l = first; l <= last && last < L; l++) block_forward(w, l, false);
        for (int l = last; l >= first; l--) {
            put_gradient(w, l, SITE_resid_out, w->grad);
            w->grad_norm[l - 1] = sqrt(kernel_means(w->grad, &w->s.tokens).q / w->last_grad);
            if (l == L) meet_last_norm(w);
            block_backward(w, l);
            put_gradient(w, l, SITE_resid_in, w->grad);
        }
    }
    put_gradient(w, 0, SITE_embed, w->grad);
}

/* --- the ends --- */

/* The last site: its kernel, and the gradient that the loss gives it, or why that is unknown. */
static reason finish(walk *w, const theory_data *data)
{
    const run_spec *spec = w->spec;
    int n = w->s.tokens.n;
    norm_step final = setting_final(&w->s);
    double *last = w->kernels, mu[TOKENS_MAX];
    memcpy(last, w->x.k, each(w) * sizeof *last);
    memcpy(mu, w->x.mu, sizeof mu);
    kernel_mean before = kernel_means(last, &w->s.tokens);
    norm_forward(&final, last, mu, &w->s.tokens, w->work, w->series);
    kernel_mean m = kernel_means(last, &w->s.tokens);
    spread e = w->x.error;
    spread_normalise(&e, &final, before, m);
    put_kernel(w, spec->depth + 1, SITE_final_norm, last, mu, spread_log(&e, m),
               spread_corr(&e, m));
    double across = w->s.tokens.halves > 1
                        ? kernel_means(last + kernel_doubles(n), &w->s.tokens).p / m.q
                        : (double)NAN;
    readout seed = readout_of(&w->s, data, m, across, w->x.share,
                              w->first_share > 0 ? 1 - w->x.share / w->first_share : 0);
    if (loss_table[spec->train.loss]->uses_tokens)
        put(w, -1, SITE_run, METRIC_loss, seed.loss,
            0.02 + seed.logit_var * seed.logit_var / 4 + 4 * sqrt(seed.loss_var), LAW_uniform_loss,
            seed.reason);
    else
        put_reason(w, METRIC_loss, LAW_uniform_loss, REASON_NO_LAW);
    if (!seed.shape_known) return seed.reason;
    fill_seed(w, w->grad, &seed.at);
    fill_seed(w, w->past, &seed.past);
    add_along(w, w->past, seed.along, w->x.k);
    w->error = 1.0 / spec->model.d_model + seed.error;
    if (!seed.matrices) w->parameters = false;
    w->joint = seed.joint, w->shared = seed.shared;
    memcpy(w->sum_grad, w->grad, each(w) * sizeof *w->grad);
    if (takes_rows(&final)) memcpy(w->grad, w->past, each(w) * sizeof *w->grad);
    norm_backward(&final, w->grad, w->x.k, w->x.mu, &w->s.tokens, 1, w->work, w->series);
    w->last_grad = kernel_means(w->grad, &w->s.tokens).q;
    put_gradient(w, spec->depth + 1, SITE_final_norm, w->sum_grad);
    return REASON_NONE;
}

static bool wants_parameters(const run_spec *spec)
{
    const metric of[] = {METRIC_param_grad_norm, METRIC_param_grad_rms, METRIC_param_grad_ratio,
                         METRIC_qk_to_v_grad_ratio};
    bool any = false;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) any |= spec->measure.metrics[of[i]];
    return any && spec->measure.sites[SITE_param];
}

/* Gradients of parameters add over the sequences of a batch, which have tokens in common. */
static bool has_halves(const run_spec *spec)
{
    return spec->data.batch > 1 && wants_parameters(spec);
}

static bool wants_gradients(const run_spec *spec)
{
    const metric of[] = {METRIC_grad_norm,       METRIC_grad_rms,    METRIC_grad_norm_rel,
                         METRIC_grad_token_corr, METRIC_grad_growth, METRIC_grad_growth_law};
    bool any = false;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) any |= spec->measure.metrics[of[i]];
    return any || wants_parameters(spec);
}

/* The slope over blocks moves with the two ends of the series: off, the tolerance of ln of it. */
static double slope_tolerance(double off, int layers)
{
    return 0.005 + 1.5 * off / (layers > 1 ? layers - 1 : 1);
}

static void put_growth(walk *w, metric slope, metric shape, double *series, double off)
{
    fit f;
    int depth = w->spec->depth;
    fit_growth(series, depth, &f);
    put(w, -1, SITE_run, shape, f.law.value, 0.5, LAW_growth_fit,
        f.law.reason            ? f.law.reason
        : fit_sure(&f, off / 4) ? REASON_NONE
                                : REASON_NO_LAW_MARGIN);
    put(w, -1, SITE_run, slope, f.slope.value, slope_tolerance(off, depth), LAW_growth_fit,
        f.slope.reason);
}

static void put_angle(walk *w)
{
    fit f;
    int depth = w->spec->depth, used = 0;
    if (w->spec->data.seq_len < 2 || !wanted(w, SITE_run, METRIC_angle_exponent)) return;
    for (int l = 0; l < depth; l++) used += w->apart[l] > 0;
    fit_growth(w->apart, depth, &f);
    put(w, -1, SITE_run, METRIC_angle_exponent, f.slope.value,
        slope_tolerance(0.01 + 4 * w->apart_error, used), LAW_growth_fit, f.slope.reason);
}

/* --- what has no law --- */

static bool predicts(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
    return false;
}

/* The first law that speaks of a metric, or LAW_COUNT. */
static law law_of(metric m)
{
    for (int l = 0; l < law_registry.n; l++)
        if (predicts(law_registry.rows[l]->predicts, metric_registry.rows[m]->name)) return (law)l;
    return LAW_COUNT;
}

static bool needs_backward(metric m)
{
    return law_of(m) == LAW_gradient_kernel || law_of(m) == LAW_matrix_gradient ||
           m == METRIC_grad_growth || m == METRIC_grad_growth_law;
}

/* One row for each metric that no law speaks of. */
static void put_uncovered(walk *w)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (law_of((metric)m) == LAW_COUNT)
            put_reason(w, (metric)m, LAW_token_kernel, REASON_NO_LAW);
}

/* One row for each metric that a law speaks of. */
static void put_missing(walk *w, reason why)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (law_of((metric)m) != LAW_COUNT) put_reason(w, (metric)m, law_of((metric)m), why);
}

/* Of single tokens, and of attention that is no softmax of Gaussian logits. */
static void put_special(walk *w)
{
    const metric of_pairs[] = {METRIC_var_token,    METRIC_cos_mean,        METRIC_token_corr,
                               METRIC_residual_fro, METRIC_grad_token_corr, METRIC_angle_exponent};
    bool single = w->spec->data.seq_len < 2;
    for (size_t i = 0; single && i < sizeof of_pairs / sizeof *of_pairs; i++)
        put_reason(w, of_pairs[i], law_of(of_pairs[i]), REASON_ONE_TOKEN);
    bool softmax = placement_table[w->spec->strategy.placement]->theory.mixing == RECIPE_SOFTMAX;
    if (softmax && !single) return;
    put_reason(w, METRIC_attn_entropy, LAW_logit_entropy,
               single ? REASON_ONE_TOKEN : REASON_NO_LAW);
    put_reason(w, METRIC_attn_entropy_norm, LAW_logit_entropy,
               single ? REASON_ONE_TOKEN : REASON_NO_LAW);
}

/* --- memory --- */

/* So that theory takes about a twentieth of the run's passes: 0.6 us for a block and a pair of
 * groups, for each half of its kernels, beside 30 GFLOP/s. */
static int affordable_groups(const run_spec *spec)
{
    const spec_model *m = &spec->model;
    double d = m->d_model, T = spec->data.seq_len, inner = (double)m->n_heads * m->head_dim;
    double pass = spec->data.batch * T * (8 * d * inner + 4 * d * m->d_ff + 4 * T * inner);
    double n = sqrt(0.05 * 3 * pass / 30e9 / (has_halves(spec) ? 1.2e-6 : 0.6e-6));
    return n < THEORY_GROUPS ? (int)n : THEORY_GROUPS;
}

static int most_groups(const run_spec *spec)
{
    int most = (int)sqrt((double)THEORY_BUDGET / spec->depth), affordable = affordable_groups(spec);
    if (affordable < THEORY_GROUPS_RUN) affordable = THEORY_GROUPS_RUN;
    if (affordable < most) most = affordable;
    if (most > THEORY_GROUPS) most = THEORY_GROUPS;
    if (most < THEORY_GROUPS_MIN) most = THEORY_GROUPS_MIN;
    if (placement_table[spec->strategy.placement]->theory.mixing == RECIPE_TARGET)
        most = TOKENS_MAX;
    return most;
}

static int groups_of(const run_spec *spec)
{
    int most = most_groups(spec);
    return spec->data.seq_len < most ? spec->data.seq_len : most;
}

/* Blocks of a segment: as many as fit, evenly; 1 where nothing comes back. */
static int segment_of(const run_spec *spec, size_t block_bytes, bool alone)
{
    const size_t most = (alone ? THEORY_KEPT : THEORY_KEPT_RUN) / block_bytes;
    const int depth = spec->depth, every = most < 1 ? 1 : most < (size_t)depth ? (int)most : depth;
    const int segments = (depth - 1) / every + 1;
    return wants_gradients(spec) ? (depth - 1) / segments + 1 : 1;
}

static void layout_segment(walk *w, const run_spec *spec, size_t n, bool alone, arena *a)
{
    const size_t halves = has_halves(spec) ? 2 : 1, one = halves * kernel_doubles((int)n),
                 own = one + trace_doubles((int)n, (int)halves);
    w->every = segment_of(spec, 2 * own * sizeof(double), alone);
    const size_t segments = (size_t)(spec->depth - 1) / (size_t)w->every + 1,
                 rows = 2 * (size_t)w->every;
    w->kept = arena_alloc(a, rows * sizeof *w->kept);
    double *at = arena_alloc(a, rows * own * sizeof *at);
    for (size_t i = 0; w->kept && i < rows; i++, at += own) w->kept[i] = (kept){.k = at};
    w->starts = NULL;
    if (!wants_gradients(spec)) return;
    w->starts = arena_alloc(a, segments * one * sizeof(double));
    w->start_mu = arena_alloc(a, segments * sizeof *w->start_mu);
}

static void layout(walk *w, const run_spec *spec, bool alone, arena *a)
{
    size_t n = (size_t)groups_of(spec), halves = has_halves(spec) ? 2 : 1,
           half = kernel_doubles((int)n) * sizeof(double), one = halves * half;
    size_t depth = (size_t)spec->depth;
    layout_segment(w, spec, n, alone, a);
    w->x.k = arena_alloc(a, one);
    w->grad = arena_alloc(a, one);
    w->past = arena_alloc(a, one);
    w->to_base = arena_alloc(a, one);
    w->sum_grad = arena_alloc(a, one);
    w->base = arena_alloc(a, one);
    w->work = arena_alloc(a, sublayer_work_doubles((int)n, (int)halves) * sizeof(double));
    /* SETTING_KERNELS, then the work of constant mixing matrices */
    size_t given =
        placement_table[spec->strategy.placement]->theory.mixing == RECIPE_TARGET ? 8 : 0;
    w->kernels = arena_alloc(a, one + (SETTING_KERNELS + given) * half);
    w->series = arena_alloc(a, 2 * n * sizeof *w->series);
    w->ratio = arena_alloc(a, (2 * depth + 1) * sizeof(double));
    w->var = arena_alloc(a, (depth + 1) * sizeof(double));
    w->grad_norm = arena_alloc(a, (depth + 1) * sizeof(double));
    w->apart = arena_alloc(a, (depth + 1) * sizeof(double));
}

size_t theory_bytes(const run_spec *spec, bool alone)
{
    walk w;
    arena counting;
    arena_init(&counting, NULL, 0);
    memset(&w, 0, sizeof w);
    arena_alloc(&counting, sizeof w);
    layout(&w, spec, alone, &counting);
    return counting.used;
}

static law law_of_stream(const run_spec *spec)
{
    const recipe *r = &placement_table[spec->strategy.placement]->theory;
    bool no_norms = !r->attn.in && !r->attn.out && !r->attn.post && !r->mlp.in && !r->mlp.out &&
                    !r->mlp.post && !r->mlp.stream && !r->kind;
    if (r->mixing == RECIPE_TARGET) return LAW_target_kernel;
    if (r->mixing == RECIPE_IDENTITY) return LAW_identity_mixing;
    if (r->attn.post && r->mlp.post) return LAW_unit_stream;
    if (r->attn.out && r->mlp.out) return LAW_peri_linear;
    return no_norms ? LAW_residual_growth : LAW_token_kernel;
}

static void walk_all(walk *w, const theory_data *data)
{
    const run_spec *spec = w->spec;
    bool single = spec->data.seq_len < 2;
    bool all = !placement_table[spec->strategy.placement]->theory.stream_only;
    /* the first kernel of the block is that of the ends */
    size_t halves = has_halves(spec) ? 2 : 1;
    w->parameters = wants_parameters(spec);
    setting_init(&w->s, spec, most_groups(spec), halves > 1,
                 w->kernels + halves * kernel_doubles(groups_of(spec)));
    w->stream_law = law_of_stream(spec);
    for (int i = 0; i < 2 * w->every; i++)
        trace_place(&w->kept[i].made, w->kept[i].k + each(w), &w->s.tokens);
    put_special(w);
    setting_stream(&w->s, data, &w->x, w->series, w->work);
    w->first_share = w->x.share;
    w->ratio[0] = 1;
    forward(w);
    kernel_mean m = kernel_means(w->x.k, &w->s.tokens);
    put_growth(w, METRIC_var_growth, METRIC_var_growth_law, w->var,
               log_tolerance(spread_log(&w->x.error, m)));
    put_angle(w);
    reason why = all ? finish(w, data) : REASON_NO_LAW_PLACEMENT;
    if (!all) put_reason(w, METRIC_loss, LAW_uniform_loss, why);
    if (!why && wants_gradients(spec)) {
        backward(w);
        put_growth(w, METRIC_grad_growth, METRIC_grad_growth_law, w->grad_norm,
                   log_tolerance(w->error / 4));
    }
    for (int i = 0; why && i < METRIC_COUNT; i++)
        if (needs_backward((metric)i) && !(single && i == METRIC_grad_token_corr))
            put_reason(w, (metric)i, law_of((metric)i), why);
    for (int i = 0; !why && wants_parameters(spec) && !w->parameters && i < METRIC_COUNT; i++)
        if (law_of((metric)i) == LAW_matrix_gradient)
            put_reason(w, (metric)i, LAW_matrix_gradient, REASON_NO_LAW_LOSS);
}

void theory_predict(const run_spec *spec, const theory_data *data, void *memory, const sink *to)
{
    arena a;
    if (!to->predict) return;
    arena_init(&a, memory, theory_bytes(spec, !data));
    walk *w = arena_alloc(&a, sizeof *w);
    memset(w, 0, sizeof *w);
    w->spec = spec, w->to = to;
    layout(w, spec, !data, &a);
    reason why = setting_reason(spec);
    put_uncovered(w);
    if (why)
        put_missing(w, why);
    else
        walk_all(w, data);
    flush(w);
}
