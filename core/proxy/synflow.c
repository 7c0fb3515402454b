/* SynFlow (Tanaka et al., arXiv:2006.05467): score = sum of |W| dR/d|W|, R the sum of the outputs
 * for an input of ones. The network is a linear map with non-negative numbers, so every factor
 * taken out of the stream comes back as a factor of R: R = 2^E R', E the exponents taken out after
 * the blocks, and no depth overflows. In a chain without skips each matrix has the whole of R as
 * its share. */
#include "core/op/op.h"
#include "core/proxy/pass.h"

#include <string.h>

enum { SUMS, COUNTS, LOGS };

static void make_positive(session *s)
{
    size_t width = (size_t)s->spec->model.d_model;
    for (size_t i = 0; i < s->p.param_count; i++)
        s->x.params[i] = (real)fabs((double)s->x.params[i]);
    for (size_t i = 0; i < width; i++) s->data.inputs[i] = s->data.grad_seed[i] = 1;
}

static const node *rescale_of(session *s, const tap *t)
{
    return &s->g.nodes[s->g.values[t->value].producer];
}

static double largest(const session *s, const tap *t)
{
    const value *v = &s->g.values[t->value];
    const real *x = exec_value(&s->x, t->value, 0);
    double most = 0;
    for (int i = 0; i < v->cols; i++) {
        if (isnan(x[i])) return (double)NAN;
        most = fmax(most, fabs((double)x[i]));
    }
    return most;
}

/* What is added inside the blocks above grows with the stream they read. */
static void scale_biases(session *s, int above, int exponent)
{
    const graph *g = &s->g;
    for (int i = 0; i < g->n_params; i++) {
        const param *b = &g->params[i];
        bool adds = b->kind == PARAM_BIAS || b->kind == PARAM_SHIFT;
        real *at = exec_param(&s->x, i);
        for (size_t k = 0; adds && b->layer > above && k < b->count; k++)
            at[k] = (real)ldexp((double)at[k], exponent);
    }
}

/* Sets the factors of all blocks up to the first whose stream is not finite; true when none is. */
static bool level(proxy_pass *p, int *exponents)
{
    session *s = &p->s;
    int before = 0;
    for (int i = 0; i < s->g.n_taps; i++) {
        const tap *t = &s->g.taps[i];
        if (t->site != SITE_resid_out) continue;
        double most = largest(s, t);
        if (!isfinite(most)) return false;
        if (most == 0) return true;
        int now = ilogb(most), step = now - before;
        before = now;
        op_scale_by_power(rescale_of(s, t), -step);
        scale_biases(s, t->layer, -step);
        *exponents += step;
    }
    return true;
}

static void write_logs(proxy_pass *p, int layer, double sum, int exponents)
{
    const double log10_of_2 = 0.30102999566398119521;
    proxy_write(p, layer, METRIC_synflow_log10,
                sum == 0 ? value_undefined(REASON_ZERO)
                         : value_of(log10(sum) + exponents * log10_of_2));
}

static void write(proxy_pass *p, int exponents)
{
    double *sums = proxy_layers(p, SUMS), total = 0;
    proxy_count(p, COUNTS, PROXY_ALL);
    proxy_each_matrix(p, SUMS, PROXY_ALL, proxy_saliency);
    for (int l = 1; l <= p->spec.depth; l++) {
        write_logs(p, l, sums[l], exponents);
        total += sums[l];
        sums[l] = ldexp(sums[l], exponents);
    }
    write_logs(p, -1, total, exponents);
    proxy_write_sum(p, METRIC_synflow, false, sums, proxy_layers(p, COUNTS));
}

err_code proxy_synflow(proxy_pass *p, error *err)
{
    int exponents = 0;
    bool settled = false;
    err_code code = proxy_begin(p, err);
    make_positive(&p->s);
    for (int pass = 0; !code && !settled && pass <= p->spec.depth; pass++) {
        code = proxy_forward(p, err);
        if (!code) settled = level(p, &exponents);
    }
    if (!code) code = proxy_forward(p, err);
    if (!code) code = proxy_backward(p, err);
    if (!code) write(p, exponents);
    return code;
}
