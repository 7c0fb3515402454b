#include "core/theory/tell.h"

#include "core/metric/fit.h"
#include "core/placement/placement.h"

#include <math.h>
#include <string.h>

void tell_flush(walk *w)
{
    if (w->n && w->to->predict) w->to->predict(w->to->user, w->rows, w->n);
    w->n = 0;
}

bool tell_told(const walk *w, int layer)
{
    return !w->to->predict_layer || w->to->predict_layer(w->to->user, layer);
}

bool tell_wanted(const walk *w, site where, metric m)
{
    return w->spec->measure.sites[where] && w->spec->measure.metrics[m];
}

static void tell_param(walk *w,
                       int layer,
                       site where,
                       const char *of,
                       metric m,
                       double number,
                       double tolerance,
                       law l,
                       reason why)
{
    if (!tell_wanted(w, where, m)) return;
    if (w->n == WALK_ROWS) tell_flush(w);
    if (!why && w->x.unstable && l != LAW_initial_weights) why = REASON_NO_LAW_UNSTABLE;
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

void tell(
    walk *w, int layer, site where, metric m, double number, double tolerance, law l, reason why)
{
    tell_param(w, layer, where, NULL, m, number, tolerance, l, why);
}

/* Tolerances: the floor of the general rule, and 4 standard deviations of one run. */
double tell_log_tolerance(double variance)
{
    return 0.01 + 4 * sqrt(fmax(variance, 0));
}

/* The mean of a token over D features is a number of one run, where branches make it. */
double tell_mean_tolerance(const walk *w, double mean_sq, double q)
{
    if (!w->in_error || !(q > mean_sq)) return 0;
    return 8 * sqrt(mean_sq / (w->spec->model.d_model * (q - mean_sq)));
}

void tell_kernel(
    walk *w, int layer, site where, const double *k, const double *mu, double log_var, double corr)
{
    const tokens *t = &w->s.tokens;
    if (!w->spec->measure.sites[where]) return;
    kernel_mean m = kernel_means(k, t);
    double T = t->length, mean = 0, mean_sq = 0;
    law l = w->stream_law,
        kernel = l == LAW_target_kernel || l == LAW_identity_mixing ? l : LAW_token_kernel;
    if (where == SITE_embed || !site_is_stream(where)) l = kernel;
    for (int g = 0; mu && g < t->n; g++) {
        mean += t->size[g] * mu[g] / T;
        mean_sq += t->size[g] * mu[g] * mu[g] / T;
    }
    double tolerance = tell_log_tolerance(log_var), on_corr = 0.01 + 4 * sqrt(fmax(corr, 0));
    double rest = 1 - m.p / m.q;
    /* the squared mean over the D features of a token is q chi^2/D */
    double on_mean = 6.0 / w->spec->model.d_model + tell_mean_tolerance(w, mean_sq, m.q);
    tell(w, layer, where, METRIC_var, m.q - mean * mean, tolerance + on_mean, l, 0);
    tell(w, layer, where, METRIC_var_feat, m.q - mean_sq, tolerance + on_mean, l, 0);
    tell(w, layer, where, METRIC_rms, sqrt(m.q), tolerance / 2, l, 0);
    if (T < 2) return;
    on_corr *= T / (T - 1);
    double on_rest = rest > 0 ? on_corr / rest : (double)NAN;
    tell(w, layer, where, METRIC_var_token, m.q - m.p, tolerance + on_rest, kernel, 0);
    if (tell_wanted(w, where, METRIC_cos_mean))
        tell(w, layer, where, METRIC_cos_mean, kernel_cosine(k, t), on_corr, kernel, 0);
    tell(w, layer, where, METRIC_token_corr, m.pairs / m.q, on_corr, kernel, 0);
    if (isfinite(on_rest))
        tell(w, layer, where, METRIC_residual_fro, sqrt(fmax(rest, 0)), on_rest / 2 + 0.005, kernel,
             0);
}

void tell_stream(walk *w, int layer, site where, const stream *x)
{
    kernel_mean m = kernel_means(x->k, &w->s.tokens);
    double corr = spread_corr(&x->error, m) + x->drift * x->drift / 4;
    tell_kernel(w, layer, where, x->k, x->mu, spread_log(&x->error, m), corr);
}

/* In place of the rows of a metric. */
void tell_reason(walk *w, metric m, law l, reason why)
{
    if (!w->spec->measure.metrics[m]) return;
    if (w->n == WALK_ROWS) tell_flush(w);
    w->rows[w->n++] =
        (prediction){.layer = -1, .site = SITE_run, .metric = m, .law = l, .reason = why};
}

static void tell_entropy(walk *w, int layer, const sublayer *s, const trace *tr)
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
    tell(w, layer, SITE_attn_prob, METRIC_attn_entropy, sum / count, off, LAW_logit_entropy, why);
    tell(w, layer, SITE_attn_prob, METRIC_attn_entropy_norm, share / count, 0.005 + off * per,
         LAW_logit_entropy, why);
}

