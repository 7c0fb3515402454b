/* Proxies of the sum of the logits: what is asked of matrices and heads. */
#include "core/metric/gram.h"
#include "core/metric/spectrum.h"
#include "core/op/op.h"
#include "core/proxy/kernel.h"
#include "core/proxy/pass.h"

enum { SUMS, COUNTS, REASONS };

/* --- synaptic diversity ------------------------------------------------------------------------
 */

struct diversity {
    proxy_pass *p;
    double *of; /* by parameter */
};

static void diversity_task(void *context, int task, int worker)
{
    const struct diversity *d = context;
    const proxy_pass *p = d->p;
    const proxy_work *w = &p->w;
    const param *m = &p->s.g.params[task];
    d->of[task] = 0;
    if (!proxy_is_matrix(m, PROXY_MIXERS) || gram_n(m->dims[0], m->dims[1]) > PROXY_MATRIX_MAX)
        return;
    const real *matrices[] = {exec_param(&p->s.x, task), exec_param_grad(&p->s.x, task)};
    double *gram[2], *eigen[2];
    int n = (int)gram_n(m->dims[0], m->dims[1]);
    for (int k = 0; k < 2; k++) {
        gram[k] = w->gram + ((size_t)worker * 2 + (size_t)k) * w->gram_n * w->gram_n;
        eigen[k] = w->eigen + ((size_t)worker * 2 + (size_t)k) * w->gram_n;
        gram_of(gram[k], matrices[k], m->dims[0], m->dims[1], m->dims[1], NULL,
                w->gram_work + (size_t)worker * w->gram_work_bytes);
    }
    spectrum_lanes((const double *const *)gram, 2, n, eigen,
                   w->scratch + (size_t)worker * w->scratch_bytes);
    size_t larger = m->dims[0] > m->dims[1] ? m->dims[0] : m->dims[1];
    d->of[task] = proxy_nuclear(eigen[0], n, larger) * proxy_nuclear(eigen[1], n, larger);
}

static bool fits(const graph *g)
{
    for (int i = 0; i < g->n_params; i++)
        if (proxy_is_matrix(&g->params[i], PROXY_MIXERS) &&
            gram_n(g->params[i].dims[0], g->params[i].dims[1]) > PROXY_MATRIX_MAX)
            return false;
    return true;
}

static void diversity(proxy_pass *p)
{
    const graph *g = &p->s.g;
    double *layers = proxy_layers(p, SUMS);
    struct diversity d = {p, p->w.params};
    if (!proxy_wants(p, METRIC_synaptic_diversity) &&
        !proxy_wants(p, METRIC_synaptic_diversity_per_tensor) &&
        !proxy_wants(p, METRIC_synaptic_diversity_log10))
        return;
    if (!fits(g)) {
        proxy_write_undefined(p, METRIC_synaptic_diversity, METRIC_synaptic_diversity_log10,
                              REASON_TOO_LARGE);
        return;
    }
    team_run(p->job->team, diversity_task, &d, g->n_params);
    for (int l = 0; l < p->spec.depth + 2; l++) layers[l] = 0;
    for (int i = 0; i < g->n_params; i++) layers[g->params[i].layer] += d.of[i];
    proxy_write_sum(p, METRIC_synaptic_diversity, true, layers, proxy_layers(p, COUNTS));
}

void proxy_sum_matrices(proxy_pass *p)
{
    double *sums = proxy_layers(p, SUMS), *counts = proxy_layers(p, COUNTS);
    proxy_count(p, COUNTS, PROXY_MLPS);
    proxy_each_matrix(p, SUMS, PROXY_MLPS, proxy_saliency);
    proxy_write_sum(p, METRIC_synaptic_saliency, true, sums, counts);
    proxy_count(p, COUNTS, PROXY_MIXERS);
    proxy_each_matrix(p, SUMS, PROXY_MIXERS, proxy_saliency);
    proxy_write_sum(p, METRIC_head_importance, true, sums, counts);
    diversity(p);
}

/* --- confidence --------------------------------------------------------------------------------
 */

/* Largest value over the tokens, mean over features and sequences. */
static double largest_tokens(const proxy_pass *p, int v, int column, int width)
{
    const value *at = &p->s.g.values[v];
    double sum = 0;
    for (int b = 0; b < p->s.g.batch; b++)
        for (int c = 0; c < width; c++) {
            const real *x = exec_value(&p->s.x, v, b) + column + c;
            double most = (double)x[0];
            for (int r = 1; r < at->rows; r++) {
                double y = (double)x[(size_t)r * (size_t)at->ld];
                if (y > most || isnan(y)) most = y;
            }
            sum += most;
        }
    return sum / p->s.g.batch / width;
}

