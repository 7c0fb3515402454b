/* Proxies of the sum of the logits: what is asked of the inputs and of the hidden codes. */
#include "core/proxy/sum.h"
#include "core/metric/gram.h"
#include "core/metric/spectrum.h"
#include "core/op/op.h"
#include "core/proxy/kernel.h"
#include "core/proxy/pass.h"

#include <string.h>

static bool wants_any(const proxy_pass *p, metric first, metric last)
{
    for (int m = (int)first; m <= (int)last; m++)
        if (proxy_wants(p, (metric)m)) return true;
    return false;
}

const tap *proxy_tap(const proxy_pass *p, int layer, site s)
{
    const graph *g = &p->s.g;
    for (int i = 0; i < g->n_taps; i++)
        if (g->taps[i].layer == layer && g->taps[i].site == s) return &g->taps[i];
    return NULL;
}

/* --- correlations of sequences, or of features -------------------------------------------------
 */

/* rows [B, T D] from a value or its gradient. */
static void rows_of_sequences(const proxy_pass *p, const tap *t, bool grad, double *out)
{
    const exec *x = &p->s.x;
    const value *v = &p->s.g.values[t->value];
    for (int b = 0; b < p->spec.data.batch; b++) {
        const real *from = grad ? exec_grad(x, t->value, b) : exec_value(x, t->value, b);
        for (int r = 0; r < v->rows; r++, from += v->ld)
            for (int c = 0; c < v->cols; c++) *out++ = (double)from[c];
    }
}

/* rows [D, B T]. */
static void rows_of_features(const proxy_pass *p, const tap *t, double *out)
{
    const value *v = &p->s.g.values[t->value];
    size_t columns = (size_t)p->spec.data.batch * (size_t)v->rows;
    for (int b = 0; b < p->spec.data.batch; b++) {
        const real *from = exec_value(&p->s.x, t->value, b);
        for (int r = 0; r < v->rows; r++, from += v->ld)
            for (int c = 0; c < v->cols; c++)
                out[(size_t)c * columns + (size_t)b * (size_t)v->rows + (size_t)r] =
                    (double)from[c];
    }
}

static proxy_covariance undefined(reason why, double rows)
{
    return (proxy_covariance){value_undefined(why), value_undefined(why), rows};
}

static proxy_covariance
covariance_of(const proxy_pass *p, double *rows, int n, size_t m, bool zeros, int worker)
{
    const proxy_work *w = &p->w;
    double *R = w->gram + (size_t)worker * 2 * w->gram_n * w->gram_n;
    double *eigen = w->eigen + (size_t)worker * 2 * w->gram_n;
    if (n > PROXY_MATRIX_MAX) return undefined(REASON_TOO_LARGE, n);
    if (n < 2) return undefined(REASON_ONE_SEQUENCE, n);
    if (proxy_correlate(rows, (size_t)n, m, R) && !zeros) return undefined(REASON_ZERO, n);
    spectrum_lanes((const double *const[]){R}, 1, n, &eigen,
                   w->scratch + (size_t)worker * w->scratch_bytes);
    proxy_spectrum s = proxy_score(eigen, n);
    metric_value score = value_of(s.score);
    return (proxy_covariance){score, score.reason ? score : value_of(s.nulls), n};
}

static void write_covariance(proxy_pass *p, int layer, metric m, const proxy_covariance *c)
{
    metric_value each = c->score;
    if (!each.reason) each = value_of(each.value / c->rows);
    proxy_write(p, layer, m, c->score);
    proxy_write(p, layer, (metric)(m + 1), each);
    proxy_write(p, layer, (metric)(m + 2), c->nulls);
}

/* The mean over blocks; undefined where one of them is. */
static void write_mean(proxy_pass *p, metric m, const proxy_covariance *of, int stride)
{
    proxy_covariance mean = of[0];
    double score = 0, nulls = 0;
    int depth = p->spec.depth;
    for (int l = 0; l < depth; l++) {
        const proxy_covariance *c = &of[l * stride];
        if (c->score.reason) mean = *c;
        score += c->score.value, nulls += c->nulls.value;
    }
    if (!mean.score.reason) {
        mean.score = value_of(score / depth);
        mean.nulls = value_of(nulls / depth);
    }
    write_covariance(p, -1, m, &mean);
}

struct hidden {
    proxy_pass *p;
    proxy_covariance *of; /* [L, 2]: sequences, features */
    bool wanted[2];
};

static void hidden_task(void *context, int task, int worker)
{
    const struct hidden *h = context;
    const proxy_pass *p = h->p;
    const tap *t = proxy_tap(p, task + 1, SITE_resid_out);
    const value *v = &p->s.g.values[t->value];
    int batch = p->spec.data.batch;
    size_t entries = (size_t)v->rows * (size_t)v->cols;
    double *rows = p->w.slab + (size_t)worker * p->w.slab_count;
    if (h->wanted[0]) {
        rows_of_sequences(p, t, false, rows);
        h->of[2 * task] = covariance_of(p, rows, batch, entries, false, worker);
    }
    if (!h->wanted[1]) return;
    rows_of_features(p, t, rows);
    h->of[2 * task + 1] =
        covariance_of(p, rows, v->cols, (size_t)batch * (size_t)v->rows, true, worker);
}

