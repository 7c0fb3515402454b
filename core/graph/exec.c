#include "core/graph/exec.h"

#include <string.h>

static real *in_buffer(const exec *x, int index, const value *v, int b)
{
    if (index == NONE) return NULL;
    return (real *)(void *)(x->tensors + x->p->buffers[index].offset) +
           (size_t)(b + x->first_b) * (size_t)v->rows * (size_t)v->ld + v->column;
}

real *exec_value(const exec *x, int v, int b)
{
    const value *val = &x->g->values[v];
    return in_buffer(x, val->buffer[x->side], val, b);
}

real *exec_grad(const exec *x, int v, int b)
{
    const value *val = &x->g->values[v];
    return in_buffer(x, val->grad_buffer, val, b);
}

real *exec_grad_so_far(const exec *x, int v, int segment, int b)
{
    const graph *g = x->g;
    const value *val = &g->values[v];
    if (val->parent != NONE) return NULL;
    for (int i = g->n_nodes - 1; i > val->producer; i--) {
        const node *n = &g->nodes[i];
        if (n->segment > segment) continue;
        for (int k = 0; k < n->n_inputs; k++)
            if (graph_root(g, n->inputs[k]) == v) return in_buffer(x, n->grads[k].base, val, b);
    }
    return in_buffer(x, val->grad_buffer, val, b);
}

const real *exec_grad_base(const exec *x, const node *n, int i, int b)
{
    return in_buffer(x, n->grads[i].base, &x->g->values[n->inputs[i]], b);
}

real exec_grad_prepare(const exec *x, const node *n, int i, int b0, int b1)
{
    const value *v = &x->g->values[n->inputs[i]];
    const real *base = exec_grad_base(x, n, i, b0);
    if (!base) return 0;
    real *out = exec_grad(x, n->inputs[i], b0);
    if (base != out)
        memcpy(out, base, (size_t)(b1 - b0) * (size_t)v->rows * (size_t)v->ld * sizeof *out);
    return 1;
}

real *exec_scratch(const exec *x, int worker)
{
    return x->scratch + x->p->scratch_reals * (size_t)worker;
}

const real *exec_constants(const exec *x, const node *n)
{
    return n->fill ? x->constants + n->constants : NULL;
}

real *exec_weight(const exec *x, int p)
{
    return x->params + x->g->params[p].data;
}

real *exec_param(const exec *x, int p)
{
    const param *w = &x->g->params[p];
    return x->rounded && w->rank == 2 ? x->rounded + w->data : x->params + w->data;
}

real *exec_param_grad(const exec *x, int p)
{
    return (real *)(void *)(x->tensors + x->p->buffers[x->g->params[p].grad_buffer].offset);
}

double *exec_partials(const exec *x, const node *n, int panel)
{
    return x->partials + n->partials + n->partial_count * (size_t)panel;
}

void exec_sum_partials(const exec *x, const node *n)
{
    size_t at = 0;
    for (int i = 0; i < n->n_params; i++) {
        real *grad = exec_param_grad(x, n->params[i]);
        size_t width = x->g->params[n->params[i]].count;
        for (size_t j = 0; j < width; j++) {
            double sum = n->accumulates >> i & 1 ? (double)grad[j] : 0;
            for (const node *m = n;; m = &x->g->nodes[m->chain]) {
                for (int panel = 0; panel < x->g->n_panels; panel++)
                    sum += exec_partials(x, m, panel)[at + j];
                if (m->chain == NONE) break;
            }
            grad[j] = (real)sum;
        }
        exec_slice(x, n->params[i], 0, grad, width);
        at += width;
    }
}

double *exec_stats(const exec *x, const node *n)
{
    return x->stats + n->stats;
}

const double *exec_state(const exec *x, const node *n)
{
    return x->state[0] + n->state;
}

double *exec_state_start(const exec *x, const node *n)
{
    return x->state[0] + n->state;
}

double *exec_state_next(const exec *x, const node *n)
{
    return x->state[1] + n->state;
}

CLONES static double sum_squares(const real *g, size_t n)
{
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (size_t i = 0; i < n; i++) total += (double)g[i] * (double)g[i];
    return total;
}

CLONES static double dot(const real *a, const real *b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

double exec_dot(const real *a, const real *b, size_t n)
{
    return dot(a, b, n);
}

double exec_sum_squares(const real *v, size_t n)
{
    return sum_squares(v, n);
}

void exec_slice(const exec *x, int p, int slice, const real *grad, size_t count)
{
    size_t at = x->g->params[p].slices + (size_t)slice;
    x->slices[at] = sum_squares(grad, count);
    if (x->spread && x->watch) x->spread[at] = grad_spread_of(grad, count);
}
