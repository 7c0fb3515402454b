#include "core/graph/plan.h"

#include "core/graph/cost.h"
#include "core/graph/op.h"

#include <string.h>

enum { SHORT_STAGES = 4 }; /* the gradient of a stream crosses two span and two task stages */

/* Everything plan_make carries around. */
typedef struct maker {
    plan *p;
    graph *g;
    const plan_options *o;
    int *pending; /* per value: a gradient buffer to share or to start from, or NONE */
    int n_phases;
    bool failed;
} maker;

static bool is_head(const node *n)
{
    return n->op->prepare != NULL;
}

/* Before the spans of phase q come those of q others, and a task stage for each phase up to q but
 * the first of its segment. */
static int forward_stage(const node *n)
{
    return 2 * n->phase - n->segment;
}

static int backward_stage(const maker *m, int phase)
{
    return m->p->n_forward + 2 * (m->n_phases - 1 - phase);
}

/* Where the gradients of a node's inputs are formed. */
static int input_stage(const maker *m, const node *n)
{
    return backward_stage(m, n->phase) + (is_head(n) ? 2 : 0);
}

/* The last stage that needs what a node made. */
static int last_stage(const maker *m, const node *n)
{
    return backward_stage(m, n->phase) + (is_head(n) ? 2 : 1);
}

static int new_buffer(maker *m, size_t bytes, int first)
{
    plan *p = m->p;
    if (p->n_buffers == p->max_buffers) {
        m->failed = true;
        return 0;
    }
    p->buffers[p->n_buffers] = (buffer){.bytes = bytes, .first = first, .last = first};
    return p->n_buffers++;
}

static void touch(maker *m, int b, int at)
{
    if (b == NONE) return;
    buffer *buf = &m->p->buffers[b];
    if (at < buf->first) buf->first = at;
    if (at > buf->last) buf->last = at;
}

/* Which values must outlive the forward pass, and which are made again instead: those that only the
 * parameter tasks of the same phase read, by an op whose own backward pass can write them again
 * on its way. It runs before those tasks, so they find the value in place. */
static void mark_needed(maker *m)
{
    graph *g = m->g;
    for (int i = 0; i < g->n_nodes; i++)
        g->nodes[i].recompute = g->nodes[i].op->remakes && !m->o->keep_all;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        for (int k = 0; k < n->n_inputs; k++) {
            unsigned early = n->op->reads_inputs >> k & 1, late = n->op->param_inputs >> k & 1;
            int v = graph_root(g, n->inputs[k]);
            node *producer = &g->nodes[g->values[v].producer];
            if (early | late) g->values[v].needed = true;
            if (early || (late && producer->phase != n->phase)) producer->recompute = false;
        }
        for (int k = 0; k < n->n_outputs; k++)
            if (n->op->reads_outputs >> k & 1) g->values[n->outputs[k]].needed = true;
    }
    for (int i = 0; i < g->n_nodes; i++)
        g->nodes[i].recompute &= g->values[g->nodes[i].outputs[0]].needed;
}

static void place_values(maker *m)
{
    graph *g = m->g;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        for (int k = 0; k < n->n_outputs; k++) {
            value *v = &g->values[n->outputs[k]];
            if (k > 0 && !v->needed && !v->measured) continue;
            v->buffer[0] = v->buffer[1] =
                new_buffer(m, cost_value_bytes(g, n->outputs[k]), forward_stage(n));
            if (!v->needed || !m->o->backward) continue;
            if (n->recompute && k == 0)
                v->buffer[1] =
                    new_buffer(m, cost_value_bytes(g, n->outputs[k]), backward_stage(m, n->phase));
            touch(m, v->buffer[1], last_stage(m, n));
        }
    }
    for (int i = 0; i < m->p->n_buffers && m->o->keep_values; i++) touch(m, i, m->p->n_stages - 1);
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        for (int k = 0; k < n->n_inputs; k++)
            touch(m, g->values[graph_root(g, n->inputs[k])].buffer[0], forward_stage(n));
    }
    for (int i = 0; i < g->n_values; i++) {
        value *v = &g->values[i];
        if (v->parent == NONE) continue;
        memcpy(v->buffer, g->values[v->parent].buffer, sizeof v->buffer);
    }
}

