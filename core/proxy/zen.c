/* Zen-score (Lin et al., arXiv:2102.01063): ln mean_b ||f(x) - f(x + gamma x')||_1 plus the
 * logarithms of what the norms divided by, gamma = 0.01, all matrices and both inputs N(0, 1), mean
 * over ZEN_REPEATS draws. A norm over a batch counts sqrt(mean variance), as published; a norm over
 * a token counts the mean over the tokens of what it divides by (ours: without it a norm erases the
 * scale that the score is about), rms(x)/rms(y) where it is no deviation. Two norms that are
 * blended count by their shares. Norms of queries and keys do not count: they are on no path of
 * the signal. */
#include "core/base/rng.h"
#include "core/op/op.h"
#include "core/proxy/pass.h"

#include <string.h>

static const double GAMMA = 0.01;

static double rms(const real *x, size_t n)
{
    return sqrt(exec_sum_squares(x, n) / (double)n);
}

/* What one row is divided by. */
static double divisor(const norm_args *how, const real *x, const real *y, size_t width)
{
    real stats[NORM_STATS];
    if (!how->norm->frozen_input || how->norm->scalar_gain) return rms(x, width) / rms(y, width);
    how->norm->stats(stats, x, width, how->eps);
    return 1 / (double)stats[1];
}

/* Mean over tokens and groups. */
static double token_sigma(const proxy_pass *p, const node *n)
{
    const value *in = &p->s.g.values[n->inputs[0]], *out = &p->s.g.values[n->outputs[0]];
    const norm_args *how = op_norm_args(n);
    size_t width = (size_t)(in->cols / how->groups);
    double sum = 0, count = 0;
    for (int b = 0; b < p->s.g.batch; b++) {
        const real *x = exec_value(&p->s.x, n->inputs[0], b),
                   *y = exec_value(&p->s.x, n->outputs[0], b);
        for (int r = 0; r < in->rows; r++, x += in->ld, y += out->ld)
            for (int g = 0; g < how->groups; g++, count++)
                sum += divisor(how, x + (size_t)g * width, y + (size_t)g * width, width);
    }
    return sum / count;
}

/* sqrt of the mean over features of their variance over all tokens. */
static double batch_sigma(const proxy_pass *p, const node *n)
{
    const value *v = &p->s.g.values[n->inputs[0]];
    double total = 0, count = (double)v->rows * p->s.g.batch;
    for (int c = 0; c < v->cols; c++) {
        double sum = 0, square = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int b = 0; b < p->s.g.batch; b++) {
                const real *x = exec_value(&p->s.x, n->inputs[0], b) + c;
                for (int r = 0; r < v->rows; r++, x += v->ld) {
                    double from = (double)*x - sum / count;
                    if (pass == 0)
                        sum += (double)*x;
                    else
                        square += from * from;
                }
            }
        total += square / count;
    }
    return sqrt(total / v->cols);
}

static bool on_path(const node *n)
{
    bool head = n->role && (!strcmp(n->role, "attn.q_norm") || !strcmp(n->role, "attn.k_norm"));
    return !head && !op_norm_args(n)->norm->pointwise;
}

/* 1, or the share of this norm where it is blended with another. */
static double share(const proxy_pass *p, const node *n)
{
    const graph *g = &p->s.g;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *blend = &g->nodes[i];
        if (blend->op != &op_blend) continue;
        double lambda = op_batch_norm_lambda(&p->s.x, &g->nodes[op_blend_partner(blend)]);
        if (blend->inputs[0] == n->outputs[0]) return lambda;
        if (blend->inputs[1] == n->outputs[0]) return 1 - lambda;
    }
    return 1;
}

static double log_sigma(const proxy_pass *p, const node *n)
{
    bool by_token = n->op == &op_norm && on_path(n);
    if (!by_token && n->op != &op_batch_norm) return 0;
    double part = share(p, n);
    return part == 0 ? 0 : part * log(by_token ? token_sigma(p, n) : batch_sigma(p, n));
}

static double log_sigmas(const proxy_pass *p)
{
    double sum = 0;
    for (int i = 0; i < p->s.g.n_nodes; i++) sum += log_sigma(p, &p->s.g.nodes[i]);
    return sum;
}

static const tap *output_tap(const proxy_pass *p)
{
    for (int i = 0; i < p->s.g.n_taps; i++)
        if (p->s.g.taps[i].site == SITE_final_norm) return &p->s.g.taps[i];
    return NULL;
}

/* Both batches become x and x + gamma x'. */
static void disturb(session *s)
{
    size_t n = (size_t)s->g.batch * (size_t)s->g.seq_len * (size_t)s->spec->model.d_model;
    for (size_t i = 0; i < n; i++)
        s->data.inputs[n + i] =
            (real)((double)s->data.inputs[i] + GAMMA * (double)s->data.inputs[n + i]);
}

static double distance(const proxy_pass *p, const tap *t)
{
    const value *v = &p->s.g.values[t->value];
    size_t n = (size_t)p->s.g.batch * (size_t)v->rows * (size_t)v->cols;
    const real *y = exec_value(&p->s.x, t->value, 0);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs((double)y[i] - (double)p->w.output[i]);
    return sum / p->s.g.batch;
}

static err_code draw(proxy_pass *p, double *score, error *err)
{
    const tap *t = output_tap(p);
    const value *v = &p->s.g.values[t->value];
    err_code code = proxy_begin(p, err);
    if (code) return code;
    disturb(&p->s);
    if ((code = proxy_forward(p, err))) return code;
    memcpy(p->w.output, exec_value(&p->s.x, t->value, 0),
           (size_t)p->s.g.batch * (size_t)v->rows * (size_t)v->cols * sizeof(real));
    *score = log_sigmas(p);
    session_use_batch(&p->s, 1);
    p->done += p->inside;
    if ((code = proxy_forward(p, err))) return code;
    *score += log(distance(p, t));
    return ERR_OK;
}

err_code proxy_zen(proxy_pass *p, error *err)
{
    double scores[ZEN_REPEATS], mean = 0, square = 0;
    rng seeds = rng_stream(p->job->spec->seed, "zen", "seeds");
    p->inside /= 2 * ZEN_REPEATS;
    for (int i = 0; i < ZEN_REPEATS; i++) {
        p->spec.seed = rng_bits(&seeds, (uint64_t)i);
        err_code code = draw(p, &scores[i], err);
        if (code) return code;
        p->done += p->inside;
        mean += scores[i] / ZEN_REPEATS;
    }
    for (int i = 0; i < ZEN_REPEATS; i++) square += (scores[i] - mean) * (scores[i] - mean);
    proxy_write(p, -1, METRIC_zen, value_of(mean));
    proxy_write(p, -1, METRIC_zen_std, value_of(sqrt(square / ZEN_REPEATS)));
    return ERR_OK;
}
