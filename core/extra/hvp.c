#include "core/extra/hvp.h"

#include <string.h>

#if REAL_BITS == 64
#define HVP_DIFFERENCE 1e-6
#else
#define HVP_DIFFERENCE 3e-4
#endif

void hvp_layout(hvp *h, const plan *p, arena *a)
{
    *h = (hvp){0};
    flat_layout(&h->f, p, a);
    h->weights = arena_alloc(a, p->param_count * sizeof *h->weights);
}

static bool reads(const graph *g, const node *n, size_t first, size_t end)
{
    for (int i = 0; i < n->n_params; i++) {
        const param *p = &g->params[n->params[i]];
        if (p->data < end && p->data + p->count > first) return true;
    }
    return false;
}

void hvp_begin(hvp *h, exec *x, size_t first, size_t end)
{
    const graph *g = x->g;
    int i = 0;
    h->f.x = x;
    h->f.first = first;
    h->f.end = end;
    while (i < g->n_nodes && !reads(g, &g->nodes[i], first, end)) i++;
    h->segment = i < g->n_nodes ? g->nodes[i].segment : g->n_segments - 1;
    memcpy(h->weights, x->params, x->p->param_count * sizeof *h->weights);
    double square =
        end > first ? flat_dot(&h->f, h->weights, h->weights) / (double)(end - first) : 0;
    h->usual = square > 0 ? sqrt(square) : 1;
}

static err_code differentiate(hvp *h, exec_progress *progress, void *user)
{
    exec *x = h->f.x;
    int last = x->g->n_segments - 1;
    if (exec_forward_part(x, h->segment, last, progress, user)) return ERR_CANCELLED;
    return exec_backward_part(x, h->segment, last, progress, user);
}

err_code hvp_gradient(hvp *h, real *out, exec_progress *progress, void *user)
{
    err_code code = differentiate(h, progress, user);
    if (!code) flat_gradient(&h->f, out);
    return code;
}

err_code hvp_apply(hvp *h, const real *v, real *out, exec_progress *progress, void *user)
{
    const flat *f = &h->f;
    double stretch = flat_stretch(f, h->weights, v, h->usual),
           step = stretch > 0 ? HVP_DIFFERENCE / stretch : 1;
    flat_displace(f, h->weights, step, v);
    err_code code = hvp_gradient(h, out, progress, user);
    if (!code) {
        flat_displace(f, h->weights, -step, v);
        code = differentiate(h, progress, user);
    }
    if (!code) flat_gradient_less(f, out, 1 / (2 * step));
    memcpy(f->x->params + f->first, h->weights + f->first, (f->end - f->first) * sizeof *out);
    return code;
}