/* The gradient of a value is the sum of one term per reader, met in reverse order of the graph.
 * Sums (op add) only hand their own gradient on; it is kept as pending, and the next term is added
 * to it into a new buffer, or it is shared when no other term comes. */
static void settle_grad(maker *m, int v)
{
    value *val = &m->g->values[v];
    if (val->grad_buffer == NONE) val->grad_buffer = m->pending[v];
}

static int grad_root(maker *m, int v, int at)
{
    graph *g = m->g;
    int root = graph_root(g, v);
    if (root != v && g->values[root].grad_buffer == NONE)
        g->values[root].grad_buffer = new_buffer(m, cost_value_bytes(g, root), at);
    return root == v ? NONE : g->values[root].grad_buffer;
}

static void add_term(maker *m, node *n, int k, int at)
{
    graph *g = m->g;
    int v = n->inputs[k], own = g->values[n->outputs[0]].grad_buffer;
    value *val = &g->values[v];
    n->grads[k] = (grad_mode){.base = NONE};
    if (!val->needs_grad) return;
    if (n->op->alias_grad && !m->o->own_grads && val->grad_buffer == NONE &&
        m->pending[v] == NONE && val->parent == NONE) {
        m->pending[v] = own;
        return;
    }
    n->grads[k].wanted = true;
    if (val->grad_buffer != NONE) {
        n->grads[k].base = val->grad_buffer;
    } else {
        n->grads[k].base = m->pending[v];
        touch(m, m->pending[v], at);
        int shared = grad_root(m, v, at);
        val->grad_buffer = shared != NONE ? shared : new_buffer(m, cost_value_bytes(g, v), at);
    }
    touch(m, val->grad_buffer, at);
    if (n->grads[k].base != NONE && !n->op->can_add) m->failed = true;
}

static void place_grads(maker *m)
{
    graph *g = m->g;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        node *n = &g->nodes[i];
        int at = backward_stage(m, n->phase), last = last_stage(m, n);
        for (int k = 0; k < n->n_outputs; k++) {
            value *v = &g->values[n->outputs[k]];
            settle_grad(m, n->outputs[k]);
            if (k > 0 && v->needs_grad && v->measured)
                v->grad_buffer = new_buffer(m, cost_value_bytes(g, n->outputs[k]), at);
            touch(m, v->grad_buffer, at);
            touch(m, v->grad_buffer, last);
        }
        for (int k = 0; k < n->n_inputs; k++) add_term(m, n, k, input_stage(m, n));
        for (int k = 0; k < n->n_inputs; k++) {
            const value *v = &g->values[graph_root(g, n->inputs[k])];
            if (v->needed) touch(m, v->buffer[1], last);
        }
    }
}

/* Panel sums, statistics and state. */
static void place_sums(maker *m)
{
    graph *g = m->g;
    plan *p = m->p;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        node *n = &g->nodes[i];
        n->partials = p->partial_count;
        n->state = p->state_count;
        n->stats = p->stat_count;
        if (m->o->backward || n->stat_count || n->state_count)
            p->partial_count += n->partial_count * (size_t)g->n_panels;
        p->state_count += n->state_count;
        p->stat_count += n->stat_count;
    }
}

static void place_params(maker *m)
{
    graph *g = m->g;
    plan *p = m->p;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        node *n = &g->nodes[i];
        int at = backward_stage(m, n->phase) + 1;
        for (int k = 0; k < n->n_params && !n->chained; k++) {
            param *w = &g->params[n->params[k]];
            int slices = n->op->n_slices(g, n, k);
            if (w->grad_buffer == NONE) {
                w->grad_buffer = new_buffer(m, w->count * sizeof(real), at);
                w->slice_room = 0;
            } else {
                n->accumulates |= 1u << k;
            }
            /* The last contributor leaves the final sums; room for whoever has most slices. */
            if (slices > w->slice_room) {
                w->slices = p->slice_count;
                w->slice_room = slices;
                p->slice_count += (size_t)slices;
            }
            w->n_slices = slices;
            touch(m, w->grad_buffer, m->o->keep_param_grads ? p->n_stages - 1 : at);
        }
    }
}

