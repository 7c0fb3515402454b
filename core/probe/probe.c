#include "core/probe/probe.h"

#include "core/op/op.h"

void probe_init(probe *p, const graph *g)
{
    *p = (probe){.g = g};
    p->needs = gauge_needs(g->spec, p->takes_part);
    for (int k = 0; k < GROUP_COUNT; k++)
        if (p->takes_part[k]) p->active[p->n_active++] = k;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static const gauge *active_gauge(const probe *p, int i)
{
    return gauge_table[p->active[i]];
}

static void *state_of(const probe *p, int i)
{
    return p->states[p->active[i]];
}

static unsigned reads_of(const probe *p, int tap_index, int i)
{
    return p->reads[(size_t)tap_index * (size_t)p->n_active + (size_t)i];
}

static void note_reads(probe *p, int tap_index)
{
    p->reads_any[tap_index] = 0;
    for (int i = 0; i < p->n_active; i++) {
        const gauge *one = active_gauge(p, i);
        const unsigned reads = one->reads ? one->reads(p->g, &p->g->taps[tap_index]) : 0;
        p->reads[(size_t)tap_index * (size_t)p->n_active + (size_t)i] = (unsigned char)reads;
        p->reads_any[tap_index] |= (unsigned char)reads;
    }
}

void probe_layout(probe *p, const graph *g, int n_threads, arena *a)
{
    size_t widest = 0;
    probe_init(p, g);
    p->reads = arena_alloc(a, (size_t)g->n_taps * (size_t)p->n_active * sizeof *p->reads);
    p->reads_any = arena_alloc(a, (size_t)g->n_taps * sizeof *p->reads_any);
    for (int i = 0; i < g->n_taps; i++) {
        const tap *t = &g->taps[i];
        const value *v = &g->values[t->value];
        const size_t rows = t->is_matrix ? (size_t)g->seq_len : (size_t)v->rows;
        widest = max_size(widest, slab_bytes(rows, (size_t)v->cols));
        if ((p->needs & GAUGE_BACKWARD) && g->spec->rounding.loss_scale != 1)
            p->unscaled_reals = max_size(p->unscaled_reals, (size_t)v->rows * (size_t)v->ld);
        if (p->reads && p->reads_any) note_reads(p, i);
    }
    p->work_bytes = (widest + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    p->work = arena_alloc(a, (size_t)n_threads * p->work_bytes);
    p->unscaled = arena_alloc(a, (size_t)n_threads * p->unscaled_reals * sizeof(real));
    for (int i = 0; i < p->n_active; i++)
        if (active_gauge(p, i)->layout)
            p->states[p->active[i]] = active_gauge(p, i)->layout(g, n_threads, a);
}

static char *work_of(const probe *p, int worker)
{
    return p->work + p->work_bytes * (size_t)worker;
}

static void give_slab(const probe *p, const look *l, const slab *s, size_t row)
{
    for (int i = 0; i < p->n_active; i++)
        if (reads_of(p, l->at, i) & GAUGE_SLABS)
            active_gauge(p, i)->slab(state_of(p, i), l, s, row);
}

/* The two passes over a value; over a matrix of pairs one slab per head, of what its rows see. */
static void look_at_slabs(const probe *p, const look *l)
{
    const size_t rows = (size_t)l->v->rows, cols = (size_t)l->v->cols;
    const size_t one = l->t->is_matrix ? cols : rows;
    slab s;
    for (size_t r = 0; r < rows; r += one) {
        if (l->t->is_matrix)
            slab_sums_window(&s, l->data + r * cols, one, cols, op_attention_args(l->n)->causal,
                             (size_t)op_attention_args(l->n)->window, work_of(p, l->worker));
        else
            slab_sums(&s, l->data, rows, cols, (size_t)l->v->ld, false, work_of(p, l->worker));
        slab_centre(&s);
        give_slab(p, l, &s, r);
    }
}

static look look_of(const probe *p, const exec *x, const node *n, int tap_index, int b, int worker)
{
    const tap *t = &p->g->taps[tap_index];
    return (look){p->g, x, n, t, &p->g->values[t->value], tap_index, b, worker, NULL};
}

static void look_at_value(const probe *p, look *l)
{
    l->data = exec_value(l->x, l->t->value, l->b);
    for (int i = 0; i < p->n_active; i++)
        if (reads_of(p, l->at, i) & GAUGE_VALUE) active_gauge(p, i)->value(state_of(p, i), l);
    if (p->reads_any[l->at] & GAUGE_SLABS) look_at_slabs(p, l);
}

static void watch_values(void *user, const exec *x, const node *n, const span *s)
{
    probe *p = user;
    for (int t = n->first_tap; t != NONE; t = p->g->taps[t].next)
        for (int b = s->b0; b < s->b1; b++) {
            look l = look_of(p, x, n, t, b, s->worker);
            if (p->reads_any[t] & (GAUGE_VALUE | GAUGE_SLABS)) look_at_value(p, &l);
        }
    for (int i = 0; n->branch_tap != NONE && i < p->n_active; i++)
        if (active_gauge(p, i)->sum && reads_of(p, n->branch_tap, i))
            active_gauge(p, i)->sum(state_of(p, i), x, n, s);
}

/* What is measured is the gradient of the loss, without the scale of this pass. */
static const real *unscaled(const probe *p, const look *l, const real *dx)
{
    const value *v = l->v;
    size_t n = (size_t)v->rows * (size_t)v->ld;
    if (!dx || l->x->grad_scale == 1) return dx;
    real *to = p->unscaled + p->unscaled_reals * (size_t)l->worker,
         down = (real)(1 / l->x->grad_scale);
    for (size_t i = 0; i + (size_t)v->column < n; i++) to[i] = dx[i] * down;
    return to;
}

static void give_gradient_slab(const probe *p, const look *l, const slab *s)
{
    for (int i = 0; i < p->n_active; i++)
        if (reads_of(p, l->at, i) & GAUGE_GRADIENT_SLABS)
            active_gauge(p, i)->gradient_slab(state_of(p, i), l, s);
}

static void look_at_gradient_slabs(const probe *p, const look *l)
{
    const size_t rows = (size_t)l->v->rows, cols = (size_t)l->v->cols;
    const size_t one = l->t->is_matrix ? cols : rows;
    slab s;
    for (size_t r = 0; r < rows; r += one) {
        if (l->t->is_matrix)
            slab_norms(&s, l->data + r * cols, one, cols, cols, op_attention_args(l->n)->causal,
                       (size_t)op_attention_args(l->n)->window, work_of(p, l->worker));
        else
            slab_norms(&s, l->data, rows, cols, (size_t)l->v->ld, false, 0, work_of(p, l->worker));
        give_gradient_slab(p, l, &s);
    }
}

static void look_at_gradient(const probe *p, look *l)
{
    l->data = unscaled(p, l, exec_grad(l->x, l->t->value, l->b));
    for (int i = 0; i < p->n_active; i++)
        if (reads_of(p, l->at, i) & GAUGE_GRADIENT) active_gauge(p, i)->gradient(state_of(p, i), l);
    if (l->data && (p->reads_any[l->at] & GAUGE_GRADIENT_SLABS)) look_at_gradient_slabs(p, l);
}

static void watch_grads(void *user, const exec *x, const node *n, const span *s, bool after)
{
    probe *p = user;
    for (int t = n->first_tap; t != NONE; t = p->g->taps[t].next) {
        if (!(p->reads_any[t] & (GAUGE_GRADIENT | GAUGE_GRADIENT_SLABS))) continue;
        if (p->g->taps[t].is_matrix != after) continue; /* attention writes these itself */
        for (int b = s->b0; b < s->b1; b++) {
            look l = look_of(p, x, n, t, b, s->worker);
            look_at_gradient(p, &l);
        }
    }
}

static void watch_stage(void *user, const exec *x, const stage *st)
{
    probe *p = user;
    for (int i = 0; i < p->n_active; i++)
        if (active_gauge(p, i)->stage) active_gauge(p, i)->stage(state_of(p, i), x, st);
}

const watch *probe_watch(probe *p)
{
    p->watch =
        (watch){.user = p, .values = watch_values, .grads = watch_grads, .stage = watch_stage};
    return &p->watch;
}

void probe_finish(probe *p, int tap_index, bool with_grads, metric_value out[METRIC_COUNT])
{
    for (int i = 0; i < p->n_active; i++)
        if (reads_of(p, tap_index, i) && active_gauge(p, i)->finish)
            active_gauge(p, i)->finish(state_of(p, i), p->g, tap_index, with_grads, out);
}
