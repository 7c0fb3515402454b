/* Proxies of the run's own loss: grad_norm, SNIP, GraSP, Fisher, Michel's head importance. */
#include "core/op/op.h"
#include "core/proxy/pass.h"

#include <string.h>

enum { SUMS, COUNTS, PLUS, MINUS };

static double grad_norm(const proxy_pass *p, int index)
{
    return sqrt(exec_sum_squares(exec_param_grad(&p->s.x, index), p->s.g.params[index].count));
}

/* --- Fisher ------------------------------------------------------------------------------------
 */

/* Sum over the channels of columns column..column+width of mean_b (sum_t a dl/da)^2 / 2. */
static double fisher_of(const proxy_pass *p, int v, int column, int width)
{
    const value *at = &p->s.g.values[v];
    double sum = 0;
    for (int b = 0; b < p->s.g.batch; b++)
        for (int c = 0; c < width; c++) {
            const real *a = exec_value(&p->s.x, v, b) + column + c,
                       *da = exec_grad(&p->s.x, v, b) + column + c;
            double channel = 0;
            for (int r = 0; r < at->rows; r++, a += at->ld, da += at->ld)
                channel += (double)*a * (double)*da;
            sum += channel * channel;
        }
    return sum / 2 / p->s.g.batch;
}

static void fisher(proxy_pass *p)
{
    const graph *g = &p->s.g;
    double *sums = proxy_layers(p, SUMS);
    for (int l = 0; l < p->spec.depth + 2; l++) sums[l] = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        int column = 0;
        if (n->op != &op_linear) continue;
        for (int k = 0; k < op_linear_matrices(n); k++) {
            const param *m = &g->params[n->params[k]];
            int width = (int)m->dims[0];
            if (proxy_is_matrix(m, PROXY_ALL))
                sums[n->layer] += fisher_of(p, n->outputs[0], column, width);
            column += width;
        }
    }
    proxy_write_sum(p, METRIC_fisher, true, sums, proxy_layers(p, COUNTS));
}

/* --- heads -------------------------------------------------------------------------------------
 */

/* Sum over heads of the mean over sequences of |A . dA|. */
static double head_output(const proxy_pass *p, const tap *t, int heads)
{
    const value *v = &p->s.g.values[t->value];
    int width = v->cols / heads;
    double sum = 0;
    for (int b = 0; b < p->s.g.batch; b++)
        for (int h = 0; h < heads; h++) {
            const real *a = exec_value(&p->s.x, t->value, b) + h * width,
                       *da = exec_grad(&p->s.x, t->value, b) + h * width;
            double one = 0;
            for (int r = 0; r < v->rows; r++, a += v->ld, da += v->ld)
                for (int c = 0; c < width; c++) one += (double)a[c] * (double)da[c];
            sum += fabs(one);
        }
    return sum / p->s.g.batch;
}

static void heads(proxy_pass *p)
{
    const graph *g = &p->s.g;
    double *sums = proxy_layers(p, SUMS), *counts = proxy_layers(p, PLUS);
    int n = p->spec.model.n_heads;
    for (int l = 0; l < p->spec.depth + 2; l++) sums[l] = counts[l] = 0;
    for (int i = 0; i < g->n_taps; i++) {
        if (g->taps[i].site != SITE_attn_head_out) continue;
        sums[g->taps[i].layer] += head_output(p, &g->taps[i], n);
        counts[g->taps[i].layer] += n;
    }
    proxy_write_sum(p, METRIC_head_importance_output, true, sums, counts);
}

/* --- GraSP -------------------------------------------------------------------------------------
 */

static double weighted_gradient(const proxy_pass *p, int index)
{
    const real *w = p->w.weights + p->s.g.params[index].data, *dw = exec_param_grad(&p->s.x, index);
    double sum = 0;
    for (size_t i = 0; i < p->s.g.params[index].count; i++) sum += (double)w[i] * (double)dw[i];
    return sum;
}