/* How many of the nodes from first on are heads of one phase: sums over the batch, of which none
 * reads another. */
static int count_heads(const graph *g, int first, int segment)
{
    int n = 0;
    for (; first + n < g->n_nodes; n++) {
        const node *next = &g->nodes[first + n];
        if (next->segment != segment || !is_head(next)) return n;
        for (int k = 0; k < next->n_inputs; k++)
            if (g->values[graph_root(g, next->inputs[k])].producer >= first) return n;
    }
    return n;
}

/* The nodes of the phase that begins at first with n_heads heads. */
static int count_nodes(const graph *g, int first, int n_heads, int segment)
{
    int n = n_heads;
    while (first + n < g->n_nodes && g->nodes[first + n].segment == segment &&
           !is_head(&g->nodes[first + n]))
        n++;
    return n;
}

static void add_task(plan *p, int index, int task)
{
    if (p->tasks) p->tasks[p->n_tasks] = (plan_task){.node = index, .task = task};
    p->n_tasks++;
}

/* Numbers the phases and makes the stages of the forward pass. */
static void make_forward(maker *m)
{
    graph *g = m->g;
    plan *p = m->p;
    for (int s = 0, at = 0; s < g->n_segments; s++) {
        int n_heads = 0; /* the first phase of a segment has none */
        do {
            stage st = {.kind = STAGE_TASKS, .segment = s, .first_node = at, .n_heads = n_heads};
            st.first_task = p->n_tasks;
            for (int i = 0; i < n_heads; i++) add_task(p, at + i, 0);
            st.n_tasks = n_heads;
            if (n_heads) p->stages[p->n_stages++] = st;
            st.kind = STAGE_SPANS;
            st.n_nodes = count_nodes(g, at, n_heads, s);
            for (int i = 0; i < st.n_nodes; i++) g->nodes[at + i].phase = m->n_phases;
            at += st.n_nodes;
            st.n_next = n_heads = count_heads(g, at, s);
            st.ends_segment = n_heads == 0;
            p->stages[p->n_stages++] = st;
            m->n_phases++;
        } while (n_heads);
    }
    p->n_forward = p->n_stages;
}

static bool has_param(const node *n, int p)
{
    for (int k = 0; k < n->n_params; k++)
        if (n->params[k] == p) return true;
    return false;
}

/* Does a later node before `end`, whose tasks come first, make a gradient that this node adds to?
 * A tied output matrix, and the lengths of its rows. */
static bool adds_to_another(const graph *g, int index, int end)
{
    const node *n = &g->nodes[index];
    for (int i = index + 1; i < end; i++) {
        const node *other = &g->nodes[i];
        for (int k = 0; k < n->n_params && other->op->n_param_tasks && !other->chained; k++)
            if (has_param(other, n->params[k])) return true;
    }
    return false;
}

static void add_param_tasks(maker *m, int index, int end)
{
    const graph *g = m->g;
    const node *n = &g->nodes[index];
    int first = m->p->n_tasks, tasks = n->op->n_param_tasks ? n->op->n_param_tasks(g, n) : 0;
    for (int t = 0; t < tasks; t++) add_task(m->p, index, t);
    if (tasks && m->p->tasks) m->p->tasks[first].waits = adds_to_another(g, index, end);
}

static void make_backward(maker *m)
{
    plan *p = m->p;
    for (int f = p->n_forward - 1; f >= 0; f--) {
        if (p->stages[f].kind != STAGE_SPANS) continue;
        stage st = p->stages[f];
        st.backward = true;
        st.ends_segment = false;
        p->stages[p->n_stages++] = st;
        st.kind = STAGE_TASKS;
        st.first_task = p->n_tasks;
        int end = st.first_node + st.n_nodes;
        for (int i = end - 1; i >= st.first_node; i--) add_param_tasks(m, i, end);
        st.n_tasks = p->n_tasks - st.first_task;
        p->stages[p->n_stages++] = st;
    }
}

