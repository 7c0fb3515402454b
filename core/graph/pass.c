#include "core/graph/pass.h"

#include "core/graph/op.h"
#include "core/graph/rounding.h"

#include <string.h>

static bool all_finite(const real *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i])) return false;
    return true;
}

/* Later outputs of a node are made first (attention: logits, probabilities, values). */
static void locate(exec *x, int index, const span *s)
{
    const node *n = &x->g->nodes[index];
    for (int k = n->n_outputs - 1; k >= 0; k--) {
        const value *v = &x->g->values[n->outputs[k]];
        const real *made = exec_value(x, n->outputs[k], s->b0);
        if (!made || all_finite(made, (size_t)v->rows * (size_t)v->ld * (size_t)(s->b1 - s->b0)))
            continue;
        int place = index * NODE_OUTPUTS + (NODE_OUTPUTS - 1 - k),
            seen = atomic_load(&x->first_bad);
        while (place < seen && !atomic_compare_exchange_weak(&x->first_bad, &seen, place)) {
        }
        return;
    }
}

/* Of the gradient of output 0 of a node, complete. */
static void locate_grad(exec *x, int index, const span *s)
{
    const node *n = &x->g->nodes[index];
    const value *v = &x->g->values[n->outputs[0]];
    const real *grad = exec_grad(x, n->outputs[0], s->b0);
    int seen = atomic_load(&x->first_bad_grad);
    if (!grad || index <= seen || n->outputs[0] == x->g->loss_value) return;
    if (all_finite(grad, (size_t)v->rows * (size_t)v->ld * (size_t)(s->b1 - s->b0))) return;
    while (index > seen && !atomic_compare_exchange_weak(&x->first_bad_grad, &seen, index)) {
    }
}

static void forward_span(exec *x, const stage *st, const span *s)
{
    int end = st->first_node + st->n_nodes;
    for (int i = st->first_node; i < end; i++) {
        const node *n = &x->g->nodes[i];
        n->op->forward(x, n, s);
        if (x->g->spec->rounding.activations) round_outputs(x, n, s);
        if (x->locate) locate(x, i, s);
        if (x->watch) x->watch->values(x->watch->user, x, n, s);
    }
    for (int i = end; i < end + st->n_next && !x->eval; i++)
        x->g->nodes[i].op->prepare(x, &x->g->nodes[i], s);
}

static void backward_node(exec *x, const node *n, const span *s)
{
    bool wanted = n->partial_count > 0 || n->recompute;
    for (int k = 0; k < n->n_inputs; k++) wanted |= n->grads[k].wanted;
    if (!n->op->backward || !wanted) return;
    n->op->backward(x, n, s);
    if (n->recompute && x->g->spec->rounding.activations) round_outputs(x, n, s);
    if (x->g->spec->rounding.gradients) round_input_grads(x, n, s);
}

static void backward_span(exec *x, const stage *st, const span *s)
{
    int first = st->first_node, end = first + st->n_nodes;
    for (int i = end + st->n_next - 1; i >= end; i--) backward_node(x, &x->g->nodes[i], s);
    for (int i = end - 1; i >= first; i--) {
        const node *n = &x->g->nodes[i];
        if (round_clips(x->g->spec)) round_clip_grad(x, n, s);
        if (x->locate) locate_grad(x, i, s);
        if (x->watch) x->watch->grads(x->watch->user, x, n, s, false);
        if (i < first + st->n_heads)
            n->op->backward_prepare(x, n, s);
        else
            backward_node(x, n, s);
        if (x->watch) x->watch->grads(x->watch->user, x, n, s, true);
    }
}

struct stage_run {
    exec *x;
    const stage *stage;
    int first; /* of the stage's tasks that run at once */
};

static void stage_work(void *context, int task, int worker)
{
    struct stage_run *run = context;
    exec *x = run->x;
    const stage *st = run->stage;
    if (st->kind == STAGE_TASKS) {
        const plan_task *w = &x->p->tasks[st->first_task + run->first + task];
        const node *n = &x->g->nodes[w->node];
        if (st->backward && x->skip_params && !n->op->prepare) return;
        if (st->backward)
            n->op->param_task(x, n, w->task);
        else
            n->op->reduce(x, n);
        return;
    }
    span s = {graph_panel_start(x->g, task), graph_panel_start(x->g, task + 1), task, worker};
    if (st->backward)
        backward_span(x, st, &s);
    else
        forward_span(x, st, &s);
}

/* Where the tasks end that may run at once with the one at `first`. */
static int tasks_end(const exec *x, const stage *st, int first)
{
    int end = first + 1;
    while (end < st->n_tasks && !x->p->tasks[st->first_task + end].waits) end++;
    return end;
}

static void run_stage(exec *x, const stage *st)
{
    struct stage_run run = {x, st, 0};
    if (st->kind == STAGE_SPANS) {
        team_run(x->team, stage_work, &run, x->g->n_panels);
        return;
    }
    for (int end; run.first < st->n_tasks; run.first = end) {
        end = tasks_end(x, st, run.first);
        team_run(x->team, stage_work, &run, end - run.first);
    }
}

static err_code run_stages(exec *x, int first, int last, exec_progress *progress, void *user)
{
    for (int i = first; i < last; i++) {
        const stage *st = &x->p->stages[i];
        run_stage(x, st);
        if (x->watch) x->watch->stage(x->watch->user, x, st);
        if (progress && !progress(user, i, x->p->n_stages, st->segment)) return ERR_CANCELLED;
    }
    return ERR_OK;
}