/* Lengths of all matrices, and of their gradients. */
static void lengths(proxy_pass *p, double *of_weights, double *of_gradient)
{
    const graph *g = &p->s.g;
    double w = 0, dw = 0;
    for (int i = 0; i < g->n_params; i++) {
        if (!proxy_is_matrix(&g->params[i], PROXY_ALL)) continue;
        w += exec_sum_squares(p->w.weights + g->params[i].data, g->params[i].count);
        dw += exec_sum_squares(p->w.gradient + g->params[i].data, g->params[i].count);
    }
    *of_weights = sqrt(w), *of_gradient = sqrt(dw);
}

/* W = W_0 + step g in the matrices. */
static void move(proxy_pass *p, double step)
{
    const graph *g = &p->s.g;
    for (int i = 0; i < g->n_params; i++) {
        if (!proxy_is_matrix(&g->params[i], PROXY_ALL)) continue;
        const real *from = p->w.weights + g->params[i].data,
                   *along = p->w.gradient + g->params[i].data;
        real *w = exec_param(&p->s.x, i);
        for (size_t k = 0; k < g->params[i].count; k++)
            w[k] = (real)((double)from[k] + step * (double)along[k]);
    }
}

static void keep(proxy_pass *p)
{
    const graph *g = &p->s.g;
    memcpy(p->w.weights, p->s.x.params, p->s.p.param_count * sizeof(real));
    for (int i = 0; i < g->n_params; i++)
        if (proxy_is_matrix(&g->params[i], PROXY_ALL))
            memcpy(p->w.gradient + g->params[i].data, exec_param_grad(&p->s.x, i),
                   g->params[i].count * sizeof(real));
}

/* -W (H g), H g = (g(W + e g) - g(W - e g)) / (2 e), |e g| = 1e-3 |W| in float32 (where the error
 * of rounding meets that of the step), 1e-6 |W| in float64 (1e-9 of the score on smooth networks;
 * the shorter the step, the fewer kinks of ReLU it crosses). */
static err_code grasp(proxy_pass *p, error *err)
{
    const double relative = REAL_BITS == 64 ? 1e-6 : 1e-3;
    double length, slope;
    double *plus = proxy_layers(p, PLUS), *minus = proxy_layers(p, MINUS);
    keep(p);
    lengths(p, &length, &slope);
    if (!(slope > 0) || !isfinite(slope) || length == 0) {
        proxy_write_undefined(p, METRIC_grasp, METRIC_grasp_per_tensor,
                              slope == 0 || length == 0 ? REASON_ZERO : REASON_NAN);
        return ERR_OK;
    }
    double step = relative * length / slope;
    for (int side = 0; side < 2; side++) {
        move(p, side ? -step : step);
        p->done += p->inside;
        err_code code = proxy_forward(p, err);
        if (!code) code = proxy_backward(p, err);
        if (code) return code;
        proxy_each_matrix(p, side ? MINUS : PLUS, PROXY_ALL, weighted_gradient);
    }
    for (int l = 0; l < p->spec.depth + 2; l++) plus[l] = -(plus[l] - minus[l]) / (2 * step);
    proxy_write_sum(p, METRIC_grasp, false, plus, proxy_layers(p, COUNTS));
    return ERR_OK;
}

err_code proxy_loss(proxy_pass *p, error *err)
{
    double *sums = proxy_layers(p, SUMS), *counts = proxy_layers(p, COUNTS);
    err_code code = proxy_begin(p, err);
    if (!code) code = proxy_forward(p, err);
    if (!code) code = proxy_backward(p, err);
    if (code) return code;
    proxy_count(p, COUNTS, PROXY_ALL);
    proxy_each_matrix(p, SUMS, PROXY_ALL, grad_norm);
    proxy_write_sum(p, METRIC_grad_norm_sum, true, sums, counts);
    proxy_each_matrix(p, SUMS, PROXY_ALL, proxy_saliency);
    proxy_write_sum(p, METRIC_snip, true, sums, counts);
    if (proxy_keeps(p->job->spec, PROXY_LOSS).keep_all) {
        fisher(p);
        heads(p);
    }
    bool curved = proxy_wants(p, METRIC_grasp) || proxy_wants(p, METRIC_grasp_per_tensor);
    return curved ? grasp(p, err) : ERR_OK;
}