/* Offsets by one sweep over the stages. Holes are kept sorted by offset. */
typedef struct hole {
    size_t offset, bytes;
} hole;

typedef struct sweep {
    hole *holes;
    int n, max;
    size_t end;
    bool overflow;
} sweep;

static size_t take(sweep *s, size_t bytes)
{
    int best = NONE;
    for (int i = 0; i < s->n; i++)
        if (s->holes[i].bytes >= bytes &&
            (best == NONE || s->holes[i].bytes < s->holes[best].bytes))
            best = i;
    size_t offset;
    if (best != NONE) {
        offset = s->holes[best].offset;
        s->holes[best].offset += bytes;
        s->holes[best].bytes -= bytes;
        if (!s->holes[best].bytes)
            memmove(&s->holes[best], &s->holes[best + 1],
                    (size_t)(--s->n - best) * sizeof *s->holes);
        return offset;
    }
    if (bytes > SIZE_MAX / 8 - s->end) {
        s->overflow = true;
        return 0;
    }
    offset = s->end;
    if (s->n && s->holes[s->n - 1].offset + s->holes[s->n - 1].bytes == s->end)
        offset = s->holes[--s->n].offset;
    s->end = offset + bytes;
    return offset;
}

static void give(sweep *s, size_t offset, size_t bytes)
{
    int at = 0;
    for (int high = s->n; at < high;) {
        int mid = (at + high) / 2;
        if (s->holes[mid].offset < offset)
            at = mid + 1;
        else
            high = mid;
    }
    bool left = at > 0 && s->holes[at - 1].offset + s->holes[at - 1].bytes == offset;
    bool right = at < s->n && offset + bytes == s->holes[at].offset;
    if (left && right) {
        s->holes[at - 1].bytes += bytes + s->holes[at].bytes;
        memmove(&s->holes[at], &s->holes[at + 1], (size_t)(--s->n - at) * sizeof *s->holes);
    } else if (left) {
        s->holes[at - 1].bytes += bytes;
    } else if (right) {
        s->holes[at].offset = offset;
        s->holes[at].bytes += bytes;
    } else if (s->n < s->max) {
        memmove(&s->holes[at + 1], &s->holes[at], (size_t)(s->n++ - at) * sizeof *s->holes);
        s->holes[at] = (hole){offset, bytes};
    } /* else: a hole too many is never reused, which only wastes it */
}

/* order: 2 x n_buffers ints; heads: 2 x (n_stages + 1). Counting sort by first and by last stage.
 */
static void sort_by(const plan *p, int *order, int *heads, bool by_last)
{
    memset(heads, 0, (size_t)(p->n_stages + 1) * sizeof *heads);
    for (int i = 0; i < p->n_buffers; i++)
        heads[(by_last ? p->buffers[i].last : p->buffers[i].first) + 1]++;
    for (int s = 0; s < p->n_stages; s++) heads[s + 1] += heads[s];
    for (int i = 0; i < p->n_buffers; i++)
        order[heads[by_last ? p->buffers[i].last : p->buffers[i].first]++] = i;
    for (int s = p->n_stages; s > 0; s--) heads[s] = heads[s - 1];
    heads[0] = 0;
}

/* What lives for a block or two. Such buffers get a region of their own, so that the same few lines
 * of memory serve every block and stay in cache; in one region they would trade places with what is
 * kept and wander through all of it. */
static bool is_short(const plan *p, const buffer *b)
{
    return b->last - b->first <= p->short_stages;
}