static void begin_forward(exec *x)
{
    x->side = 0;
    if (x->rounded) round_weights(x);
    atomic_store(&x->first_bad, x->g->n_nodes * NODE_OUTPUTS);
    if (x->p->state_count && !x->eval)
        memcpy(x->state[1], x->state[0], x->p->state_count * sizeof *x->state[0]);
}

err_code exec_forward(exec *x, exec_progress *progress, void *user, double *loss)
{
    begin_forward(x);
    err_code code = run_stages(x, 0, x->p->n_forward, progress, user);
    *loss = 0;
    for (int b = 0; b < x->g->batch; b++) *loss += x->losses[b];
    *loss *= x->loss_scale;
    return code;
}

/* grad_scale is a power of two: dividing it out changes no digit. */
static void unscale(exec *x)
{
    double down = 1 / x->grad_scale;
    for (size_t i = 0; i < x->p->slice_count; i++) x->slices[i] *= down * down;
    for (size_t i = 0; i < x->p->slice_count && x->spread && x->watch; i++)
        grad_spread_scale(&x->spread[i], down);
    for (int p = 0; p < x->g->n_params && x->p->keeps_param_grads; p++) {
        if (x->g->params[p].grad_buffer == NONE) continue;
        real *grad = exec_param_grad(x, p);
        for (size_t i = 0; i < x->g->params[p].count; i++) grad[i] *= (real)down;
    }
}

err_code exec_backward(exec *x, exec_progress *progress, void *user)
{
    x->side = 1;
    atomic_store(&x->first_bad_grad, NONE);
    err_code code = run_stages(x, x->p->n_forward, x->p->n_stages, progress, user);
    if (!code && x->grad_scale != 1) unscale(x);
    return code;
}

/* The first of stages first..end-1 whose segment is s or comes after it in their order. */
static int find_stage(const plan *p, int first, int end, int s, bool descending)
{
    while (first < end) {
        int mid = (first + end) / 2, at = p->stages[mid].segment;
        if (descending ? at > s : at < s)
            first = mid + 1;
        else
            end = mid;
    }
    return first;
}

err_code exec_forward_part(exec *x, int first, int last, exec_progress *progress, void *user)
{
    begin_forward(x);
    return run_stages(x, find_stage(x->p, 0, x->p->n_forward, first, false),
                      find_stage(x->p, 0, x->p->n_forward, last + 1, false), progress, user);
}

err_code exec_backward_part(exec *x, int first, int last, exec_progress *progress, void *user)
{
    int begin = x->p->n_forward, end = x->p->n_stages;
    x->side = 1;
    return run_stages(x, find_stage(x->p, begin, end, last, true),
                      find_stage(x->p, begin, end, first - 1, true), progress, user);
}

int exec_leaving(const graph *g, int segment, int except, int *out)
{
    int count = 0;
    for (int i = g->n_nodes - 1; i >= 0 && g->nodes[i].segment > segment; i--)
        for (int k = 0; k < g->nodes[i].n_inputs; k++) {
            int v = graph_root(g, g->nodes[i].inputs[k]), seen = v == except;
            for (int j = 0; j < count && !seen; j++) seen = out[j] == v;
            if (!seen && g->nodes[g->values[v].producer].segment <= segment) out[count++] = v;
        }
    return count;
}

void exec_begin_state(exec *x)
{
    const graph *g = x->g;
    if (!x->p->state_count) return;
    memset(x->state[0], 0, x->p->state_count * sizeof *x->state[0]);
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        if (n->state_count && n->op->state_start) n->op->state_start(g, n, x->state[0] + n->state);
    }
}

void exec_commit(exec *x)
{
    double *old = x->state[0];
    x->state[0] = x->state[1];
    x->state[1] = old;
}

bool exec_profiles(const graph *g)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].profiled) return true;
    return false;
}

bool exec_sums_over_batch(const graph *g)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op->prepare) return true;
    return false;
}

bool exec_heeds_eval(const graph *g)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op->by_chance) return true;
    return exec_sums_over_batch(g);
}

/* A span stage up to and with each node that is profiled, then the rest. */
static void profile_stage(exec *x, const stage *st)
{
    stage part = *st;
    int end = st->first_node + st->n_nodes;
    for (int i = st->first_node; i < end; i++) {
        const node *n = &x->g->nodes[i];
        if (!n->profiled) continue;
        part.n_nodes = i + 1 - part.first_node;
        part.n_next = 0;
        run_stage(x, &part);
        n->op->profile(x, n);
        part.first_node = i + 1;
    }
    part.n_nodes = end - part.first_node;
    part.n_next = st->n_next;
    run_stage(x, &part);
}

err_code exec_profile(exec *x, exec_progress *progress, void *user)
{
    const watch *kept = x->watch;
    err_code code = ERR_OK;
    x->watch = NULL;
    x->profiling = true;
    begin_forward(x);
    for (int i = 0; i < x->p->n_forward && !code; i++) {
        const stage *st = &x->p->stages[i];
        if (st->kind == STAGE_SPANS)
            profile_stage(x, st);
        else
            run_stage(x, st);
        if (progress && !progress(user, i, x->p->n_stages, st->segment)) code = ERR_CANCELLED;
    }
    x->profiling = false;
    x->watch = kept;
    return code;
}

err_code exec_cancelled(error *err)
{
    return error_set(err, ERR_CANCELLED, "", "the run was cancelled");
}
