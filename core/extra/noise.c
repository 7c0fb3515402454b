/* Group noise: how far the gradients of the sequences of a batch differ.
 *
 * g_b is B times the part of sequence b in the gradient of the batch's loss, so that their mean is
 * that gradient. Each has a pass of its own over one sequence, in the buffers of the whole batch.
 * Squared norms are over all parameters; cosines over the matrices that write to the stream (W_O,
 * W_2) of the first, the middle and the last block, which are kept for all sequences: confusion is
 * min over pairs g_a.g_b < 0 (Sankararaman et al. 2020, arXiv:1904.06963), here as a cosine.
 *
 * Norms over the batch couple the sequences: REASON_COUPLED, unless measure.eval is set.
 */
#include "core/extra/noise.h"

#include "core/loss/loss.h"
#include "core/probe/gauge.h"
#include "core/run/extra.h"
#include "core/run/session.h"
#include "core/run/train.h"

#include <math.h>
#include <string.h>

enum { CHOSEN = 16 }; /* parameters */

typedef struct noise {
    bool cosines; /* are wanted */
    int chosen[CHOSEN], n_chosen;
    size_t kept;      /* entries of the chosen parameters */
    real *grads;      /* [B, kept] */
    double *products; /* [B, B] */
    double batch_sq, mean_sq;
    bool coupled;
} noise;

noise_scale noise_scale_of(double batch_sq, double mean_sq, int batch)
{
    double b = batch, left = b * batch_sq - mean_sq;
    bool rounding = fabs(left) <= 16 * REAL_EPSILON * mean_sq;
    return (noise_scale){.grad_sq = rounding ? 0 : left / (b - 1),
                         .trace = (mean_sq - batch_sq) / (1 - 1 / b)};
}

static noise shape_of(const session *s)
{
    const graph *g = &s->g;
    const bool *wanted = s->spec->measure.metrics;
    int depth = s->spec->depth, middle = (depth + 1) / 2;
    noise n = {.cosines = wanted[METRIC_grad_cos_min] || wanted[METRIC_grad_cos_mean]};
    for (int p = 0; p < g->n_params && n.cosines && n.n_chosen < CHOSEN; p++) {
        const param *w = &g->params[p];
        bool there = w->layer == 1 || w->layer == middle || w->layer == depth;
        if (w->kind != PARAM_OUTER || !there || w->grad_buffer == NONE) continue;
        n.chosen[n.n_chosen++] = p;
        n.kept += w->count;
    }
    return n;
}

/* All sequences at once, and one by one. */
static double passes(const session *s)
{
    (void)s;
    return 2;
}

static void *layout(const session *s, int n_threads, arena *a)
{
    (void)n_threads;
    size_t batch = (size_t)s->g.batch;
    noise n = shape_of(s);
    noise *out = arena_alloc(a, sizeof *out);
    n.grads = arena_alloc(a, batch * n.kept * sizeof *n.grads);
    n.products = arena_alloc(a, batch * batch * sizeof *n.products);
    if (out) *out = n;
    return out;
}

static err_code pass(exec *x, const extra_pass *how)
{
    double summed;
    if (exec_forward(x, how->progress, how->user, &summed)) return ERR_CANCELLED;
    return exec_backward(x, how->progress, how->user);
}

/* The exec that sees sequence b alone. */
static exec one_sequence(const session *s, graph *alone, int b)
{
    const graph *g = &s->g;
    exec x = s->x;
    size_t tokens = (size_t)g->seq_len, width = (size_t)s->spec->model.d_model;
    *alone = *g;
    alone->batch = alone->n_panels = 1;
    x.g = alone;
    x.first_b = b;
    x.tokens += (size_t)b * (tokens + 1);
    if (x.loss_mask) x.loss_mask += (size_t)b * tokens;
    if (x.inputs) x.inputs += (size_t)b * tokens * width;
    if (x.grad_seed) x.grad_seed += (size_t)b * tokens * width;
    x.losses += b;
    x.loss_scale *= g->batch;
    return x;
}

static double square_of_gradient(const session *s)
{
    double length = train_grad_norm(s);
    return length * length;
}