static void sweep_buffers(plan *p, int *order, int *heads, sweep *s, bool of_short)
{
    int *by_first = order, *by_last = order + p->n_buffers;
    int *first_heads = heads, *last_heads = heads + p->n_stages + 1;
    for (int at = 0; at < p->n_stages; at++) {
        for (int i = first_heads[at]; i < first_heads[at + 1]; i++) {
            buffer *b = &p->buffers[by_first[i]];
            if (is_short(p, b) != of_short) continue;
            b->bytes = (b->bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
            b->offset = take(s, b->bytes);
        }
        for (int i = last_heads[at]; i < last_heads[at + 1]; i++) {
            const buffer *b = &p->buffers[by_last[i]];
            if (is_short(p, b) == of_short) give(s, b->offset, b->bytes);
        }
    }
}

static void place_buffers(plan *p, int *order, int *heads, sweep *s)
{
    sort_by(p, order, heads, false);
    sort_by(p, order + p->n_buffers, heads + p->n_stages + 1, true);
    sweep_buffers(p, order, heads, s, true);
    s->n = 0;
    sweep_buffers(p, order, heads, s, false);
    p->tensor_bytes = s->end;
}

static void keep_everything(plan *p)
{
    for (int i = 0; i < p->n_buffers; i++) p->buffers[i].last = p->n_stages - 1;
}

static size_t scratch_of(const graph *g)
{
    size_t most = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        size_t reals = n->op->scratch ? n->op->scratch(g, n) : 0;
        if (reals > most) most = reals;
    }
    return most;
}

static int count_tasks(const graph *g)
{
    int tasks = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        if (n->op->n_param_tasks) tasks += n->op->n_param_tasks(g, n);
        tasks += is_head(n);
    }
    return tasks;
}

/* A head begins at most one phase: two more stages in each pass. */
static int most_stages(const graph *g)
{
    int stages = 3 * g->n_segments;
    for (int i = 0; i < g->n_nodes; i++) stages += is_head(&g->nodes[i]) ? 4 : 0;
    return stages;
}

err_code plan_make(plan *p, graph *g, const plan_options *o, arena *a, error *err)
{
    *p = (plan){.max_stages = most_stages(g),
                .max_tasks = count_tasks(g),
                .keeps_param_grads = o->keep_param_grads || o->keep_all};
    p->max_buffers = 4 * g->n_values + g->n_params;
    p->stages = arena_alloc(a, (size_t)p->max_stages * sizeof *p->stages);
    p->tasks = arena_alloc(a, (size_t)p->max_tasks * sizeof *p->tasks);
    p->buffers = arena_alloc(a, (size_t)p->max_buffers * sizeof *p->buffers);
    int *pending = arena_alloc(a, (size_t)g->n_values * sizeof *pending);
    int *order = arena_alloc(a, 2 * (size_t)p->max_buffers * sizeof *order);
    int *heads = arena_alloc(a, 2 * (size_t)(p->max_stages + 1) * sizeof *heads);
    sweep s = {.max = p->max_buffers};
    s.holes = arena_alloc(a, (size_t)s.max * sizeof *s.holes);
    if (!p->stages || !p->tasks || !p->buffers || !pending || !order || !heads || !s.holes)
        return error_set(err, ERR_MEMORY, "", "no room for the plan");
    maker m = {.p = p, .g = g, .o = o, .pending = pending};
    for (int i = 0; i < g->n_values; i++) pending[i] = NONE;
    make_forward(&m);
    make_backward(&m);
    p->short_stages = SHORT_STAGES * m.n_phases / g->n_segments;
    mark_needed(&m);
    place_sums(&m);
    place_values(&m);
    if (o->backward) {
        place_grads(&m);
        place_params(&m);
    }
    if (o->keep_all) keep_everything(p);
    if (m.failed) return error_set(err, ERR_INTERNAL, "", "the plan cannot be made for this graph");
    place_buffers(p, order, heads, &s);
    if (s.overflow)
        return error_set(err, ERR_LIMIT, "", "the run needs more memory than can be addressed");
    const param *last = g->n_params ? &g->params[g->n_params - 1] : NULL;
    p->param_count = last ? last->data + last->count : 0;
    p->scratch_reals = scratch_of(g);
    return ERR_OK;
}