void tell_sublayer(walk *w, int layer, const sublayer *s, const trace *tr)
{
    kernel_mean m = kernel_means(tr->branch, &w->s.tokens);
    double rho = m.q > 0 ? m.p / m.q : 0, share = rho * (1 - rho);
    double corr = share * share * 16 / w->spec->model.d_model + spread_corr(&w->x.error, m);
    if (walk_adds(s))
        tell_kernel(w, layer, s->site, tr->branch, tr->branch_mu, tr->branch_error, corr);
    if (!s->is_mlp) tell_entropy(w, layer, s, tr);
    tell_stream(w, layer, s->is_last ? SITE_resid_out : SITE_resid_mid, &w->x);
}

/* The matrices of matrix_grads. */
static block_matrix matrix_of(const sublayer *s, int which)
{
    static const block_matrix attn[] = {MATRIX_query, MATRIX_key, MATRIX_value, MATRIX_attn_out},
                              gated[] = {MATRIX_gate, MATRIX_up, MATRIX_NONE, MATRIX_down},
                              plain[] = {MATRIX_up, MATRIX_NONE, MATRIX_NONE, MATRIX_down};
    if (s->one_matrix && which == 3) return MATRIX_NONE;
    return !s->is_mlp ? attn[which] : s->gated ? gated[which] : plain[which];
}

static void tell_matrix_weight(walk *w, int layer, const char *name, double var, double entries)
{
    /* entries of bounded laws spread less than Gaussian ones */
    tell_param(w, layer, SITE_param, name, METRIC_param_weight_norm, sqrt(var * entries),
               var > 0 ? 4 / sqrt(2 * entries) : 0, LAW_initial_weights, 0);
}

/* Matrices of the blocks that the run has, before any pass. */
void tell_weights(walk *w, int layer)
{
    for (int k = 0; k < w->each; k++) {
        sublayer s;
        setting_sublayer(&w->s, layer, k, &s);
        for (int i = 0; i < MATRICES; i++) {
            block_matrix which = matrix_of(&s, i);
            double entries, var = which ? setting_entry(&w->s, layer, which, &entries) : 0;
            if (which) tell_matrix_weight(w, layer, block_matrix_name(which), var, entries);
        }
    }
}

void tell_gradient(walk *w, int layer, site where, const double *grad)
{
    const run_spec *spec = w->spec;
    if (!spec->measure.sites[where] || !tell_told(w, layer)) return;
    kernel_mean m = kernel_means(grad, &w->s.tokens);
    double places = (double)spec->data.batch * spec->data.seq_len;
    double tolerance = tell_log_tolerance(walk_error(w) / 4) + w->bias, corr = m.pairs / m.q;
    double on_corr = 0.02 +
                     8 * fmax(fabs(corr) * (1 - corr), 0.02) / sqrt((double)spec->model.d_model) +
                     4 * sqrt(walk_error(w)) * fabs(corr) * (1 - corr);
    tell(w, layer, where, METRIC_grad_norm, sqrt(m.q * places), tolerance, LAW_gradient_kernel, 0);
    tell(w, layer, where, METRIC_grad_rms, sqrt(m.q / spec->model.d_model), tolerance,
         LAW_gradient_kernel, 0);
    tell(w, layer, where, METRIC_grad_norm_rel, sqrt(m.q / w->last_grad), tolerance,
         LAW_gradient_kernel, 0);
    if (w->s.tokens.length > 1)
        tell(w, layer, where, METRIC_grad_token_corr, corr, on_corr, LAW_gradient_kernel, 0);
}

/* Of ln |dW|. |dW|^2 is squared: ln of its root has half of every relative deviation, a quarter of
 * every variance. The matrix itself adds 4/D; queries and keys the number of heads that look along
 * one direction where tokens share their gradient (common, its correlation), 2/H, and the order of
 * the logits that is left out: up to a quarter, measured with logits of variance 1 and masks. */
static double
matrix_tolerance(const walk *w, int layer, const sublayer *s, int which, double common)
{
    const spec_model *m = &w->spec->model;
    const double order = 0.25;
    bool looks = !s->is_mlp && which < 2;
    double variance = walk_error(w) + 4.0 / m->d_model;
    if (s->mapped) variance += 6.0 / s->hidden + w->in_error[layer - 1];
    if (looks) variance += 2 * common * common / m->n_kv_heads;
    /* queries and keys: of the square of what tokens have in common */
    double missed = looks ? 2 * log1p(w->joint) : log1p(w->joint / w->shared);
    return tell_log_tolerance(variance / 4) + w->bias + (looks ? order : 0) + missed / 2;
}