static void keep(const session *s, const noise *n, int b)
{
    real *to = n->grads + (size_t)b * n->kept;
    for (int i = 0; i < n->n_chosen; i++) {
        size_t count = s->g.params[n->chosen[i]].count;
        memcpy(to, exec_param_grad(&s->x, n->chosen[i]), count * sizeof *to);
        to += count;
    }
}

struct pairs {
    const noise *n;
    int batch;
};

static void pair_task(void *context, int task, int worker)
{
    (void)worker;
    const struct pairs *r = context;
    const noise *n = r->n;
    for (int b = 0; b <= task; b++)
        n->products[task * r->batch + b] =
            exec_dot(n->grads + (size_t)task * n->kept, n->grads + (size_t)b * n->kept, n->kept);
}

static err_code run(session *s, void *state, const extra_pass *how)
{
    noise *n = state;
    int batch = s->g.batch;
    n->coupled = exec_sums_over_batch(&s->g) && !s->x.eval;
    if (n->coupled || batch < 2) return ERR_OK;
    if (pass(&s->x, how)) return ERR_CANCELLED;
    n->batch_sq = square_of_gradient(s);
    n->mean_sq = 0;
    /* A synthetic loss is a sum over sequences, and loss_scale no part of it. */
    double times = loss_table[s->spec->train.loss]->uses_tokens ? 1 : batch;
    for (int b = 0; b < batch; b++) {
        graph alone;
        exec x = one_sequence(s, &alone, b);
        if (pass(&x, how)) return ERR_CANCELLED;
        n->mean_sq += times * times * square_of_gradient(s) / batch;
        keep(s, n, b);
    }
    struct pairs r = {n, batch};
    team_run(s->x.team, pair_task, &r, batch);
    return ERR_OK;
}

static metric_value cosine(const noise *n, int batch, int a, int b)
{
    double squares = n->products[a * batch + a] * n->products[b * batch + b];
    return squares == 0 ? value_undefined(REASON_ZERO)
                        : value_of(n->products[a * batch + b] / sqrt(squares));
}

static void report_cosines(const noise *n, int batch, extra_emit *emit, void *user)
{
    metric_value least = {.value = 2}, mean = {.value = 0};
    for (int a = 1; a < batch; a++)
        for (int b = 0; b < a; b++) {
            metric_value c = cosine(n, batch, a, b);
            if (c.reason && !mean.reason) mean = least = c;
            if (mean.reason) continue;
            mean.value += c.value * 2 / ((double)batch * (batch - 1));
            if (c.value < least.value) least = c;
        }
    if (!n->kept) least = mean = value_undefined(REASON_NO_ENTRIES);
    emit(user, -1, SITE_run, METRIC_grad_cos_min, least);
    emit(user, -1, SITE_run, METRIC_grad_cos_mean, mean);
}

static void report_undefined(reason why, extra_emit *emit, void *user)
{
    const metric all[] = {METRIC_noise_grad_sq, METRIC_noise_trace, METRIC_noise_scale,
                          METRIC_grad_cos_min, METRIC_grad_cos_mean};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        emit(user, -1, SITE_run, all[i], value_undefined(why));
}

static void report(const session *s, const void *state, extra_emit *emit, void *user)
{
    const noise *n = state;
    if (n->coupled || s->g.batch < 2) {
        report_undefined(n->coupled ? REASON_COUPLED : REASON_ONE_SEQUENCE, emit, user);
        return;
    }
    noise_scale e = noise_scale_of(n->batch_sq, n->mean_sq, s->g.batch);
    emit(user, -1, SITE_run, METRIC_noise_grad_sq, value_of(e.grad_sq));
    emit(user, -1, SITE_run, METRIC_noise_trace, value_of(e.trace));
    emit(user, -1, SITE_run, METRIC_noise_scale,
         e.grad_sq <= 0 ? value_undefined(REASON_NOISE) : value_of(e.trace / e.grad_sq));
    if (n->cosines) report_cosines(n, s->g.batch, emit, user);
}

const extra extra_noise = {.group = GROUP_noise,
                           .param_grads = true,
                           .passes = passes,
                           .layout = layout,
                           .run = run,
                           .report = report};

const gauge gauge_noise = {.passes = passes};
