#include "core/proxy/pass.h"

#include "core/run/profile.h"
#include "core/run/tensors.h"
#include "core/run/train.h"

#include <string.h>

bool proxy_wants(const proxy_pass *p, metric m)
{
    return p->job->spec->measure.metrics[m];
}

void proxy_flush(proxy_pass *p)
{
    const sink *to = p->job->to;
    if (p->n_rows && to->measure) to->measure(to->user, p->rows, p->n_rows);
    p->n_rows = 0;
}

void proxy_write(proxy_pass *p, int layer, metric m, metric_value v)
{
    if (!proxy_wants(p, m)) return;
    if (p->n_rows == PROXY_ROWS) proxy_flush(p);
    p->rows[p->n_rows++] = (measurement){
        .layer = layer, .site = SITE_run, .metric = m, .value = v.value, .reason = v.reason};
}

static metric_value log10_of(double x)
{
    return x == 0 ? value_undefined(REASON_ZERO) : value_of(log10(x));
}

static void write_one(proxy_pass *p, int layer, metric m, bool with_log, double sum, double count)
{
    bool any = count > 0;
    proxy_write(p, layer, m, any ? value_of(sum) : value_undefined(REASON_NO_ENTRIES));
    proxy_write(p, layer, (metric)(m + 1),
                any ? value_of(sum / count) : value_undefined(REASON_NO_ENTRIES));
    if (with_log)
        proxy_write(p, layer, (metric)(m + 2),
                    any ? log10_of(sum) : value_undefined(REASON_NO_ENTRIES));
}

void proxy_write_sum(
    proxy_pass *p, metric m, bool with_log, const double *sums, const double *counts)
{
    double sum = 0, count = 0;
    for (int l = 1; l <= p->spec.depth; l++) {
        write_one(p, l, m, with_log, sums[l], counts[l]);
        sum += sums[l];
        count += counts[l];
    }
    write_one(p, -1, m, with_log, sum, count);
}

void proxy_write_undefined(proxy_pass *p, metric first, metric last, reason why)
{
    for (int m = (int)first; m <= (int)last; m++)
        proxy_write(p, -1, (metric)m, value_undefined(why));
}

static bool on_stage(void *user, int at, int n_stages, int layer)
{
    proxy_pass *p = user;
    const proxy_job *job = p->job;
    double share = p->inside * (at + 1.0) / n_stages;
    progress now = {.steps = job->spec->train.steps,
                    .layer = layer,
                    .layers = job->spec->depth,
                    .fraction = (p->done + share) / job->total};
    return !job->to->progress || job->to->progress(job->to->user, &now);
}

err_code proxy_forward(proxy_pass *p, error *err)
{
    double loss;
    return exec_forward(&p->s.x, on_stage, p, &loss) ? exec_cancelled(err) : ERR_OK;
}

err_code proxy_backward(proxy_pass *p, error *err)
{
    return exec_backward(&p->s.x, on_stage, p) ? exec_cancelled(err) : ERR_OK;
}

/* Which data and weights are the run's: tensor_when TENSOR_PROXY of engine.h. */
static int data_of(proxy_family f)
{
    return f == PROXY_ZEN ? 2 : f == PROXY_SYNFLOW ? 1 : 0;
}

static err_code profile(proxy_pass *p, error *err)
{
    session_use_batch(&p->s, 0);
    return exec_profile(&p->s.x, on_stage, p) ? exec_cancelled(err) : ERR_OK;
}

/* As the run itself starts (core/run/runner.c). */
err_code proxy_begin(proxy_pass *p, error *err)
{
    session *s = &p->s;
    const sink *to = p->job->to;
    session_fill(s, p->job->input, p->job->team);
    exec_begin_state(&s->x);
    train_project(s);
    bool profiles = exec_profiles(&s->g) && p->family != PROXY_SYNFLOW;
    err_code code = profiles ? profile(p, err) : ERR_OK;
    if (code) return code;
    profile_mark before = profiles ? profile_mark_of(&s->x) : (profile_mark){0};
    if (to->tensor && !report_tensors(s, TENSOR_PROXY, data_of(p->family), to))
        return error_set(err, ERR_IO, "", "a tensor could not be handed over");
    train_project(s);
    session_use_batch(s, 0);
    return profiles && profile_is_stale(&s->x, before) ? profile(p, err) : ERR_OK;
}

bool proxy_is_matrix(const param *p, proxy_set set)
{
    return (p->kind == PARAM_INNER || p->kind == PARAM_OUTER) && p->rank == 2 &&
           (set == PROXY_ALL || block_matrix_mixes(p->matrix) == (set == PROXY_MIXERS));
}

double *proxy_layers(const proxy_pass *p, int vector)
{
    return p->w.layers + (size_t)vector * (size_t)(p->spec.depth + 2);
}

struct each {
    proxy_pass *p;
    double *out;
    proxy_set set;
    proxy_of_param *f;
};

static void each_task(void *context, int task, int worker)
{
    (void)worker;
    const struct each *e = context;
    bool counts = proxy_is_matrix(&e->p->s.g.params[task], e->set);
    e->out[task] = counts ? e->f(e->p, task) : 0;
}

void proxy_each_matrix(proxy_pass *p, int vector, proxy_set set, proxy_of_param *f)
{
    const graph *g = &p->s.g;
    double *layers = proxy_layers(p, vector);
    struct each e = {p, p->w.params + (size_t)vector * (size_t)g->n_params, set, f};
    team_run(p->job->team, each_task, &e, g->n_params);
    for (int l = 0; l < p->spec.depth + 2; l++) layers[l] = 0;
    for (int i = 0; i < g->n_params; i++) layers[g->params[i].layer] += e.out[i];
}

static double one(const proxy_pass *p, int index)
{
    (void)p;
    (void)index;
    return 1;
}

void proxy_count(proxy_pass *p, int vector, proxy_set set)
{
    proxy_each_matrix(p, vector, set, one);
}

double proxy_saliency(const proxy_pass *p, int index)
{
    const real *w = exec_param(&p->s.x, index), *dw = exec_param_grad(&p->s.x, index);
    double sum = 0;
    for (size_t i = 0; i < p->s.g.params[index].count; i++)
        sum += fabs((double)w[i] * (double)dw[i]);
    return sum;
}