void tell_matrices(walk *w, int layer, const sublayer *s, const matrix_grads *of)
{
    kernel_mean sum = kernel_means(w->sum_grad, &w->s.tokens);
    double size[MATRICES], common = sum.q > 0 && w->s.tokens.length > 1 ? sum.pairs / sum.q : 1;
    for (int i = 0; i < MATRICES; i++) {
        double tolerance = matrix_tolerance(w, layer, s, i, common);
        const block_matrix which = matrix_of(s, i);
        size[i] = of->weight[i] >= 0 ? sqrt(of->weight[i]) : (double)NAN;
        if (!s->is_mlp && i < 2 && w->s.tokens.length < 2) size[i] = 0; /* nothing to choose */
        if (!which || !isfinite(size[i])) continue;
        double entries, var = setting_entry(&w->s, layer, which, &entries);
        const struct {
            metric metric;
            double value;
        } rows[] = {{METRIC_param_grad_norm, size[i]},
                    {METRIC_param_grad_rms, size[i] / sqrt(entries)},
                    {METRIC_param_grad_ratio, size[i] / sqrt(var * entries)}};
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            if (isfinite(rows[k].value))
                tell_param(w, layer, SITE_param, block_matrix_name(which), rows[k].metric,
                           rows[k].value, tolerance, LAW_matrix_gradient, 0);
    }
    double ratio = hypot(size[0], size[1]) / size[2];
    if (!s->is_mlp && isfinite(ratio))
        tell_param(w, layer, SITE_param, block_matrix_name(MATRIX_query), METRIC_qk_to_v_grad_ratio,
                   ratio, matrix_tolerance(w, layer, s, 0, common), LAW_matrix_gradient, 0);
}

/* The slope over blocks moves with the two ends of the series: off, the tolerance of ln of it. */
static double slope_tolerance(double off, int layers)
{
    return 0.005 + 1.5 * off / (layers > 1 ? layers - 1 : 1);
}

void tell_growth(walk *w, metric slope, metric shape, double *series, double off)
{
    fit f;
    int depth = w->spec->depth;
    fit_growth(series, depth, &f);
    tell(w, -1, SITE_run, shape, f.law.value, 0.5, LAW_growth_fit,
         f.law.reason            ? f.law.reason
         : fit_sure(&f, off / 4) ? REASON_NONE
                                 : REASON_NO_LAW_MARGIN);
    tell(w, -1, SITE_run, slope, f.slope.value, slope_tolerance(off, depth), LAW_growth_fit,
         f.slope.reason);
}

void tell_angle(walk *w)
{
    fit f;
    int depth = w->spec->depth, used = 0;
    if (w->spec->data.seq_len < 2 || !tell_wanted(w, SITE_run, METRIC_angle_exponent)) return;
    for (int l = 0; l < depth; l++) used += w->apart[l] > 0;
    fit_growth(w->apart, depth, &f);
    tell(w, -1, SITE_run, METRIC_angle_exponent, f.slope.value,
         slope_tolerance(0.01 + 4 * w->apart_error, used), LAW_growth_fit, f.slope.reason);
}

static bool predicts(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
    return false;
}

/* The first law that speaks of a metric, or LAW_COUNT. */
law tell_law(metric m)
{
    for (int l = 0; l < law_registry.n; l++)
        if (predicts(law_registry.rows[l]->predicts, metric_registry.rows[m]->name)) return (law)l;
    return LAW_COUNT;
}

/* One row for each metric that no law speaks of. */
void tell_uncovered(walk *w)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (tell_law((metric)m) == LAW_COUNT)
            tell_reason(w, (metric)m, LAW_token_kernel, REASON_NO_LAW);
}

/* One row for each metric that a law speaks of. */
void tell_missing(walk *w, reason why)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (tell_law((metric)m) != LAW_COUNT) tell_reason(w, (metric)m, tell_law((metric)m), why);
}

/* Of single tokens, and of attention that is no softmax of Gaussian logits. */
void tell_special(walk *w)
{
    const metric of_pairs[] = {METRIC_var_token,    METRIC_cos_mean,        METRIC_token_corr,
                               METRIC_residual_fro, METRIC_grad_token_corr, METRIC_angle_exponent};
    bool single = w->spec->data.seq_len < 2;
    for (size_t i = 0; single && i < sizeof of_pairs / sizeof *of_pairs; i++)
        tell_reason(w, of_pairs[i], tell_law(of_pairs[i]), REASON_ONE_TOKEN);
    bool softmax = placement_table[w->spec->strategy.placement]->theory.mixing == RECIPE_SOFTMAX;
    if ((softmax && !single) || !slot_mixer(w->spec)) return;
    tell_reason(w, METRIC_attn_entropy, LAW_logit_entropy,
                single ? REASON_ONE_TOKEN : REASON_NO_LAW);
    tell_reason(w, METRIC_attn_entropy_norm, LAW_logit_entropy,
                single ? REASON_ONE_TOKEN : REASON_NO_LAW);
}