void proxy_sum_hidden(proxy_pass *p)
{
    struct hidden h = {p,
                       p->w.covariances,
                       {wants_any(p, METRIC_hidden_cov, METRIC_hidden_cov_nulls),
                        wants_any(p, METRIC_hidden_cov_unit, METRIC_hidden_cov_unit_nulls)}};
    const metric first[] = {METRIC_hidden_cov, METRIC_hidden_cov_unit};
    if (h.wanted[0] || h.wanted[1]) team_run(p->job->team, hidden_task, &h, p->spec.depth);
    for (int k = 0; k < 2; k++) {
        if (!h.wanted[k]) continue;
        for (int l = 0; l < p->spec.depth; l++)
            write_covariance(p, l + 1, first[k], &h.of[2 * l + k]);
        write_mean(p, first[k], h.of + k, 2);
    }
}

void proxy_sum_inputs(proxy_pass *p, bool flat)
{
    if (flat) {
        proxy_write_undefined(p, METRIC_jacob_cov, METRIC_jacob_cosine, REASON_ZERO);
        return;
    }
    if (!wants_any(p, METRIC_jacob_cov, METRIC_jacob_cosine)) return;
    const tap *t = proxy_tap(p, 0, SITE_embed);
    const value *v = &p->s.g.values[t->value];
    int batch = p->spec.data.batch;
    size_t entries = (size_t)v->rows * (size_t)v->cols;
    rows_of_sequences(p, t, true, p->w.slab);
    metric_value cosine = batch > PROXY_MATRIX_MAX
                              ? value_undefined(REASON_TOO_LARGE)
                              : proxy_cosine(p->w.slab, (size_t)batch, entries, p->w.gram);
    rows_of_sequences(p, t, true, p->w.slab);
    proxy_covariance c = covariance_of(p, p->w.slab, batch, entries, false, 0);
    write_covariance(p, -1, METRIC_jacob_cov, &c);
    proxy_write(p, -1, METRIC_jacob_cosine, cosine);
}

/* --- signs of the hidden units -----------------------------------------------------------------
 */

/* Bits of the units of one node, word-aligned by sequence. A gate stands before what it opens. */
static void pack(const proxy_pass *p, const node *n)
{
    const value *v = &p->s.g.values[n->inputs[0]];
    int units = p->s.g.values[n->outputs[0]].cols;
    for (int b = 0; b < p->spec.data.batch; b++) {
        const real *x = exec_value(&p->s.x, n->inputs[0], b);
        uint64_t *code = p->w.codes + (size_t)b * p->w.words;
        size_t bit = 0;
        memset(code, 0, p->w.words * sizeof *code);
        for (int r = 0; r < v->rows; r++, x += v->ld)
            for (int c = 0; c < units; c++, bit++)
                code[bit / 64] |= (uint64_t)(x[c] > 0) << bit % 64;
    }
}

/* agree[i][j] of one node: units of one sign in both. */
static void agreements(const proxy_pass *p, double units, double *agree)
{
    size_t batch = (size_t)p->spec.data.batch, words = p->w.words;
    for (size_t i = 0; i < batch; i++)
        for (size_t j = 0; j <= i; j++) {
            const uint64_t *a = p->w.codes + i * words, *b = p->w.codes + j * words;
            uint64_t apart = 0;
            for (size_t k = 0; k < words; k++) apart += (uint64_t)__builtin_popcountll(a[k] ^ b[k]);
            agree[i * batch + j] = units - (double)apart;
        }
}

static void write_codes(proxy_pass *p, int layer, double *K)
{
    size_t batch = (size_t)p->spec.data.batch;
    double sum = 0;
    for (size_t i = 0; i < batch; i++)
        for (size_t j = 0; j <= i; j++) sum += (i == j ? 1 : 2) * K[i * batch + j];
    proxy_write(p, layer, METRIC_activation_distance, value_of(sum));
    if (proxy_wants(p, METRIC_naswot))
        proxy_write(p, layer, METRIC_naswot,
                    batch > PROXY_MATRIX_MAX ? value_undefined(REASON_TOO_LARGE)
                    : batch < 2              ? value_undefined(REASON_ONE_SEQUENCE)
                                             : proxy_logdet(K, batch));
}

void proxy_sum_codes(proxy_pass *p)
{
    const graph *g = &p->s.g;
    size_t count = (size_t)g->batch * (size_t)g->batch;
    double *own = p->w.agree, *all = own + count;
    if (!wants_any(p, METRIC_naswot, METRIC_activation_distance)) return;
    for (size_t i = 0; i < count; i++) all[i] = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        if (n->op != &op_activate) continue;
        const value *out = &g->values[n->outputs[0]];
        pack(p, n);
        agreements(p, (double)out->rows * (double)out->cols, own);
        for (size_t k = 0; k < count; k++) all[k] += own[k];
        write_codes(p, n->layer, own);
    }
    write_codes(p, -1, all);
}