static void head_confidence(proxy_pass *p)
{
    const graph *g = &p->s.g;
    double *sums = proxy_layers(p, SUMS), *counts = proxy_layers(p, COUNTS);
    for (int l = 0; l < p->spec.depth + 2; l++) sums[l] = counts[l] = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        int column = 0;
        if (n->op != &op_linear || op_linear_matrices(n) != 3 || n->layer < 1 ||
            n->layer > p->spec.depth)
            continue;
        for (int k = 0; k < op_linear_matrices(n); k++) {
            int width = (int)g->params[n->params[k]].dims[0];
            sums[n->layer] += largest_tokens(p, n->outputs[0], column, width);
            counts[n->layer]++;
            column += width;
        }
    }
    proxy_write_sum(p, METRIC_head_confidence, false, sums, counts);
}

/* Mean over rows of the largest probability; what is masked is zero or not looked at. */
static double largest_probability(const proxy_pass *p, const tap *t)
{
    const value *v = &p->s.g.values[t->value];
    const node *n = &p->s.g.nodes[v->producer];
    size_t length = (size_t)p->s.g.seq_len;
    double sum = 0;
    for (int b = 0; b < p->s.g.batch; b++) {
        const real *row = exec_value(&p->s.x, t->value, b);
        for (size_t r = 0; r < (size_t)v->rows; r++, row += v->ld) {
            size_t query = r % length, end = op_attention_end(n, query, length);
            double most = 0;
            for (size_t j = op_attention_first(n, query); j < end; j++)
                if ((double)row[j] > most || isnan(row[j])) most = (double)row[j];
            sum += most;
        }
    }
    return sum / p->s.g.batch / v->rows;
}

void proxy_sum_heads(proxy_pass *p)
{
    const graph *g = &p->s.g;
    double *sums = proxy_layers(p, SUMS), *counts = proxy_layers(p, COUNTS);
    if (proxy_wants(p, METRIC_head_confidence) || proxy_wants(p, METRIC_head_confidence_per_tensor))
        head_confidence(p);
    for (int l = 0; l < p->spec.depth + 2; l++) sums[l] = counts[l] = 0;
    for (int i = 0; i < g->n_taps; i++) {
        const tap *t = &g->taps[i];
        if (site_role_of(t->site) != ROLE_pairs) continue;
        sums[t->layer] += largest_probability(p, t);
        counts[t->layer]++;
    }
    proxy_write_sum(p, METRIC_softmax_confidence, false, sums, counts);
}

static double norm_of(const proxy_pass *p, const tap *t, bool grad)
{
    const value *v = &p->s.g.values[t->value];
    double sum = 0;
    for (int b = 0; b < p->s.g.batch; b++) {
        const real *x = grad ? exec_grad(&p->s.x, t->value, b) : exec_value(&p->s.x, t->value, b);
        for (int r = 0; r < v->rows; r++, x += v->ld) sum += exec_sum_squares(x, (size_t)v->cols);
    }
    return sqrt(sum);
}

/* After a norm that takes the mean over the batch the sum of the logits is the same whatever the
 * weights: what is left of the gradient before it is rounding. */
static bool is_flat(const proxy_pass *p)
{
    const double rounding = 256 * REAL_EPSILON;
    const tap *in = proxy_tap(p, p->spec.depth, SITE_resid_out),
              *out = proxy_tap(p, p->spec.depth + 1, SITE_final_norm);
    double before = norm_of(p, in, true) * norm_of(p, in, false),
           after = norm_of(p, out, true) * norm_of(p, out, false);
    return before <= rounding * after;
}

err_code proxy_sum(proxy_pass *p, error *err)
{
    err_code code = proxy_begin(p, err);
    p->s.x.loss_mask = NULL;
    if (!code) code = proxy_forward(p, err);
    if (code) return code;
    proxy_sum_hidden(p);
    proxy_sum_codes(p);
    proxy_sum_heads(p);
    if (!p->s.backward) return ERR_OK;
    if ((code = proxy_backward(p, err))) return code;
    bool flat = is_flat(p);
    proxy_sum_inputs(p, flat);
    if (flat)
        proxy_write_undefined(p, METRIC_synaptic_saliency, METRIC_head_importance_log10,
                              REASON_ZERO);
    else
        proxy_sum_matrices(p);
    return ERR_OK;
}
